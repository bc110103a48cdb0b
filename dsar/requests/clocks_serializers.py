"""What goes in and what comes out of the endpoints of clocks."""

from typing import Any

from rest_framework import serializers

from dsar.models.clock_pause import GROUNDS
from dsar.requests.clocks import MOST_CHARACTERS
from kaireon.api.serializers import StrictSerializer


class ExtendIn(StrictSerializer):
    reason = serializers.CharField(max_length=MOST_CHARACTERS, help_text="Why it takes longer. Kept sealed.")


class PauseIn(StrictSerializer):
    ground = serializers.ChoiceField(choices=GROUNDS, help_text="What is awaited.")
    reason = serializers.CharField(max_length=MOST_CHARACTERS, help_text="What was asked for, and why. Kept sealed.")


class RuleOut(serializers.Serializer[Any]):
    rule = serializers.CharField()
    article = serializers.CharField()
    effect = serializers.CharField()


class PauseOut(serializers.Serializer[Any]):
    ground = serializers.ChoiceField(choices=GROUNDS)
    reason = serializers.CharField(help_text="Empty once the subject was erased, or their time is over.")
    pausedAt = serializers.CharField()
    resumedAt = serializers.CharField(allow_null=True)


class ClockOut(serializers.Serializer[Any]):
    regulation = serializers.CharField()
    lawVersion = serializers.CharField(help_text="Of the law as it was read: the date of its latest change taken in.")
    receivedAt = serializers.CharField()
    dueAt = serializers.CharField(help_text="As the law gives it at receipt. It never moves.")
    extendedDueAt = serializers.CharField(required=False, help_text="Once extended.")
    deadlineAt = serializers.CharField(allow_null=True, help_text="The day that counts; null while the clock stands.")
    acknowledgeBy = serializers.CharField(required=False)
    pauses = PauseOut(many=True)
    rules = RuleOut(many=True)
