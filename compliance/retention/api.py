"""Retention policies over HTTP: GET and POST /api/v1/admin/retention-configs."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from compliance.models import MAX_DAYS, MIN_DAYS, RetentionPolicy
from compliance.retention import policies
from kaireon.api.errors import BadRequest
from kaireon.api.serializers import StrictSerializer
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest


class WholeNumber(serializers.IntegerField):
    """A JSON integer and nothing that could be taken for one."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError(f"must be a whole number from {MIN_DAYS} to {MAX_DAYS}.")
        return data


class StrictBoolean(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("must be true or false.")
        return data


class RetentionConfigIn(StrictSerializer):
    dataClass = serializers.CharField(max_length=64)
    retentionDays = WholeNumber(help_text=f"{MIN_DAYS} to {MAX_DAYS}.")
    legalHold = StrictBoolean(required=False, help_text="true holds the class at once, false releases it at once.")
    holdReason = serializers.CharField(required=False, allow_blank=True, max_length=500)


class RetentionConfigOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    dataClass = serializers.CharField(source="data_class")
    retentionDays = serializers.IntegerField(source="retention_days")
    legalHold = serializers.BooleanField(source="legal_hold")
    holdReason = serializers.CharField(source="hold_reason")
    heldSince = serializers.DateTimeField(source="held_since", allow_null=True)
    version = serializers.IntegerField()
    updatedBy = serializers.CharField(source="updated_by")
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")


class RetentionConfigsView(TenantAPIView):
    permissions = {"GET": Permission.READ_RETENTION, "POST": Permission.MANAGE_RETENTION}
    idempotent = True

    @extend_schema(responses=RetentionConfigOut(many=True), operation_id="retention_configs_list")
    def get(self, request: TenantRequest) -> Response:
        """The tenant's policies by class. A class that is not here has none: its rows are kept."""
        return Response(RetentionConfigOut(RetentionPolicy.objects.by_class(), many=True).data)

    @extend_schema(
        request=RetentionConfigIn, responses={200: RetentionConfigOut}, operation_id="retention_configs_upsert"
    )
    def post(self, request: TenantRequest) -> Response:
        """Set a class's retention, and hold or release it. Without `legalHold` a hold stays as it is."""
        serializer = RetentionConfigIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        try:
            policy = policies.upsert_policy(
                data_class=given["dataClass"],
                retention_days=given["retentionDays"],
                legal_hold=given.get("legalHold"),
                hold_reason=given.get("holdReason"),
                actor=request.actor,
                now=clock.now(),
            )
        except policies.UnknownDataClass as e:
            raise BadRequest(str(e), field="dataClass") from e
        except policies.DaysOutOfRange as e:
            raise BadRequest(str(e), field="retentionDays") from e
        return Response(RetentionConfigOut(policy).data)
