"""Exports without a limit over HTTP: ask for one, see how far it is, fetch the file."""

import base64
from datetime import datetime
from typing import Any

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from audit.api import moment, require_kept
from audit.exports import copying, jobs
from audit.models import AuditExport, ExportStatus
from kaireon.api.errors import BadRequest, Conflict, Gone, NotFound
from kaireon.api.paging import page_of
from kaireon.api.serializers import ErrorBodySerializer, PageOut, StrictSerializer
from kaireon.api.throttles import Rate
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest

CONTENT_TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


class AuditExportIn(StrictSerializer):
    format = serializers.ChoiceField(choices=copying.FORMATS)
    entityType = serializers.CharField(required=False, max_length=200)
    action = serializers.CharField(required=False, max_length=200)

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of the language.
        text = {name: serializers.CharField(required=False, allow_null=True) for name in ("from", "to")}
        return {**super().get_fields(), **text}


class AuditExportRequestedOut(serializers.Serializer[Any]):
    exportId = serializers.UUIDField()
    status = serializers.ChoiceField(choices=ExportStatus.choices)


class AuditExportJobOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    format = serializers.ChoiceField(choices=copying.FORMATS)
    status = serializers.ChoiceField(choices=ExportStatus.choices)
    percent = serializers.IntegerField()
    error = serializers.CharField(allow_null=True, help_text="Reason code of a failed export.")
    entityType = serializers.CharField(allow_null=True)
    action = serializers.CharField(allow_null=True)
    requestedBy = serializers.CharField()
    requestedByName = serializers.CharField()
    requestedAt = serializers.DateTimeField()
    finishedAt = serializers.DateTimeField(allow_null=True)
    expiresAt = serializers.DateTimeField(allow_null=True)
    records = serializers.IntegerField(allow_null=True)
    bytes = serializers.IntegerField(allow_null=True)
    sha256 = serializers.CharField(allow_null=True)
    firstSeq = serializers.IntegerField(allow_null=True)
    lastSeq = serializers.IntegerField(allow_null=True)
    manifest = serializers.JSONField(allow_null=True, help_text="What the file is: docs/evidence.md.")
    downloadUrl = serializers.CharField(allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        moments = {name: serializers.DateTimeField(allow_null=True) for name in ("from", "to")}
        return {**super().get_fields(), **moments}


class AuditExportsOut(PageOut):
    exports = AuditExportJobOut(many=True)


class AuditExportsView(TenantAPIView):
    permission = Permission.EXPORT_AUDIT
    rates = {"POST": Rate("audit-export", per_minute=10)}
    idempotent = True

    @extend_schema(
        request=AuditExportIn,
        responses={202: AuditExportRequestedOut, **dict.fromkeys((400, 409, 410), ErrorBodySerializer)},
        operation_id="audit_exports_create",
    )
    def post(self, request: TenantRequest) -> Response:
        """Ask for the whole log, or the records between two moments, as a file. A worker writes it."""
        serializer = AuditExportIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        since = moment(given.get("from"), "from")
        require_kept(request, since, "from")
        try:
            requested = jobs.request(
                format_=given["format"],
                since=since,
                until=moment(given.get("to"), "to"),
                entity_type=given.get("entityType", ""),
                action=given.get("action", ""),
                actor=request.actor,
                now=clock.now(),
            )
        except jobs.ExportRefused as error:
            raise BadRequest(str(error), field=error.field) from error
        except jobs.TooManyOpen as error:
            raise Conflict(str(error), code="too_many_exports") from error
        self.after_commit(lambda: _wake(requested))
        return Response({"exportId": str(requested.export.pk), "status": requested.export.status}, status=202)

    @extend_schema(
        responses=AuditExportsOut,
        operation_id="audit_exports_list",
        parameters=[OpenApiParameter(name, int) for name in ("page", "limit")],
    )
    def get(self, request: TenantRequest) -> Response:
        """The tenant's exports, newest first; at most 100 a page."""
        rows = page_of(request, AuditExport.objects.newest_first())
        now = clock.now()
        return Response(
            {
                "exports": [shown(row, now=now) for row in rows.items],
                "total": rows.total,
                "page": rows.page,
                "limit": rows.limit,
            }
        )


class AuditExportStatusView(TenantAPIView):
    permission = Permission.EXPORT_AUDIT

    @extend_schema(responses={200: AuditExportJobOut, 404: ErrorBodySerializer}, operation_id="audit_exports_get")
    def get(self, request: TenantRequest, export_id: Any) -> Response:
        """How far an export is, and what it came to."""
        return Response(shown(_found(export_id), now=clock.now()))


class AuditExportDownloadView(TenantAPIView):
    permission = Permission.EXPORT_AUDIT

    @extend_schema(
        responses={
            200: OpenApiResponse(OpenApiTypes.BINARY, description="NDJSON, a record a line; or CSV."),
            **dict.fromkeys((404, 409, 410), ErrorBodySerializer),
        },
        operation_id="audit_exports_download",
    )
    def get(self, request: TenantRequest, export_id: Any) -> FileResponse:
        """The file of a completed export. Recorded."""
        export = _found(export_id)
        try:
            file = jobs.opened(export, now=clock.now())
        except jobs.NotReady as error:
            raise Conflict(f"{error} Read its status first.", code="not_completed") from error
        except jobs.FileGone as error:
            raise Gone(str(error), code="file_gone") from error
        response = FileResponse(
            file,
            as_attachment=True,
            filename=jobs.file_name(export),
            content_type=CONTENT_TYPES[export.format],
        )
        response["Content-Length"] = str(export.size)
        response["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(export.sha256)).decode()}:"
        response["Cache-Control"] = "no-store"
        response["X-Content-Type-Options"] = "nosniff"
        return response


def shown(export: AuditExport, *, now: datetime) -> dict[str, Any]:
    """An export with the names of the API."""
    progress = jobs.progress_of(export)
    there = bool(export.object_name) and export.expires_at is not None and export.expires_at > now
    return {
        "id": str(export.pk),
        "format": export.format,
        "status": progress.status,
        "percent": progress.percent,
        "error": progress.error or None,
        "from": _moment(export.since),
        "to": _moment(export.until),
        "entityType": export.entity_type or None,
        "action": export.action or None,
        "requestedBy": export.requested_by,
        "requestedByName": export.requested_by_name,
        "requestedAt": _moment(export.created_at),
        "finishedAt": _moment(export.finished_at),
        "expiresAt": _moment(export.expires_at),
        "records": export.records,
        "bytes": export.size,
        "sha256": export.sha256 or None,
        "firstSeq": export.first_seq,
        "lastSeq": export.last_seq,
        "manifest": export.manifest,
        "downloadUrl": f"/api/v1/audit-exports/{export.pk}/download" if there else None,
    }


def _wake(requested: jobs.Requested) -> None:
    jobs.wake(requested)


def _found(export_id: Any) -> AuditExport:
    row = AuditExport.objects.filter(pk=export_id).first()
    if row is None:
        raise NotFound
    return row


def _moment(moment: datetime | None) -> str | None:
    return clock.rfc3339(moment) if moment else None
