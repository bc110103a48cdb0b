"""Approvals and members on the wire."""

from typing import Any

from django.core.validators import EmailValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from kaireon.api.serializers import PageOut, StrictSerializer
from kaireon.approvals.models import Answer, ApprovalRequest, State
from kaireon.tenancy.roles import Role


class AnswerIn(StrictSerializer):
    action = serializers.ChoiceField(choices=Answer.values)
    comments = serializers.CharField(required=False, allow_blank=True, max_length=2000, default="")


class StageOut(serializers.Serializer[Any]):
    """Who is asked: those with this role, or with this permission."""

    role = serializers.ChoiceField(choices=Role.choices, required=False)
    permission = serializers.CharField(required=False)
    yes = serializers.IntegerField(help_text="How many must agree.")


class WhoOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    type = serializers.ChoiceField(choices=["user", "api_key", "system"])


class AnswerOut(serializers.Serializer[Any]):
    stage = serializers.IntegerField()
    action = serializers.ChoiceField(choices=Answer.values, source="answer")
    memberId = serializers.CharField(source="member_id")
    memberName = serializers.CharField(source="member_name")
    comments = serializers.CharField()
    givenAt = serializers.DateTimeField(source="given_at")


class ApprovalOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    verb = serializers.CharField()
    summary = serializers.CharField()
    state = serializers.ChoiceField(choices=State.choices)
    requestedBy = serializers.SerializerMethodField()
    requestedAt = serializers.DateTimeField(source="requested_at")
    deadline = serializers.DateTimeField()
    decidedAt = serializers.DateTimeField(source="decided_at", allow_null=True)
    error = serializers.CharField(help_text="Why it could not be applied, when it failed.")
    stages = StageOut(many=True)
    stage = serializers.IntegerField(help_text="Index of the stage whose people are asked.")
    digest = serializers.CharField(help_text="SHA-256 over the sealed request.")

    @extend_schema_field(WhoOut)
    def get_requestedBy(self, row: ApprovalRequest) -> dict[str, str]:
        return {"id": row.requested_by, "name": row.requested_by_name, "type": row.requested_by_type}


class ApprovalDetailOut(ApprovalOut):
    payload = serializers.DictField(allow_null=True, help_text="What is applied. null when it is gone or was altered.")
    answers = AnswerOut(many=True)
    mayAnswer = serializers.BooleanField(help_text="Whether your own answer would be taken now.")


class ApprovalsOut(PageOut):
    approvals = ApprovalOut(many=True)


class MemberIn(StrictSerializer):
    email = serializers.CharField(max_length=254, validators=[EmailValidator("must be an e-mail address.")])
    role = serializers.ChoiceField(choices=Role.choices)
    name = serializers.CharField(required=False, allow_blank=True, max_length=200, default="")


class RoleIn(StrictSerializer):
    role = serializers.ChoiceField(choices=Role.choices)


class MemberOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    userId = serializers.UUIDField(source="user_id")
    email = serializers.CharField(source="user.email")
    name = serializers.CharField(source="user.name")
    role = serializers.ChoiceField(choices=Role.choices)
    joinedAt = serializers.DateTimeField(source="joined_at")


class MembersOut(PageOut):
    members = MemberOut(many=True)


class AskedOut(serializers.Serializer[Any]):
    """The tenant demands a second person: nothing has happened yet."""

    approval = ApprovalOut()
