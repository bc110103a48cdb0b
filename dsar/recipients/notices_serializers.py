"""What goes in and what comes out of the endpoints of recipients."""

from typing import Any

from rest_framework import serializers

from dsar.models import NoticeKind, NoticeState, SubjectType
from dsar.recipients import notices, recipients
from kaireon.api.serializers import StrictSerializer


class RecipientIn(StrictSerializer):
    name = serializers.CharField(max_length=recipients.LONGEST_NAME, help_text="As the subject is told it.")
    destination = serializers.CharField(max_length=64, help_text="Of the outbox: where its notices go.")
    knowsBy = serializers.ChoiceField(choices=SubjectType.choices, default=SubjectType.CUSTOMER_ID)
    sections = serializers.ListField(
        child=serializers.ChoiceField(choices=list(notices.SECTIONS)),
        default=list,
        max_length=len(notices.SECTIONS),
        help_text="What it got; empty: everything.",
    )
    enabled = serializers.BooleanField(default=True)


class RecipientOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    destination = serializers.CharField()
    knowsBy = serializers.ChoiceField(choices=SubjectType.choices)
    sections = serializers.ListField(child=serializers.CharField())
    enabled = serializers.BooleanField()


class RecipientsOut(serializers.Serializer[Any]):
    recipients = RecipientOut(many=True)


class NotToldIn(StrictSerializer):
    effort = serializers.ChoiceField(choices=notices.EFFORTS)
    reason = serializers.CharField(max_length=notices.MOST_REASON, help_text="Names nobody: it stands in the log.")


class RecipientNoticeOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    recipient = serializers.CharField()
    kind = serializers.ChoiceField(choices=NoticeKind.choices)
    article = serializers.CharField(allow_null=True)
    sections = serializers.ListField(child=serializers.CharField())
    state = serializers.ChoiceField(choices=NoticeState.choices)
    error = serializers.CharField(allow_null=True)
    effort = serializers.CharField(allow_null=True, help_text="Why it was not told.")
    reason = serializers.CharField(allow_null=True)
    madeAt = serializers.DateTimeField()
    settledAt = serializers.DateTimeField(allow_null=True)


class RecipientNoticesOut(serializers.Serializer[Any]):
    requestId = serializers.UUIDField()
    notices = RecipientNoticeOut(many=True)
