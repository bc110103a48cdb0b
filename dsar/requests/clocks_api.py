"""The clocks of requests over HTTP: read, extended, paused and run again."""

from datetime import date, datetime
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from dsar import deadlines
from dsar.deadlines import Clock, Ground
from dsar.models import DsarRequest
from dsar.requests import clocks
from dsar.requests.clocks_serializers import ClockOut, ExtendIn, PauseIn
from kaireon.api.errors import Conflict, NotFound
from kaireon.api.serializers import ErrorBodySerializer
from kaireon.lib import clock as wall
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest

CHANGED = {200: ClockOut, **dict.fromkeys((400, 404, 409), ErrorBodySerializer)}


class DsarClockView(TenantAPIView):
    permission = Permission.READ_DSAR

    @extend_schema(responses={200: ClockOut, 404: ErrorBodySerializer}, operation_id="dsar_clock")
    def get(self, request: TenantRequest, request_id: Any) -> Response:
        """When the answer is due, what changed that, and the articles that say so."""
        row = _found(request_id)
        return Response(shown(row, clocks.clock_of(row)))


class DsarExtendView(TenantAPIView):
    permission = Permission.MANAGE_DSAR
    idempotent = True

    @extend_schema(request=ExtendIn, responses=CHANGED, operation_id="dsar_extend")
    def post(self, request: TenantRequest, request_id: Any) -> Response:
        """Give the answer the one extension of the law. 409 cites the article when there is none to give."""
        given = ExtendIn(data=request.data)
        given.is_valid(raise_exception=True)
        row = _found(request_id)
        try:
            extended = clocks.extend_request(
                request=row, reason=given.validated_data["reason"], actor=request.actor, now=wall.now()
            )
        except deadlines.ExtensionRefused as error:
            raise Conflict(str(error), code="extension_refused") from error
        except clocks.RequestAnswered as error:
            raise _answered() from error
        return Response(shown(row, extended))


class DsarPauseView(TenantAPIView):
    permission = Permission.MANAGE_DSAR
    idempotent = True

    @extend_schema(request=PauseIn, responses=CHANGED, operation_id="dsar_pause")
    def post(self, request: TenantRequest, request_id: Any) -> Response:
        """Stop the clock while something was asked for. 409 cites the article where the law does not allow it."""
        given = PauseIn(data=request.data)
        given.is_valid(raise_exception=True)
        row = _found(request_id)
        try:
            paused = clocks.pause_request(
                request=row,
                ground=Ground(given.validated_data["ground"]),
                reason=given.validated_data["reason"],
                actor=request.actor,
                now=wall.now(),
            )
        except deadlines.PauseRefused as error:
            raise Conflict(str(error), code="pause_refused") from error
        except clocks.RequestAnswered as error:
            raise _answered() from error
        return Response(shown(row, paused))


class DsarResumeView(TenantAPIView):
    permission = Permission.MANAGE_DSAR
    idempotent = True

    @extend_schema(request=None, responses=CHANGED, operation_id="dsar_resume")
    def post(self, request: TenantRequest, request_id: Any) -> Response:
        """Let the clock run again, because what was asked for came. 409 when it runs."""
        row = _found(request_id)
        try:
            running = clocks.resume_request(request=row, actor=request.actor, now=wall.now())
        except deadlines.PauseRefused as error:
            raise Conflict(str(error), code="resume_refused") from error
        except clocks.RequestAnswered as error:
            raise _answered() from error
        return Response(shown(row, running))


def shown(row: DsarRequest, times: Clock) -> dict[str, Any]:
    """A clock as callers see it. A day is shown as its last second, in the offset of the tenant."""

    def end_of(day: date) -> str:
        return deadlines.end_of(day, times.tz).isoformat()

    def local(moment: datetime) -> str:
        return moment.astimezone(times.tz).isoformat()

    answer: dict[str, Any] = {
        "regulation": times.regulation,
        "lawVersion": row.clock_terms.get("law", times.law.version),
        "receivedAt": local(times.received),
        "dueAt": end_of(times.due),
    }
    if times.extension is not None and times.extended_due is not None:
        answer["extendedDueAt"] = end_of(times.extended_due)
    answer["deadlineAt"] = end_of(times.deadline) if times.deadline is not None else None
    if times.acknowledge_by is not None:
        answer["acknowledgeBy"] = end_of(times.acknowledge_by)
    answer["pauses"] = [
        {
            "ground": str(pause.ground),
            "reason": pause.reason,
            "pausedAt": local(pause.at),
            "resumedAt": local(pause.ended) if pause.ended is not None else None,
        }
        for pause in times.pauses
    ]
    answer["rules"] = [{"rule": r.rule, "article": r.article, "effect": r.effect} for r in times.rules]
    return answer


def _answered() -> Conflict:
    return Conflict("This request was answered: its clock has stopped for good.", code="already_answered")


def _found(request_id: Any) -> DsarRequest:
    row = DsarRequest.objects.filter(pk=request_id).first()
    if row is None:
        raise NotFound
    return row
