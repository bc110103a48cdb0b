"""The evidence bundle over HTTP. What is too much for one answer: manage.py audit_export --format bundle."""

import tempfile
from typing import IO, Any

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

import audit
from audit import services
from audit.api import AuditView, moment, require_kept
from audit.exports import bundle
from audit.pruning import beginning
from audit.tree import checkpoints
from kaireon.api.errors import BadRequest, Conflict, NotFound
from kaireon.api.throttles import Rate
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantRequest

MOST_RECORDS = 100_000
# Kept in memory up to this; a larger one goes to a temporary file without a name.
_IN_MEMORY = 8 * 1024 * 1024


class AuditBundleView(AuditView):
    permission = Permission.EXPORT_AUDIT
    rates = {"GET": Rate("audit-export", per_minute=10)}

    def before_transaction(self) -> None:
        tenant = self.request.tenant_id
        services.drain(tenant)
        try:
            while checkpoints.make(tenant):
                pass
        except checkpoints.LogContradictsCheckpoint as error:
            raise Conflict("The log contradicts its last checkpoint: verify it first.", code="log_broken") from error

    @extend_schema(
        responses={(200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, description="docs/evidence.md")},
        operation_id="audit_logs_bundle",
        parameters=[OpenApiParameter(name, OpenApiTypes.DATETIME) for name in ("from", "to")],
    )
    def get(self, request: TenantRequest) -> FileResponse:
        """Records with everything that proves them, and the program that checks it: a zip for an auditor."""
        since, until = (moment(request.query_params.get(name), name) for name in ("from", "to"))
        if since and until and since > until:
            raise BadRequest("must not be after to.", field="from")
        require_kept(request, since, "from")
        try:
            wanted = bundle.range_of(since=since, until=until)
        except bundle.NothingToBundle as error:
            where = beginning.hint(request.tenant_id)
            raise NotFound(where or "No record lies between these moments.") from error
        if wanted.records > MOST_RECORDS:
            raise BadRequest(
                f"spans {wanted.records} records and one answer holds {MOST_RECORDS}: narrow from and to, or use"
                " manage.py audit_export --format bundle.",
                field="from",
            )
        return bundle_response(request.tenant_id, wanted)


def bundle_response(tenant_id: str, wanted: bundle.Range) -> FileResponse:
    """The bundle as a download, which is recorded. Raises bundle.NotCovered."""
    # The response closes it, when it is sent.
    file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
    manifest = bundle.write(file, wanted)
    file.seek(0)
    recorded(tenant_id, manifest)
    name = f"audit-evidence-{tenant_id}-{wanted.first}-{wanted.last}.zip"
    response = FileResponse(file, as_attachment=True, filename=name, content_type="application/zip")
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def recorded(tenant_id: str, manifest: dict[str, Any]) -> None:
    """That evidence left the house, and which."""
    audit.record(
        action="audit_log.export",
        entity_type="AuditLog",
        entity_id=tenant_id,
        changes={
            "format": "bundle",
            **{name: manifest[name] for name in ("firstSeq", "lastSeq", "records", "treeSize", "rootHash")},
        },
    )
