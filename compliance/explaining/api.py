"""Why a record is kept, over HTTP: GET /api/v1/retention/explain?entity=&id=."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from compliance.explaining import explain
from compliance.explaining.explanation import DUE, KEPT, Way, Why
from kaireon.api.errors import BadRequest, NotFound
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest


class AgeOut(serializers.Serializer[Any]):
    column = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)


class ReasonOut(serializers.Serializer[Any]):
    code = serializers.ChoiceField(choices=[why.value for why in Why])
    text = serializers.CharField()
    until = serializers.DateTimeField(allow_null=True, help_text="When it ends by itself.")


class PolicyVersionOut(serializers.Serializer[Any]):
    policy = serializers.UUIDField()
    version = serializers.IntegerField()
    days = serializers.IntegerField()
    anchor = serializers.CharField()
    mode = serializers.ChoiceField(choices=["normal", "governance", "compliance"])
    reason = serializers.CharField(allow_blank=True)
    effectiveFrom = serializers.DateTimeField()
    state = serializers.ChoiceField(choices=["in_force", "pending"])


class MatterFoundOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    reference = serializers.CharField(allow_blank=True)


class HoldFoundOut(serializers.Serializer[Any]):
    """Of a class hold there is no matter and no scope beside its class."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=["class", "matter"])
    dataClass = serializers.CharField(allow_null=True)
    state = serializers.ChoiceField(choices=["active", "releasing"])
    placedAt = serializers.DateTimeField()
    releasesAt = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField(required=False, allow_blank=True)
    matter = MatterFoundOut(required=False)
    entity = serializers.CharField(required=False, allow_null=True)
    ofSubjects = serializers.BooleanField(required=False)
    until = serializers.DateTimeField(required=False, allow_null=True)
    query = serializers.JSONField(required=False, allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of the language.
        return {**super().get_fields(), "from": serializers.DateTimeField(required=False, allow_null=True)}


class LawFloorOut(serializers.Serializer[Any]):
    law = serializers.CharField()
    citation = serializers.CharField()
    days = serializers.IntegerField()
    until = serializers.DateTimeField(allow_null=True)


class OpenRequestOut(serializers.Serializer[Any]):
    status = serializers.CharField(allow_null=True, help_text="`failed`: it is still owed an answer.")
    id = serializers.UUIDField(allow_null=True)
    hold = serializers.UUIDField()
    since = serializers.DateTimeField()


class ReferenceOut(serializers.Serializer[Any]):
    entity = serializers.CharField()
    rows = serializers.IntegerField()
    until = serializers.DateTimeField(allow_null=True)


class PathOut(serializers.Serializer[Any]):
    path = serializers.ChoiceField(choices=[way.value for way in Way])
    does = serializers.CharField()
    earliest = serializers.DateTimeField(allow_null=True)
    wholeMonth = serializers.DateTimeField(
        allow_null=True, help_text="From when on it may go with its whole month, when nothing else in that stays."
    )


class ExplanationOut(serializers.Serializer[Any]):
    entity = serializers.CharField()
    id = serializers.UUIDField()
    dataClass = serializers.CharField()
    asOf = serializers.DateTimeField()
    clock = AgeOut()
    verdict = serializers.ChoiceField(choices=[KEPT, DUE])
    earliest = serializers.DateTimeField(allow_null=True, help_text="By retention alone, as things stand.")
    path = serializers.ChoiceField(choices=[way.value for way in Way], allow_null=True)
    summary = serializers.CharField()
    reasons = ReasonOut(many=True)
    policies = PolicyVersionOut(many=True)
    holds = HoldFoundOut(many=True)
    floors = LawFloorOut(many=True)
    requests = OpenRequestOut(many=True)
    references = ReferenceOut(many=True)
    paths = PathOut(many=True)


class ExplainView(TenantAPIView):
    permission = Permission.READ_RETENTION

    @extend_schema(
        responses=ExplanationOut,
        operation_id="retention_explain",
        parameters=[
            OpenApiParameter("entity", str, required=True, enum=explain.NAMES),
            OpenApiParameter("id", {"type": "string", "format": "uuid"}, required=True),
        ],
    )
    def get(self, request: TenantRequest) -> Response:
        """What keeps one record, until when, and by which paths it can go. Nothing personal is in it."""
        row_id = record_id(request.query_params.get("id"))
        try:
            said = explain.explain(request.query_params.get("entity") or "", row_id, now=clock.now())
        except explain.UnknownEntity as e:
            raise BadRequest(str(e), field="entity") from e
        except explain.UnknownRecord as e:
            raise NotFound("There is no such record.") from e
        return Response(said.as_dict())


def record_id(text: str | None) -> UUID:
    """Raises BadRequest."""
    try:
        return UUID(text or "")
    except ValueError as e:
        raise BadRequest("must be our own id of the record, a UUID.", field="id") from e
