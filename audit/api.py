"""The log over HTTP: read, never written. Every read of it is recorded in it."""

import re
from datetime import UTC, datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.response import Response

import audit
from audit import services
from audit.models import AuditRecord, AuditRecordQuerySet
from audit.pruning import beginning
from audit.verification.verify import verify
from kaireon.api.errors import BadRequest, Gone, NotFound
from kaireon.api.paging import page_of, whole_number
from kaireon.api.serializers import PageOut
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest

IMMUTABLE = "Audit logs are immutable and cannot be deleted."
ALLOW = "GET, HEAD, OPTIONS"
FILTERS = {"entityType": "entity_type", "entityId": "entity_id", "action": "action", "userId": "user_id"}
MOST_VERIFIED = 10_000_000
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class AuditRecordOut(serializers.ModelSerializer[AuditRecord]):
    entityType = serializers.CharField(source="entity_type")
    entityId = serializers.CharField(source="entity_id")
    entityName = serializers.CharField(source="entity_name", allow_null=True)
    changes = serializers.JSONField(allow_null=True)
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)
    entityVersion = serializers.IntegerField(source="entity_version", allow_null=True)
    userId = serializers.CharField(source="user_id", allow_null=True)
    userName = serializers.CharField(source="user_name")
    actorType = serializers.ChoiceField(source="actor_type", choices=["user", "api_key", "job", "system"])
    tenantId = serializers.CharField(source="tenant_id")
    requestId = serializers.CharField(source="request_id", allow_null=True)
    integrityHash = serializers.CharField(source="integrity_hash")
    prevHash = serializers.CharField(source="prev_hash")

    class Meta:
        model = AuditRecord
        fields = [
            *("id", "seq", "action", "entityType", "entityId", "entityName", "changes", "before", "after"),
            *("entityVersion", "userId", "userName", "actorType", "tenantId", "requestId", "timestamp"),
            *("integrityHash", "prevHash"),
        ]


class AuditLogsOut(PageOut):
    logs = AuditRecordOut(many=True)


class VerdictOut(serializers.Serializer[Any]):
    intact = serializers.BooleanField()
    verified = serializers.IntegerField(help_text="Records before the first fault.")
    total = serializers.IntegerField()
    scanned = serializers.IntegerField()
    windowOnly = serializers.BooleanField(required=False, help_text="Present when only the last N were checked.")
    brokenAtId = serializers.CharField(required=False, allow_null=True)
    brokenReason = serializers.CharField(required=False)


class AuditView(TenantAPIView):
    """Drains the inbox before the reader's transaction, so that a caller always sees its own writes."""

    permission = Permission.READ_AUDIT

    def before_transaction(self) -> None:
        services.drain(self.request.tenant_id)

    @property
    def allowed_methods(self) -> list[str]:
        return ALLOW.split(", ")

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        raise MethodNotAllowed(request.method or "", detail=IMMUTABLE)


class AuditLogsView(AuditView):
    @extend_schema(
        responses=AuditLogsOut,
        operation_id="audit_logs_list",
        parameters=[
            *(OpenApiParameter(name, str) for name in FILTERS),
            *(OpenApiParameter(name, OpenApiTypes.DATETIME) for name in ("from", "to")),
            *(OpenApiParameter(name, int) for name in ("page", "limit")),
        ],
    )
    def get(self, request: TenantRequest) -> Response:
        """The tenant's records, newest first; at most 100 a page."""
        rows = page_of(request, _filtered(request).newest_first())
        audit.record(action="audit_log.read", entity_type="AuditLog", entity_id=request.tenant_id)
        return Response(
            {
                "logs": AuditRecordOut(rows.items, many=True).data,
                "total": rows.total,
                "page": rows.page,
                "limit": rows.limit,
            }
        )


class AuditLogView(AuditView):
    @extend_schema(responses=AuditRecordOut, operation_id="audit_logs_get")
    def get(self, request: TenantRequest, record_id: Any) -> Response:
        """One record."""
        row = AuditRecord.objects.filter(pk=record_id).first()
        if row is None:
            raise not_found(request)
        audit.record(action="audit_log.read", entity_type="AuditLog", entity_id=str(record_id))
        return Response(AuditRecordOut(row).data)


class AuditVerifyView(AuditView):
    @extend_schema(responses=VerdictOut, operation_id="audit_logs_verify", parameters=[OpenApiParameter("limit", int)])
    def get(self, request: TenantRequest) -> Response:
        """Check the whole log, or its last `limit` records, against its hashes."""
        limit = whole_number(request, "limit", default=0, most=MOST_VERIFIED)
        verdict = verify(limit=limit or None)
        audit.record(
            action="audit_log.verify",
            entity_type="AuditLog",
            entity_id=request.tenant_id,
            changes={"intact": verdict.intact, "scanned": verdict.scanned, "window": verdict.window},
        )
        return Response(verdict.as_wire())


def _filtered(request: TenantRequest) -> AuditRecordQuerySet:
    rows: AuditRecordQuerySet = AuditRecord.objects.all()
    wanted = {field: request.query_params[name] for name, field in FILTERS.items() if name in request.query_params}
    if any("\x00" in value for value in wanted.values()):
        raise BadRequest("a filter may not hold NUL.")
    rows = rows.filter(**wanted)
    if since := moment(request.query_params.get("from"), "from"):
        rows = rows.filter(timestamp__gte=since)
    if until := moment(request.query_params.get("to"), "to"):
        rows = rows.filter(timestamp__lte=until)
    return rows


def not_found(request: TenantRequest) -> NotFound:
    """For a record that this tenant's log does not have, or has no more."""
    where = beginning.hint(request.tenant_id)
    return NotFound(where) if where else NotFound()


def require_kept(request: TenantRequest, since: datetime | None, name: str) -> None:
    """Raises Gone, by the parameter's name, when what the range begins with lies in an archive."""
    try:
        beginning.require_kept(request.tenant_id, since)
    except beginning.BeganEarlier as error:
        raise Gone(f"{name} {error}", code="pruned") from error


def moment(text: str | None, name: str) -> datetime | None:
    """The moment that a parameter says; a date alone is its first one in UTC. Raises BadRequest by its name."""
    if text is None:
        return None
    try:
        # A plus sign in a query string arrives as a space unless it was encoded.
        found = parse_datetime(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text.replace(" ", "+"))
    except ValueError as error:
        raise BadRequest("is not a date that exists.", field=name) from error
    if found is None or found.tzinfo is None:
        raise BadRequest("must be ISO 8601 with a time zone, such as 2026-01-31T00:00:00Z.", field=name)
    try:
        return found.astimezone(UTC)
    except OverflowError as error:
        # Past the ends of the calendar, as with 9999-12-31T23:59:59-14:00.
        raise BadRequest("is not a date that exists.", field=name) from error
