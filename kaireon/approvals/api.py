"""The inbox of approvals over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.response import Response

from kaireon.api.errors import BadRequest, Conflict, Forbidden, NotFound
from kaireon.api.logs import request_id as correlation
from kaireon.api.paging import page_of
from kaireon.api.throttles import Rate
from kaireon.approvals import sealed, services
from kaireon.approvals.models import ApprovalRequest, ApprovalVote, State
from kaireon.approvals.serializers import AnswerIn, AnswerOut, ApprovalDetailOut, ApprovalOut, ApprovalsOut
from kaireon.lib import clock
from kaireon.tenancy import signals
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest

# What a service refuses, as an answer: 403 for who asks, 409 for when they do.
_FORBIDDEN: dict[type[Exception], tuple[str, str]] = {
    services.PersonRequired: ("person_required", "A yes is a person's: sign in, an API key cannot give one."),
    services.OwnRequest: ("own_request", "This is your own request: somebody else must answer it."),
    services.NotAsked: ("not_asked", "Other people are asked in this stage."),
    services.NotYours: ("not_yours", "Only who asked may cancel it; reject it instead."),
}
_CONFLICT: dict[type[Exception], tuple[str, str]] = {
    services.AlreadyAnswered: ("already_answered", "You have answered this request before."),
    services.AlreadyDecided: ("already_decided", "This request is closed."),
    services.TooLate: ("too_late", "The deadline of this request has passed: it must be asked for again."),
}


def detail(row: ApprovalRequest, request: TenantRequest) -> dict[str, object]:
    """The request with its payload, everybody's answers, and whether this caller may answer."""
    try:
        payload = sealed.payload_of(row)
    except sealed.ApprovalChanged:
        # It can only be refused now; whoever looks at it must not be shown something that was not asked for.
        payload = None
    return {
        **ApprovalOut(row).data,
        "payload": payload,
        "answers": AnswerOut(ApprovalVote.objects.filter(request=row).order_by("given_at", "id"), many=True).data,
        "mayAnswer": services.may_answer(row, actor=request.actor, now=clock.now()),
    }


class ApprovalsView(TenantAPIView):
    permission = Permission.READ_APPROVALS

    @extend_schema(
        parameters=[
            OpenApiParameter("state", enum=State.values),
            OpenApiParameter("page", int),
            OpenApiParameter("limit", int, description="At most 100."),
        ],
        responses=ApprovalsOut,
        operation_id="approvals_list",
    )
    def get(self, request: TenantRequest) -> Response:
        """What was asked for, newest first, open and closed."""
        rows = ApprovalRequest.objects.newest_first()
        if state := request.query_params.get("state"):
            if state not in State.values:
                raise BadRequest(f"must be one of {', '.join(State.values)}.", field="state")
            rows = rows.filter(state=state)
        page = page_of(request, rows)
        shown = ApprovalOut(page.items, many=True).data
        return Response(page.answer(approvals=shown))


class ApprovalView(TenantAPIView):
    permissions = {
        "GET": Permission.READ_APPROVALS,
        "POST": Permission.DECIDE_APPROVALS,
        "DELETE": Permission.READ_APPROVALS,
    }
    rates = {"POST": Rate("approval-answer", per_minute=60)}
    idempotent = True
    # A request that cannot be applied is closed as failed, and that must stay although the answer is an error.
    atomic = False

    @extend_schema(responses=ApprovalDetailOut, operation_id="approvals_read")
    def get(self, request: TenantRequest, approval_id: UUID) -> Response:
        """One request, with what it would do."""
        with transaction():
            row = ApprovalRequest.objects.filter(pk=approval_id).first()
            if row is None:
                raise NotFound
            return Response(detail(row, request))

    @extend_schema(
        request=AnswerIn,
        responses={
            200: ApprovalDetailOut,
            403: OpenApiResponse(description="`own_request`, `person_required` or `not_asked`."),
            409: OpenApiResponse(description="`already_answered`, `already_decided`, `too_late` or `not_applied`."),
        },
        operation_id="approvals_answer",
    )
    def post(self, request: TenantRequest, approval_id: UUID) -> Response:
        """Approve or reject what somebody else asked for. The last approval applies it, before this answers."""
        serializer = AnswerIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        with self._translating(request), transaction():
            row = services.decide(
                request_id=approval_id,
                answer=given["action"],
                comments=given["comments"],
                actor=request.actor,
                now=clock.now(),
            )
            shown = detail(row, request)
        if row.state == State.FAILED:
            raise Conflict(f"It cannot be done any more ({row.error}): the request is closed.", code="not_applied")
        return Response(shown)

    @extend_schema(responses={204: None}, operation_id="approvals_cancel")
    def delete(self, request: TenantRequest, approval_id: UUID) -> Response:
        """Take one's own request back."""
        with self._translating(request), transaction():
            services.cancel(request_id=approval_id, actor=request.actor, now=clock.now())
        return Response(status=204)

    @contextmanager
    def _translating(self, request: TenantRequest) -> Iterator[None]:
        try:
            yield
        except ApprovalRequest.DoesNotExist as e:
            raise NotFound from e
        except tuple(_FORBIDDEN) as e:
            code, message = _FORBIDDEN[type(e)]
            # The transaction is over, so this record stays.
            signals.access_refused.send(
                sender=type(self), principal=request.principal, reason=f"approval.{code}", request_id=correlation()
            )
            raise Forbidden(message, code=code) from e
        except tuple(_CONFLICT) as e:
            code, message = _CONFLICT[type(e)]
            raise Conflict(message, code=code) from e
