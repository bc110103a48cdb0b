"""What was disposed of, over HTTP: GET /api/v1/retention/dispositions."""

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from audit.api import moment
from compliance.models import Disposition, Method
from compliance.purging import exporting, report
from kaireon.api.errors import BadRequest
from kaireon.api.paging import page_of
from kaireon.api.serializers import PageOut
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest

FORMATS = ("json", *exporting.TYPES)


class DispositionOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    firstAt = serializers.DateTimeField()
    lastAt = serializers.DateTimeField()
    dataClass = serializers.CharField()
    entity = serializers.CharField()
    method = serializers.ChoiceField(choices=Method.values)
    rows = serializers.IntegerField()
    clock = serializers.CharField(help_text="The column that the rows aged by.")
    clockFrom = serializers.DateTimeField()
    clockUntil = serializers.DateTimeField()
    retentionDays = serializers.IntegerField(allow_null=True)
    policyClass = serializers.CharField(help_text="The class whose policy it was: another one's under `strictest`.")
    policyVersion = serializers.IntegerField()
    law = serializers.CharField()
    doneBy = serializers.CharField()
    doneByName = serializers.CharField()
    approvedBy = serializers.CharField()
    approvedByName = serializers.CharField()
    plan = serializers.UUIDField(allow_null=True)
    run = serializers.UUIDField()


class DispositionsOut(PageOut):
    dispositions = DispositionOut(many=True)


class DispositionsView(TenantAPIView):
    permission = Permission.READ_RETENTION

    @extend_schema(
        responses={
            (200, "application/json"): DispositionsOut,
            (200, "text/html"): OpenApiResponse(OpenApiTypes.STR, description="html: a page to print"),
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, description="csv"),
        },
        operation_id="retention_dispositions",
        parameters=[
            OpenApiParameter("format", str, enum=FORMATS),
            *(OpenApiParameter(name, OpenApiTypes.DATETIME) for name in ("from", "to")),
            *(OpenApiParameter(name, int) for name in ("page", "limit")),
        ],
    )
    def get(self, request: TenantRequest) -> HttpResponse | Response:
        """What purges disposed of in a period, oldest first. html and csv are whole, and reading them is recorded."""
        wanted = request.query_params.get("format", "json")
        if wanted not in FORMATS:
            raise BadRequest(f"must be one of {', '.join(FORMATS)}.", field="format")
        since, until = period(request.query_params.get("from"), request.query_params.get("to"))
        rows = Disposition.objects.between(since, until).by_time()
        if wanted == "json":
            page = page_of(request, rows, default=100, cap=1000)
            listed = [report.wire(row) for row in page.items]
            return Response(page.answer(dispositions=listed))
        return exporting.file_of(wanted, since=since, until=until, now=clock.now())


def period(start: str | None, end: str | None) -> tuple[datetime | None, datetime | None]:
    """The moments between two texts; of `end` as a date the whole day. Raises BadRequest by the parameter's name."""
    since, until = moment(start, "from"), moment(end, "to")
    if until and end and len(end) == len("2026-01-31"):
        until += timedelta(days=1, microseconds=-1)
    if since and until and since > until:
        raise BadRequest("must not be after to.", field="from")
    return since, until
