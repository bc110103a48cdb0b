"""A request's life over HTTP: proof of identity, rejection, withdrawal, completion, assignment, its timeline."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from audit import services as audit_log
from dsar.models import DsarRequest, IdentityCheck, State
from dsar.requests import assigning, grounds, identity, outcomes, subjects
from dsar.requests import timeline as timelines
from dsar.requests.identity import IdentityRefused, Verdict
from dsar.requests.kinds import KINDS
from dsar.requests.life_serializers import (
    AssignIn,
    CodeIn,
    CodeSentOut,
    CompleteIn,
    LifeOut,
    RejectIn,
    TimelineOut,
    VouchIn,
)
from kaireon.api.errors import ApiError, BadRequest, Conflict, NotFound
from kaireon.api.serializers import ErrorBodySerializer, StrictSerializer
from kaireon.api.throttles import Rate
from kaireon.jobs import services as jobs
from kaireon.lib import clock
from kaireon.outbox import services as outbox
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest

_MOVED = {200: LifeOut, **dict.fromkeys((400, 404, 409), ErrorBodySerializer)}

WRONG: dict[Verdict, str] = {
    Verdict.WRONG: "This is not the code that was sent.",
    Verdict.EXPIRED: "There is no code, or it has expired: send a new one.",
    Verdict.LOCKED: "Too many wrong codes: an officer has to make sure otherwise.",
}


class WaitFirst(ApiError):
    status_code = 429
    default_code = "code_too_soon"


class _Move(TenantAPIView):
    """One move of one request, by those who manage requests."""

    permission = Permission.MANAGE_DSAR
    idempotent = True


class DsarCodeView(_Move):
    rates = {"POST": Rate("dsar-code", per_minute=10)}

    @extend_schema(
        request=None,
        responses={200: CodeSentOut, **dict.fromkeys((404, 409, 429), ErrorBodySerializer)},
        operation_id="dsar_identity_code",
    )
    def post(self, request: TenantRequest, request_id: Any) -> Response:
        """Mail the subject a code, at most three in all, one a minute. The code before ends."""
        row = found(request_id)
        with _told():
            message = identity.send_code(request=row, now=clock.now())
        self.after_commit(lambda: outbox.wake(message))
        check = IdentityCheck.objects.get(request=row)
        left = identity.MOST_CODES - check.codes_sent
        sent = {"expiresAt": clock.rfc3339(check.expires_at or clock.now()), "codesLeft": left}
        return Response({"requestId": str(row.pk), **sent})


class DsarVerifyView(_Move):
    rates = {"POST": Rate("dsar-verify", per_minute=30)}
    # A wrong code is counted, and that is not taken back by the answer which says so.
    atomic = False

    @extend_schema(request=CodeIn, responses=_MOVED, operation_id="dsar_identity_verify")
    def post(self, request: TenantRequest, request_id: Any) -> Response:
        """The code that the subject got. Right: the request is accepted. Five wrong ones, and codes do not count."""
        given = _given(CodeIn, request)
        with transaction():
            row = found(request_id)
            with _told():
                verdict, job = identity.verify(request=row, code=given["code"], now=clock.now())
        if verdict != Verdict.PROVED:
            raise Conflict(WRONG[verdict], code=verdict)
        if job is not None:
            jobs.wake(job)
        with transaction():
            return _moved(found(request_id))


class DsarVouchView(_Move):
    @extend_schema(request=VouchIn, responses=_MOVED, operation_id="dsar_identity_vouch")
    def post(self, request: TenantRequest, request_id: Any) -> Response:
        """An officer has seen evidence, or is sure, and says why. The document itself is never sent here."""
        given = _given(VouchIn, request)
        row = found(request_id)
        with _told():
            job = identity.vouch(request=row, now=clock.now(), **given)
        if job is not None:
            self.after_commit(lambda: jobs.wake(job))
        return _moved(found(request_id))


class DsarRejectView(_Move):
    @extend_schema(request=RejectIn, responses=_MOVED, operation_id="dsar_reject")
    def post(self, request: TenantRequest, request_id: Any) -> Response:
        """Refuse the request on a ground that its law knows; the article is written down with it."""
        given = _given(RejectIn, request)
        with _told():
            return _moved(outcomes.reject(request=found(request_id), actor=request.actor, now=clock.now(), **given))


class DsarWithdrawView(_Move):
    @extend_schema(request=None, responses=_MOVED, operation_id="dsar_withdraw")
    def post(self, request: TenantRequest, request_id: Any) -> Response:
        """The subject does not want it any more. An erasure whose rows are gone stays done: 409."""
        with _told():
            return _moved(outcomes.withdraw(request=found(request_id), actor=request.actor, now=clock.now()))


class DsarCompleteView(_Move):
    @extend_schema(request=CompleteIn, responses=_MOVED, operation_id="dsar_complete")
    def post(self, request: TenantRequest, request_id: Any) -> Response:
        """Say what was done about a request that a person works on, or release a package in review."""
        given = _given(CompleteIn, request)
        row = found(request_id)
        if "outcome" in given and not KINDS[row.request_type].by_person:
            raise BadRequest("is the worker's to say for such a request.", field="outcome")
        about_marketing = given.pop("directMarketing")
        with _told():
            done = outcomes.complete(request=row, direct_marketing=about_marketing, now=clock.now(), **given)
            return _moved(done)


class DsarAssignView(_Move):
    @extend_schema(request=AssignIn, responses=_MOVED, operation_id="dsar_assign")
    def post(self, request: TenantRequest, request_id: Any) -> Response:
        """Give the request to a member who may work on it, or to nobody."""
        given = _given(AssignIn, request)
        row = found(request_id)
        try:
            with _told():
                return _moved(assigning.assign(request=row, to=given["to"] or ""))
        except assigning.NotAnOfficer as error:
            raise BadRequest(str(error), field="to") from error


class DsarTimelineView(TenantAPIView):
    permission = Permission.READ_DSAR

    def before_transaction(self) -> None:
        audit_log.drain(self.request.tenant_id)

    @extend_schema(responses={200: TimelineOut, 404: ErrorBodySerializer}, operation_id="dsar_timeline")
    def get(self, request: TenantRequest, request_id: Any) -> Response:
        """What happened to the request, oldest first: its audit records."""
        row = found(request_id)
        events = [
            {
                "at": clock.rfc3339(event.at),
                "action": event.action,
                "by": event.by or None,
                "byType": event.by_type,
                "state": event.state,
                "recordId": str(event.record),
            }
            for event in timelines.timeline(row)
        ]
        return Response({"requestId": str(row.pk), "events": events})


def identity_of(row: DsarRequest, asked: str) -> dict[str, Any] | None:
    """Of a request that proof was demanded of; None of others. `asked` is the method that was asked for."""
    if not asked:
        return None
    proved_at = row.identity_proved_at
    return {
        "method": row.identity_method or asked,
        "proved": proved_at is not None,
        "provedAt": clock.rfc3339(proved_at) if proved_at else None,
    }


def found(request_id: Any) -> DsarRequest:
    row = DsarRequest.objects.filter(pk=request_id).first()
    if row is None:
        raise NotFound
    return row


@contextmanager
def _told() -> Iterator[None]:
    """What services refuse, as answers."""
    try:
        yield
    except identity.CodeTooSoon as error:
        raise WaitFirst(str(error), headers={"Retry-After": str(error.seconds)}) from error
    except IdentityRefused as error:
        raise Conflict(str(error), code=error.code) from error
    except grounds.GroundNotInLaw as error:
        raise BadRequest(str(error), field="ground", code="ground_not_in_law") from error
    except tuple(REFUSALS) as error:
        code, message = REFUSALS[type(error)]
        raise Conflict(message, code=code) from error


REFUSALS: dict[type[Exception], tuple[str, str]] = {
    outcomes.RequestClosed: ("already_completed", "The request was answered, rejected or withdrawn already."),
    outcomes.AlreadyErased: ("already_erased", "The rows of the subject are erased: that cannot be taken back."),
    outcomes.IdentityNotProven: ("identity_not_proven", "First make sure that the subject asks."),
    outcomes.NotForOfficers: ("not_in_review", "A worker answers this request, and it is not in review."),
    outcomes.PackageGone: ("package_gone", "The package has expired: reject or withdraw the request, file it anew."),
    outcomes.NotAnObjection: ("not_an_objection", "Direct marketing is what an objection is to."),
    subjects.AmbiguousSubject: (
        "ambiguous_subject",
        "Several customers share this address: reject the request, and file it by customer number.",
    ),
    outcomes.WaitsForAnother: ("is_duplicate", "It is answered with the request that it is a duplicate of."),
}


def _given(serializer: type[StrictSerializer], request: TenantRequest) -> dict[str, Any]:
    read = serializer(data=request.data)
    read.is_valid(raise_exception=True)
    given: dict[str, Any] = read.validated_data
    return given


def _moved(row: DsarRequest) -> Response:
    ended = row.state == State.COMPLETED
    outcome = row.outcome if ended and row.outcome else None
    return Response({"requestId": str(row.pk), "status": row.status, "state": row.state, "outcome": outcome})
