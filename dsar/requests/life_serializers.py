"""What goes in and what comes out of the endpoints of a request's life."""

from typing import Any

from rest_framework import serializers

from dsar.models import Outcome, Proof, State, Status
from dsar.requests import identity, outcomes
from dsar.requests.grounds import GROUNDS
from kaireon.api.serializers import StrictSerializer

_BY_OFFICER = [Proof.EVIDENCE, Proof.VOUCHED]


class IdentityIn(StrictSerializer):
    """How the subject proves who they are. With `reason` an officer did so already; without, the request waits."""

    method = serializers.ChoiceField(choices=[p.value for p in Proof if p.value])
    reason = serializers.CharField(max_length=identity.MOST_TEXT, required=False)
    evidence = serializers.ChoiceField(choices=list(identity.EVIDENCE), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return checked(attrs)


class CodeIn(StrictSerializer):
    code = serializers.RegexField(r"^[0-9]{6,12}$", max_length=12, help_text="As it was mailed: digits.")


class VouchIn(StrictSerializer):
    method = serializers.ChoiceField(choices=[p.value for p in _BY_OFFICER])
    reason = serializers.CharField(max_length=identity.MOST_TEXT, help_text="What was seen; kept sealed.")
    evidence = serializers.ChoiceField(choices=list(identity.EVIDENCE), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return checked(attrs)


def checked(attrs: dict[str, Any]) -> dict[str, Any]:
    """Evidence says of which kind it was, and only evidence does; a code has no officer's reason."""
    if attrs["method"] == Proof.CODE and "reason" in attrs:
        raise serializers.ValidationError({"reason": "a code needs none."})
    seen = attrs["method"] == Proof.EVIDENCE and "reason" in attrs
    if seen != ("evidence" in attrs):
        raise serializers.ValidationError({"evidence": "say what was seen, for evidence and only then."})
    return attrs


class RejectIn(StrictSerializer):
    ground = serializers.ChoiceField(choices=list(GROUNDS))
    reason = serializers.CharField(
        max_length=outcomes.MOST_TEXT, help_text="Kept sealed, and told the subject where letters are on."
    )


class CompleteIn(StrictSerializer):
    resolution = serializers.CharField(
        max_length=outcomes.MOST_TEXT,
        help_text="What was done; kept sealed, and told the subject where letters are on.",
    )
    outcome = serializers.ChoiceField(
        choices=[o.value for o in outcomes.BY_HAND],
        required=False,
        help_text="Of what a person worked on; default completed.",
    )
    directMarketing = serializers.BooleanField(
        default=False,
        help_text="What an objection was to: then nobody contacts the subject from here on (GDPR Art. 21(3)).",
    )


class AssignIn(StrictSerializer):
    to = serializers.CharField(
        max_length=254, allow_null=True, help_text="A member's e-mail address or id; null for nobody."
    )


class LifeOut(serializers.Serializer[Any]):
    requestId = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Status.choices)
    state = serializers.ChoiceField(choices=State.choices)
    outcome = serializers.ChoiceField(choices=Outcome.choices, allow_null=True)


class IdentityOut(serializers.Serializer[Any]):
    method = serializers.CharField(allow_null=True, help_text="How it was proved, or is asked to be.")
    proved = serializers.BooleanField()
    provedAt = serializers.DateTimeField(allow_null=True)


class CodeSentOut(serializers.Serializer[Any]):
    requestId = serializers.UUIDField()
    expiresAt = serializers.DateTimeField()
    codesLeft = serializers.IntegerField(help_text="How many more can be sent.")


class EventOut(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    action = serializers.CharField()
    by = serializers.CharField(allow_null=True)
    byType = serializers.CharField()
    state = serializers.CharField(allow_null=True, help_text="The state it brought, when it brought one.")
    recordId = serializers.UUIDField(help_text="The audit record that says so.")


class TimelineOut(serializers.Serializer[Any]):
    requestId = serializers.UUIDField()
    events = EventOut(many=True)
