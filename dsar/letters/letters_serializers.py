"""What goes in and what comes out of the endpoints of letters."""

from typing import Any

from rest_framework import serializers

from dsar.letters import sending, words
from dsar.models import LetterKind, LetterState
from dsar.requests import outcomes
from dsar.requests.grounds import GROUNDS
from kaireon.api.serializers import StrictSerializer


class LetterIn(StrictSerializer):
    kind = serializers.ChoiceField(choices=LetterKind.choices)
    language = serializers.ChoiceField(
        choices=list(words.LANGUAGES), required=False, help_text="Default: the subject's, or the tenant's."
    )


class LetterPreviewIn(LetterIn):
    """The last three are for a letter about what has not happened yet."""

    ground = serializers.CharField(
        max_length=32, required=False, help_text=f"Of a refusal: one of {', '.join(GROUNDS)}, as its law knows them."
    )
    reason = serializers.CharField(max_length=outcomes.MOST_TEXT, required=False)
    resolution = serializers.CharField(max_length=outcomes.MOST_TEXT, required=False)


class LetterMarkIn(StrictSerializer):
    evidence = serializers.CharField(
        max_length=sending.MOST_EVIDENCE, help_text="How it went and what shows that; kept sealed."
    )


class LetterPreviewOut(serializers.Serializer[Any]):
    language = serializers.CharField()
    subject = serializers.CharField()
    text = serializers.CharField()


class LetterOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=LetterKind.choices)
    language = serializers.CharField()
    state = serializers.ChoiceField(choices=LetterState.choices)
    error = serializers.CharField(allow_null=True, help_text="Why it was not sent.")
    messageId = serializers.CharField(help_text="The same however often it is sent.")
    writtenAt = serializers.DateTimeField()
    settledAt = serializers.DateTimeField(allow_null=True, help_text="When it was sent, or given up.")
    toldInTime = serializers.BooleanField(
        allow_null=True, help_text="Of an extension that was sent: whether the first time still ran."
    )
    hasText = serializers.BooleanField(help_text="False when what it says went with the person, or with its time.")


class LettersOut(serializers.Serializer[Any]):
    requestId = serializers.UUIDField()
    letters = LetterOut(many=True)
    addressKept = serializers.BooleanField(
        help_text="After an erasure: an address is kept, sealed, for the last letter alone."
    )


class LetterTextOut(LetterOut):
    to = serializers.CharField(allow_null=True)
    subject = serializers.CharField()
    text = serializers.CharField()
    evidence = serializers.CharField(allow_null=True, help_text="Of one that was sent by other means.")
