"""Requests of data subjects over HTTP."""

import json
import re
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

import audit
from dsar import deadlines
from dsar.dossiers import dossier, handing_out, keeping
from dsar.erasing import plans, steps
from dsar.models import Dossier, DsarRequest, IdentityCheck, Outcome, RequestType, State, Status, SubjectType
from dsar.requests import clocks, identity, life_api, services, subjects
from dsar.requests.kinds import ENDING_CONTACT, KINDS, WITH_PACKAGE
from dsar.requests.serializers import (
    DsarFiledOut,
    DsarIn,
    DsarListOut,
    DsarOut,
    ErasureIn,
    ErasureOut,
    ErasureWaitsOut,
)
from kaireon.api.errors import ApiError, BadRequest, Conflict, Gone, NotFound, Unavailable
from kaireon.api.paging import whole_number
from kaireon.api.serializers import ErrorBodySerializer
from kaireon.api.throttles import Rate
from kaireon.jobs import runner
from kaireon.jobs import services as jobs
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest

# Larger packages are downloaded; a list carries no more than this of all its packages together.
INLINE_BYTES = 1024 * 1024
INLINE_BYTES_PER_LIST = 4 * INLINE_BYTES
MOST_LISTED = 200

# What a list is filtered by, and the values there are.
FILTERS: dict[str, tuple[str, list[str]]] = {
    "status": ("status", list(Status.values)),
    "requestType": ("request_type", list(RequestType.values)),
    "state": ("state", list(State.values)),
    "outcome": ("outcome", [outcome for outcome in Outcome.values if outcome]),
}

DOWNLOADED_VERB = "dsar.export.downloaded"


class ErasureFailed(ApiError):
    status_code = 500
    default_code = "erasure_failed"
    default_detail = "The erasure failed and was rolled back: nothing was erased."


class AnyFormat(DefaultContentNegotiation):
    """`format` in the query is the package's, not DRF's."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        renderer = renderers[0]
        return renderer, renderer.media_type


class DsarRequestsView(TenantAPIView):
    permissions = {"GET": Permission.READ_DSAR, "POST": Permission.MANAGE_DSAR}
    rates = {"POST": Rate("dsar-create", per_minute=10)}
    idempotent = True

    @extend_schema(
        request=DsarIn,
        responses={202: DsarFiledOut, 400: ErrorBodySerializer},
        operation_id="dsar_create",
        parameters=[OpenApiParameter("encrypt", bool, description="The same as in the body.")],
    )
    def post(self, request: TenantRequest) -> Response:
        """File a request. A worker answers it; read it back by its id."""
        serializer = DsarIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        filed = file_request(
            request_type=given["requestType"],
            subject_id=given["subjectId"],
            subject_type=given["subjectType"],
            regulation=given.get("regulation"),
            received_at=given.get("receivedAt"),
            encrypt=given["encrypt"] or _flag(request, "encrypt"),
            details=given.get("details", ""),
            language=given.get("language", ""),
            identity_by=given.get("identity", {}).get("method", ""),
            request=request,
        )
        self.after_commit(lambda: services.wake(filed))
        if "reason" in (proof := given.get("identity", {})):
            job = identity.vouch(request=filed.request, now=clock.now(), **proof)
            if job is not None:
                self.after_commit(lambda: jobs.wake(job))
        return Response({"requestId": str(filed.request.pk), "status": filed.request.status}, status=202)

    @extend_schema(
        responses=DsarListOut,
        operation_id="dsar_list",
        parameters=[
            *(OpenApiParameter(name, str, enum=values) for name, (_, values) in FILTERS.items()),
            OpenApiParameter("limit", int),
        ],
    )
    def get(self, request: TenantRequest) -> Response:
        """The tenant's requests, newest first; at most 200."""
        rows = DsarRequest.objects.newest_first()
        for name, (column, values) in FILTERS.items():
            if wanted := request.query_params.get(name):
                if wanted not in values:
                    raise BadRequest(f"must be one of {', '.join(values)}.", field=name)
                rows = rows.filter(**{column: wanted})
        limit = whole_number(request, "limit", default=50, most=MOST_LISTED)
        shown = _shown(list(rows[:limit]), now=clock.now(), via="list")
        return Response({"requests": shown, "count": len(shown), "total": rows.count()})


class DsarRequestView(TenantAPIView):
    permission = Permission.READ_DSAR

    @extend_schema(responses={200: DsarOut, 404: ErrorBodySerializer}, operation_id="dsar_get")
    def get(self, request: TenantRequest, request_id: Any) -> Response:
        """One request; a completed export of at most 1 MB comes with it. Reading a package is recorded."""
        return Response(_shown([_found(request_id)], now=clock.now(), via="request")[0])


class DsarDownloadView(TenantAPIView):
    permission = Permission.READ_DSAR
    content_negotiation_class = AnyFormat

    @extend_schema(
        responses={
            200: OpenApiResponse(OpenApiTypes.BINARY, description="The portable dossier, or a zip to read."),
            **dict.fromkeys((404, 409, 410, 503), ErrorBodySerializer),
        },
        operation_id="dsar_download",
        parameters=[OpenApiParameter("format", str, enum=list(handing_out.FORMATS))],
    )
    def get(self, request: TenantRequest, request_id: Any) -> HttpResponseBase:
        """The package of a completed export as a file. Recorded.

        As a zip: pages, the portable dossier and its schema, tables, what the person may take along, a manifest.
        """
        wanted = request.query_params.get("format", "json")
        if wanted not in handing_out.FORMATS:
            raise BadRequest(f"must be {' or '.join(handing_out.FORMATS)}.", field="format")
        row = _found(request_id)
        if not KINDS[row.request_type].has_package:
            raise Conflict("Only an export request has a package.", code="not_an_export")
        if row.status != Status.COMPLETED:
            raise Conflict(f"The export is {row.status}: try again when it is completed.", code="not_completed")
        package = Dossier.objects.fresh(clock.now()).filter(request=row.answered_by).first()
        if package is None:
            raise Gone("The package has expired or was erased: file a new request.", code="package_gone")
        try:
            response = handing_out.FORMATS[wanted](row, package, file_name=file_name(row, wanted))
        except handing_out.AskedForEncrypted as error:
            raise Conflict(str(error), code="encrypted_package") from error
        except keeping.DossierMissing as error:
            raise Gone("The package is not in storage any more: file a new request.", code="package_gone") from error
        except keeping.StorageAway as error:
            raise Unavailable("Storage does not answer: try again shortly.", code="storage_away") from error
        _record_reading(row, via="download")
        return response


class ErasureView(TenantAPIView):
    permission = Permission.MANAGE_DSAR
    idempotent = True
    # Whom it erased is not kept for a day after.
    echoes = ("customerId",)
    atomic = False

    @extend_schema(
        request=ErasureIn,
        responses={200: ErasureOut, 202: ErasureWaitsOut, **dict.fromkeys((400, 404, 500), ErrorBodySerializer)},
        operation_id="gdpr_erasure",
    )
    def post(self, request: TenantRequest) -> Response:
        """Erase a customer at once. Rows go in one transaction; stored files follow, as the request then tells.

        The job is claimed in the transaction that files it, so that a crash in the middle is finished by a worker.
        Where the tenant demands proof of identity or a second person, or the operator a window in which it can be
        cancelled, the answer is 202 with the request, which waits for that.
        """
        serializer = ErasureIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        number = serializer.validated_data["customerId"]
        with transaction():
            self._refuse_unknown(number)
            filed = file_request(
                request_type=RequestType.DELETE, subject_id=number, at_once=True, request=request, field="customerId"
            )
            if filed.request.state in (State.IDENTITY, State.APPROVAL, State.WINDOW):
                # Nobody may run it yet, so nobody waits for it here.
                return Response(_waiting(filed.request), status=202)
            job = jobs.claim(job_id=filed.job.pk, now=clock.now())
        if job is not None:
            runner.work(job)
        with transaction():
            row = DsarRequest.objects.get(pk=filed.request.pk)
        if row.status == Status.FAILED and not row.counts:
            raise ErasureFailed
        if not row.counts:
            raise Unavailable(f"The erasure goes on in the background: read /api/v1/dsar/{row.pk}.")
        if row.outcome == Outcome.NO_DATA:
            # Somebody else erased the same customer a moment before.
            raise NotFound("There is no such customer.")
        return Response({"success": True, "customerId": number, **_erased(row), "requestId": str(row.pk)})

    def _refuse_unknown(self, number: str) -> None:
        try:
            customer = subjects.resolve(SubjectType.CUSTOMER_ID, number)
        except subjects.SubjectRefused as error:
            raise BadRequest(str(error), field="customerId") from error
        if customer is None:
            raise NotFound("There is no such customer.")


def file_request(*, request: TenantRequest, field: str = "subjectId", **given: Any) -> services.Filed:
    """`services.create_request`, with what it refuses told by the caller's field."""
    try:
        return services.create_request(actor=request.actor, now=clock.now(), **given)
    except subjects.SubjectRefused as error:
        raise BadRequest(str(error), field=field) from error
    except services.ReceivedAtRefused as error:
        raise BadRequest(str(error), field="receivedAt") from error


def file_name(row: DsarRequest, extension: str = "json") -> str:
    """`dsar-export-{subjectId}-{date}.json`, with nothing in it that a file system or a header could stumble on."""
    who = re.sub(r"[^\w.@+-]+", "_", row.subject_id)[:80].strip("._") or "subject"
    day = (row.closed_at or row.requested_at).date()
    return f"dsar-export-{who}-{day.isoformat()}.{extension}"


def _found(request_id: Any) -> DsarRequest:
    row = DsarRequest.objects.filter(pk=request_id).first()
    if row is None:
        raise NotFound
    return row


def _shown(rows: list[DsarRequest], *, now: datetime, via: str) -> list[dict[str, Any]]:
    exports = [row.answered_by for row in rows if row.request_type in WITH_PACKAGE and row.status == Status.COMPLETED]
    packages = {p.request_id: p for p in Dossier.objects.fresh(now).filter(request__in=exports).defer("sealed")}
    asked = dict(IdentityCheck.objects.filter(request__in=rows).values_list("request_id", "asked"))
    done = steps.of([row.pk for row in rows if row.request_type == RequestType.DELETE])
    inline = _inline(rows, packages)
    shown = []
    for row in rows:
        answer = {**_plain(row), "identity": life_api.identity_of(row, asked.get(row.pk, ""))}
        if row.pk in done:
            answer["steps"] = done[row.pk]
        if row.pk in inline:
            package = inline[row.pk]
            answer["exportedData"] = dossier.envelope(package) if row.encrypt else json.loads(dossier.opened(package))
        elif row.status == Status.COMPLETED and row.answered_by in packages:
            answer["downloadUrl"] = f"/api/v1/dsar/{row.pk}/download?format=json"
        shown.append(answer)
    if inline:
        read = [str(request_id) for request_id in inline]
        audit.record_each(
            action=DOWNLOADED_VERB, entity_type="DsarRequest", entity_ids=read, changes={"via": {"new": via}}
        )
    return shown


def _inline(rows: list[DsarRequest], packages: dict[UUID, Dossier]) -> dict[UUID, Dossier]:
    """The packages that come with their requests, by request; what is sealed of them is fetched all at once."""
    fitting, budget = {}, INLINE_BYTES_PER_LIST
    for row in rows:
        package = packages.get(row.answered_by) if row.status == Status.COMPLETED else None
        if package is not None and not package.file and package.size <= min(INLINE_BYTES, budget):
            budget -= package.size
            fitting[row.pk] = package
    sealed = dict(Dossier.objects.filter(pk__in={p.pk for p in fitting.values()}).values_list("pk", "sealed"))
    # Where one is missing it was erased this very moment.
    there = {request_id: package for request_id, package in fitting.items() if package.pk in sealed}
    for package in there.values():
        package.sealed = sealed[package.pk]
    return there


def _plain(row: DsarRequest) -> dict[str, Any]:
    zone = clocks.zone_of(row)
    answer: dict[str, Any] = {
        "id": str(row.pk),
        "tenantId": row.tenant_id,
        "requestType": row.request_type,
        "subjectId": row.subject_id,
        "subjectType": row.subject_type,
        "regulation": row.regulation,
        "requestedBy": row.requested_by,
        "requestedByName": row.requested_by_name,
        "status": row.status,
        "state": row.state,
        # What a package in review came to is told when it is handed out.
        "outcome": row.outcome if row.outcome and row.state != State.REVIEW else None,
        "duplicateOf": str(row.duplicate_of) if row.duplicate_of else None,
        "assignedTo": {"id": row.assigned_to, "name": row.assigned_name} if row.assigned_to else None,
        "rejected": {"ground": row.ground, "article": row.article} if row.ground else None,
        "error": row.error or None,
        "encrypt": row.encrypt,
        "receivedAt": clock.rfc3339(row.received_at),
        "requestedAt": clock.rfc3339(row.requested_at),
        "startedAt": _moment(row.started_at),
        "completedAt": _moment(row.closed_at),
        "answeredAt": _moment(row.answered_at),
        "dueAt": _end_of(row.due_on, zone),
        "deadlineAt": _end_of(row.deadline_on, zone) if row.deadline_on else None,
    }
    if row.request_type == RequestType.DELETE and row.erased_at is not None:
        answer |= _erased(row)
        answer["objects"] = row.counts.get("objects", {})
    if row.package_expires_at is not None or (row.request_type in ENDING_CONTACT and row.counts):
        answer["counts"] = row.counts
    if row.package_expires_at is not None:
        answer["packageExpiresAt"] = _moment(row.package_expires_at)
    return answer


def _waiting(row: DsarRequest) -> dict[str, Any]:
    proving = row.state == State.IDENTITY
    plan = {} if proving else plans.wire(plans.look(row, now=clock.now()))
    return {
        "requestId": str(row.pk),
        "status": row.status,
        "state": row.state,
        "approvalId": plan.get("approvalId"),
        "cancelUntil": plan.get("cancelUntil"),
    }


def _erased(row: DsarRequest) -> dict[str, Any]:
    deleted = row.counts.get("deleted", {})
    return {
        "deletedCounts": deleted,
        "reducedCounts": row.counts.get("reduced", {}),
        "totalDeleted": sum(deleted.values()),
        "retained": row.retained,
    }


def _record_reading(row: DsarRequest, *, via: str) -> None:
    audit.record(
        action=DOWNLOADED_VERB, entity_type="DsarRequest", entity_id=str(row.pk), changes={"via": {"new": via}}
    )


def _end_of(day: date, zone: ZoneInfo) -> str:
    return deadlines.end_of(day, zone).isoformat()


def _moment(moment: datetime | None) -> str | None:
    return clock.rfc3339(moment) if moment else None


def _flag(request: TenantRequest, name: str) -> bool:
    text = request.query_params.get(name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise BadRequest("must be true or false.", field=name)
    return text in ("true", "1")
