"""What a decision would delete, over HTTP: POST /api/v1/admin/retention-configs/preview."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from compliance.models import MAX_DAYS, MIN_DAYS
from compliance.purging.preview import preview
from compliance.retention import refusals
from compliance.retention.api import WholeNumber, bad_request
from kaireon.api.serializers import ErrorBodySerializer, StrictSerializer
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest


class RetentionPreviewIn(StrictSerializer):
    dataClass = serializers.CharField(max_length=64)
    retentionDays = WholeNumber(help_text=f"{MIN_DAYS} to {MAX_DAYS}.")
    anchor = serializers.CharField(max_length=32, required=False, help_text="Default: what counts today.")
    effectiveFrom = serializers.DateTimeField(required=False, help_text="As it would be decided.")


class PreviewFloorOut(serializers.Serializer[Any]):
    law = serializers.CharField()
    days = serializers.IntegerField()
    citation = serializers.CharField()
    starts = serializers.DateTimeField(allow_null=True)


class LossOut(serializers.Serializer[Any]):
    entity = serializers.CharField()
    title = serializers.CharField()
    clock = serializers.CharField(help_text="The column that its rows age by.")
    before = serializers.DateTimeField(help_text="Rows whose clock stands before go.")
    rows = serializers.IntegerField(help_text="That stay today, and would go.")
    rowsAnyway = serializers.IntegerField(help_text="Of these, what goes by then without the change.")
    heldRows = serializers.IntegerField(help_text="That would go, and a hold or an open request keeps them.")
    oldest = serializers.DateTimeField(allow_null=True)
    newest = serializers.DateTimeField(allow_null=True)


class RetentionPreviewOut(serializers.Serializer[Any]):
    dataClass = serializers.CharField()
    retentionDays = serializers.IntegerField()
    anchor = serializers.CharField()
    daysNow = serializers.IntegerField(allow_null=True, help_text="What counts today; null: all of it is kept.")
    effectiveDays = serializers.IntegerField(help_text="What would count: a floor may ask for more.")
    shortens = serializers.BooleanField()
    countsFrom = serializers.DateTimeField(help_text="A shortening after the cooling-off.")
    floor = PreviewFloorOut(allow_null=True, help_text="The least that a law asks for then.")
    floorLater = PreviewFloorOut(allow_null=True, help_text="A law that starts later and will ask for more.")
    legalHold = serializers.BooleanField(help_text="The whole class is held: nothing goes while it is.")
    needsSecondPerson = serializers.BooleanField()
    rows = serializers.IntegerField()
    rowsAnyway = serializers.IntegerField()
    heldRows = serializers.IntegerField()
    entities = LossOut(many=True)


class RetentionPreviewView(TenantAPIView):
    permission = Permission.READ_RETENTION

    @extend_schema(
        request=RetentionPreviewIn,
        responses={200: RetentionPreviewOut, 400: ErrorBodySerializer},
        operation_id="retention_configs_preview",
    )
    def post(self, request: TenantRequest) -> Response:
        """What would go if this were decided now, as rows and holds are at this moment. Nothing is decided."""
        serializer = RetentionPreviewIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        try:
            found = preview(
                data_class=given["dataClass"],
                retention_days=given["retentionDays"],
                anchor=given.get("anchor"),
                effective_from=given.get("effectiveFrom"),
                now=clock.now(),
            )
        except tuple(refusals.OF_FIELD) as e:
            raise bad_request(e) from e
        return Response(found.as_dict())
