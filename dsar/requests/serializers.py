"""What goes in and what comes out of the endpoints of requests."""

from typing import Any

from rest_framework import serializers

from dsar import deadlines
from dsar.models import Outcome, RequestType, State, Status, Step, StepState, SubjectType
from dsar.requests import outcomes, subjects
from dsar.requests.life_serializers import IdentityIn, IdentityOut
from kaireon.api.serializers import StrictSerializer


class DsarIn(StrictSerializer):
    requestType = serializers.ChoiceField(choices=RequestType.choices)
    subjectId = serializers.CharField(max_length=subjects.MOST_CHARACTERS)
    subjectType = serializers.ChoiceField(choices=SubjectType.choices, default=SubjectType.CUSTOMER_ID)
    regulation = serializers.ChoiceField(choices=list(deadlines.LAWS), required=False)
    receivedAt = serializers.DateTimeField(required=False, help_text="When it reached you; default now.")
    encrypt = serializers.BooleanField(default=False, help_text="Answer an export with an encrypted envelope.")
    details = serializers.CharField(
        max_length=outcomes.MOST_TEXT, required=False, help_text="What they want, in their own words; kept sealed."
    )
    language = serializers.RegexField(
        r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", max_length=35, required=False, help_text="Of the letters; BCP 47."
    )
    identity = IdentityIn(required=False, help_text="The request waits for this proof before anything is done.")


class DsarFiledOut(serializers.Serializer[Any]):
    requestId = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Status.choices)


class RetainedOut(serializers.Serializer[Any]):
    entity = serializers.CharField()
    count = serializers.IntegerField()
    ground = serializers.CharField()
    until = serializers.CharField(allow_null=True)


class AssignedOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()


class RejectedOut(serializers.Serializer[Any]):
    ground = serializers.CharField()
    article = serializers.CharField()


class ErasureStepOut(serializers.Serializer[Any]):
    turn = serializers.IntegerField(help_text="1 is the erasure itself; later ones took what a hold had kept.")
    name = serializers.CharField(help_text=f"One of {', '.join(Step.values)}.")
    state = serializers.CharField(help_text=f"One of {', '.join(StepState.values)}.")
    attempts = serializers.IntegerField()
    error = serializers.CharField(allow_null=True, help_text="Reason code of the last failure.")
    finishedAt = serializers.DateTimeField(allow_null=True)
    counts = serializers.JSONField()


class DsarOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    tenantId = serializers.CharField()
    requestType = serializers.ChoiceField(choices=RequestType.choices)
    subjectId = serializers.CharField(help_text="After an erasure a pseudonym, `erased-…`.")
    subjectType = serializers.ChoiceField(choices=SubjectType.choices)
    regulation = serializers.CharField()
    requestedBy = serializers.CharField()
    requestedByName = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.choices)
    state = serializers.ChoiceField(choices=State.choices)
    outcome = serializers.ChoiceField(choices=Outcome.choices, allow_null=True)
    identity = IdentityOut(allow_null=True, help_text="When proof was demanded.")
    duplicateOf = serializers.UUIDField(allow_null=True, help_text="The request whose answer answers this one.")
    assignedTo = AssignedOut(allow_null=True)
    rejected = RejectedOut(allow_null=True)
    error = serializers.CharField(allow_null=True, help_text="Reason code of a failure.")
    encrypt = serializers.BooleanField()
    receivedAt = serializers.DateTimeField()
    requestedAt = serializers.DateTimeField()
    startedAt = serializers.DateTimeField(allow_null=True)
    completedAt = serializers.DateTimeField(allow_null=True)
    answeredAt = serializers.DateTimeField(
        allow_null=True, help_text="Of an erasure: when it was answered; what it had to leave may go later."
    )
    dueAt = serializers.CharField(help_text="The end of the last day in time, in the tenant's offset.")
    deadlineAt = serializers.CharField(allow_null=True, help_text="After extension and pauses; null while paused.")
    counts = serializers.DictField(child=serializers.IntegerField(), required=False, help_text="What it came to.")
    packageExpiresAt = serializers.DateTimeField(required=False)
    exportedData = serializers.JSONField(required=False, help_text="A completed export of at most 1 MB.")
    downloadUrl = serializers.CharField(required=False, help_text="A larger one.")
    deletedCounts = serializers.DictField(child=serializers.IntegerField(), required=False)
    reducedCounts = serializers.DictField(child=serializers.IntegerField(), required=False)
    totalDeleted = serializers.IntegerField(required=False)
    objects = serializers.DictField(child=serializers.IntegerField(), required=False)
    retained = RetainedOut(many=True, required=False)
    steps = ErasureStepOut(many=True, required=False)


class DsarListOut(serializers.Serializer[Any]):
    requests = DsarOut(many=True)
    count = serializers.IntegerField(help_text="How many this answer holds.")
    total = serializers.IntegerField(help_text="How many there are.")


class ErasureIn(StrictSerializer):
    customerId = serializers.CharField(max_length=128)


class ErasureOut(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    customerId = serializers.CharField()
    deletedCounts = serializers.DictField(child=serializers.IntegerField())
    reducedCounts = serializers.DictField(child=serializers.IntegerField())
    totalDeleted = serializers.IntegerField()
    retained = RetainedOut(many=True)
    requestId = serializers.UUIDField()


class ErasureWaitsOut(serializers.Serializer[Any]):
    requestId = serializers.UUIDField()
    status = serializers.ChoiceField(choices=Status.choices)
    state = serializers.CharField(help_text="`approval` or `window`.")
    approvalId = serializers.UUIDField(allow_null=True, help_text="The request for a second person's yes.")
    cancelUntil = serializers.DateTimeField(allow_null=True)
