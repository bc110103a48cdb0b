"""The export of the log over HTTP, and its verification between two dates."""

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

import audit
from audit.api import AuditView, moment, require_kept
from audit.exports import bundle, files
from audit.models import AuditRecord, AuditRecordQuerySet
from audit.pruning import prune
from audit.tree import checkpoints
from audit.verification.verify import Verdict, verify
from kaireon.api.errors import BadRequest
from kaireon.api.paging import whole_number
from kaireon.api.serializers import StrictSerializer
from kaireon.api.throttles import Rate
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantRequest

MOST_RECORDS = 10_000
MOST_OFFSET = 10**12
FORMATS = ("json", "csv", "soc2")
FILTERS = {"entityType": "entity_type", "action": "action"}


class VerifyIn(StrictSerializer):
    action = serializers.RegexField(r"^verify_integrity$", error_messages={"invalid": "is verify_integrity."})
    startDate = serializers.CharField(required=False, allow_null=True)
    endDate = serializers.CharField(required=False, allow_null=True)


class VerifyOut(serializers.Serializer[Any]):
    verified = serializers.BooleanField(help_text="Hashes, links, numbers and tree hold.")
    recordsChecked = serializers.IntegerField()
    chainIntact = serializers.BooleanField()
    startDate = serializers.CharField(allow_null=True)
    endDate = serializers.CharField(allow_null=True)
    brokenAtId = serializers.CharField(required=False, allow_null=True)
    brokenReason = serializers.CharField(required=False)


class AuditExportView(AuditView):
    permission = Permission.EXPORT_AUDIT
    rates = {"GET": Rate("audit-export", per_minute=10), "POST": Rate("audit-export", per_minute=10)}

    @property
    def allowed_methods(self) -> list[str]:
        return ["GET", "POST", "HEAD", "OPTIONS"]

    @extend_schema(
        responses={
            (200, "application/json"): OpenApiResponse(OpenApiTypes.OBJECT, description="json and soc2"),
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, description="csv"),
        },
        operation_id="audit_export",
        parameters=[
            OpenApiParameter("format", str, enum=FORMATS),
            *(OpenApiParameter(name, OpenApiTypes.DATETIME) for name in ("startDate", "endDate")),
            *(OpenApiParameter(name, str) for name in FILTERS),
            *(OpenApiParameter(name, int) for name in ("limit", "offset")),
        ],
    )
    def get(self, request: TenantRequest) -> HttpResponse | Response:
        """Records in the order they were made, at most 10,000; soc2 sorts them by control area, with proof."""
        wanted = request.query_params.get("format", "json")
        if wanted not in FORMATS:
            raise BadRequest(f"must be one of {', '.join(FORMATS)}.", field="format")
        since, until = _dates(request.query_params.get("startDate"), request.query_params.get("endDate"))
        require_kept(request, since, "startDate")
        limit = whole_number(request, "limit", default=MOST_RECORDS, most=MOST_RECORDS)
        offset = whole_number(request, "offset", default=0, least=0, most=MOST_OFFSET)
        rows = _filtered(request, since, until)
        total = rows.count()
        records = [files.as_dict(row) for row in rows.order_by("seq")[offset : offset + limit]]
        stem = f"audit-export-{request.tenant_id}-{clock.now():%Y%m%dT%H%M%SZ}"
        answer: HttpResponse | Response
        if wanted == "csv":
            answer = HttpResponse("".join(files.as_csv(records)), content_type="text/csv; charset=utf-8")
            answer["Content-Disposition"] = f'attachment; filename="{stem}.csv"'
        elif wanted == "soc2":
            answer = Response(_package(request, since, until, records, total))
            answer["Content-Disposition"] = f'attachment; filename="{stem}-soc2.json"'
        else:
            answer = Response({"data": records, "total": total, "exportedAt": clock.rfc3339(clock.now())})
        audit.record(
            action="audit_log.export",
            entity_type="AuditLog",
            entity_id=request.tenant_id,
            changes={"format": wanted, "records": len(records), "total": total, "offset": offset},
        )
        answer["Cache-Control"] = "no-store"
        answer["X-Content-Type-Options"] = "nosniff"
        return answer

    @extend_schema(request=VerifyIn, responses=VerifyOut, operation_id="audit_export_verify")
    def post(self, request: TenantRequest) -> Response:
        """Verify the records between two dates, with the whole run of the chain that lies between them."""
        asked = VerifyIn(data=request.data)
        asked.is_valid(raise_exception=True)
        dates = {name: asked.validated_data.get(name) for name in ("startDate", "endDate")}
        verdict = _verified(*_dates(dates["startDate"], dates["endDate"]))
        audit.record(
            action="audit_log.verify",
            entity_type="AuditLog",
            entity_id=request.tenant_id,
            changes={"intact": verdict.intact, "scanned": verdict.scanned, "window": verdict.window},
        )
        answer = {
            "verified": verdict.intact,
            "recordsChecked": verdict.scanned,
            "chainIntact": verdict.intact,
            **dates,
        }
        if not verdict.intact:
            answer |= {"brokenAtId": verdict.broken_at_id, "brokenReason": verdict.broken_reason}
        return Response(answer)


def _dates(start: str | None, end: str | None) -> tuple[datetime | None, datetime | None]:
    since, until = moment(start, "startDate"), moment(end, "endDate")
    if until and end and len(end) == len("2026-01-31"):
        # A date means the whole day.
        until += timedelta(days=1, microseconds=-1)
    if since and until and since > until:
        raise BadRequest("must not be after endDate.", field="startDate")
    return since, until


def _filtered(request: TenantRequest, since: datetime | None, until: datetime | None) -> AuditRecordQuerySet:
    rows: AuditRecordQuerySet = AuditRecord.objects.all()
    for name, column in FILTERS.items():
        if value := request.query_params.get(name):
            if "\x00" in value:
                raise BadRequest("may not hold NUL.", field=name)
            rows = rows.filter(**{column: value})
    if since:
        rows = rows.filter(timestamp__gte=since)
    if until:
        rows = rows.filter(timestamp__lte=until)
    return rows


def _verified(since: datetime | None, until: datetime | None) -> Verdict:
    if since is None and until is None:
        return verify()
    try:
        found = bundle.range_of(since=since, until=until)
    except bundle.NothingToBundle:
        return Verdict(total=0, window=True)
    return verify(span=(found.first, found.last))


def _package(
    request: TenantRequest,
    since: datetime | None,
    until: datetime | None,
    records: list[dict[str, Any]],
    total: int,
) -> dict[str, Any]:
    newest = checkpoints.newest(request.tenant_id)
    return {
        "package": "soc2",
        "tenantId": request.tenant_id,
        "period": {
            "start": clock.rfc3339(since) if since else None,
            "end": clock.rfc3339(until) if until else None,
        },
        "population": {"total": total, "included": len(records)},
        "controlAreas": files.by_area(records),
        "removed": [prune.wire(stone) for stone in prune.tombstones_of(request.tenant_id)],
        "integrity": _verified(since, until).as_wire(),
        "checkpoint": newest.note if newest else None,
        "exportedBy": {"id": request.actor.id, "name": request.actor.name, "type": request.actor.type},
        "exportedAt": clock.rfc3339(clock.now()),
    }
