"""Legal holds over HTTP: /api/v1/admin/legal-holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.response import Response

from audit import services as log
from audit.models import AuditRecord
from compliance.holding import matters, notices, refusals
from compliance.holding.serializers import (
    AcknowledgedOut,
    HappenedOut,
    HoldDetailOut,
    HoldIn,
    HoldOut,
    HoldsOut,
    NoticeOut,
    PreviewOut,
    ReleaseIn,
    ScopeIn,
    WaitingsOut,
    asked_for,
    preview_of,
    what_of,
    wire,
    wires,
)
from compliance.models import Hold, HoldState, HoldSubject, Matter, Notice
from compliance.refusing import RefusingView
from compliance.retention import policies
from customers.models import Customer
from kaireon.api.errors import BadRequest, Conflict, Forbidden, NotFound, Unauthenticated
from kaireon.api.paging import page_of
from kaireon.api.serializers import ErrorBodySerializer
from kaireon.api.throttles import Rate
from kaireon.approvals import services as approvals
from kaireon.approvals.serializers import ApprovalOut, AskedOut
from kaireon.lib import clock
from kaireon.outbox import services as outbox
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest

_PAGES = [OpenApiParameter("page", int), OpenApiParameter("limit", int, description="At most 100.")]


class HoldingView(RefusingView):
    """Answers what the services refuse."""

    refused_verb = refusals.VERB
    entity_type = matters.ENTITY

    @contextmanager
    def translating(self) -> Iterator[None]:
        try:
            yield
        except matters.ScopeRefused as refusal:
            raise BadRequest(str(refusal), field=refusal.field, code=_code(refusal)) from refusal
        except tuple(refusals.WORDS) as refusal:
            raise Conflict(refusals.WORDS[type(refusal)], code=_code(refusal)) from refusal
        except approvals.RequesterMayNot as refusal:
            raise Forbidden from refusal


class HoldsView(HoldingView):
    permissions = {"GET": Permission.READ_RETENTION, "POST": Permission.MANAGE_RETENTION}
    rates = {"POST": Rate("hold-place", per_minute=60)}
    idempotent = True

    @extend_schema(
        parameters=[
            OpenApiParameter("matter", str, description="Id of a matter."),
            OpenApiParameter("state", enum=HoldState.values),
            OpenApiParameter("dataClass", str, description="What holds something of this class."),
            OpenApiParameter("subject", str, description="What holds something of this customer, by their number."),
            *_PAGES,
        ],
        responses=HoldsOut,
        operation_id="legal_holds_list",
    )
    def get(self, request: TenantRequest) -> Response:
        """The holds of matters, newest first. A class that is held by `legalHold` says so in its policy."""
        page = page_of(request, _filtered(request))
        return Response(page.answer(holds=wires(page.items)))

    @extend_schema(
        request=HoldIn,
        responses={201: HoldOut, **dict.fromkeys((400, 404, 409), ErrorBodySerializer)},
        operation_id="legal_holds_place",
    )
    def post(self, request: TenantRequest) -> Response:
        """Hold what the scope says, from this answer on; its custodians get a notice to acknowledge.

        Waits for a deletion that is under way, and no later one passes. What finds nothing, or everything there is,
        is refused (`confirm_required`) unless `confirm` is true.
        """
        serializer = HoldIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        with self.translating():
            hold = matters.place(
                matter=self._matter(request, given),
                what=what_of(given),
                custodians=[str(member) for member in given.get("custodians", ())],
                confirm=given["confirm"],
                actor=request.actor,
                now=clock.now(),
            )
        hold.refresh_from_db()
        if given.get("custodians"):
            self.after_commit(lambda: _wake(request.tenant_id))
        return Response(wire(hold), status=201)

    def _matter(self, request: TenantRequest, given: dict[str, Any]) -> Matter:
        if ("matter" in given) == ("matterId" in given):
            raise BadRequest("name the matter it is for, or open one with matter: one of the two.", field="matterId")
        if "matter" in given:
            return open_matter(given["matter"], request, prefix="matter.")
        matter = Matter.objects.filter(pk=given["matterId"]).first()
        if matter is None:
            raise BadRequest("there is no such matter.", field="matterId")
        return matter


class HoldPreviewView(HoldingView):
    # Whoever only looks wants nothing yet.
    quiet = True
    permission = Permission.READ_RETENTION
    rates = {"POST": Rate("hold-preview", per_minute=30)}

    @extend_schema(
        request=ScopeIn, responses={200: PreviewOut, 400: ErrorBodySerializer}, operation_id="legal_holds_preview"
    )
    def post(self, request: TenantRequest) -> Response:
        """How many rows of what a scope finds now. Nothing is held by it.

        Of customers it tells those who may look at customers, or may hold what is theirs.
        """
        serializer = ScopeIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        if "subjects" in serializer.validated_data and not (
            request.may(Permission.READ_CUSTOMERS) or request.may(Permission.MANAGE_RETENTION)
        ):
            raise Forbidden
        with self.translating():
            return Response(preview_of(what_of(serializer.validated_data)))


class HoldView(HoldingView):
    permission = Permission.READ_RETENTION

    def before_transaction(self) -> None:
        log.drain(self.request.tenant_id)

    @extend_schema(responses={200: HoldDetailOut, 404: ErrorBodySerializer}, operation_id="legal_holds_read")
    def get(self, request: TenantRequest, hold_id: UUID) -> Response:
        """One hold, with its notices, what happened to it, and the request to release it that waits."""
        hold = find(hold_id)
        asked = approvals.asked_already(verb=matters.VERB, payload={"hold": str(hold.pk)}, now=clock.now())
        history = AuditRecord.objects.about(matters.ENTITY, str(hold.pk)).order_by("seq")
        return Response(
            {
                **wire(hold),
                "subjects": _numbers(hold) if request.may(Permission.READ_CUSTOMERS) else None,
                "notices": NoticeOut(Notice.objects.filter(hold=hold).order_by("sent_at", "id"), many=True).data,
                "history": HappenedOut(history, many=True).data,
                "approval": ApprovalOut(asked).data if asked else None,
            }
        )


class HoldReleaseView(HoldingView):
    permission = Permission.MANAGE_RETENTION
    idempotent = True

    @extend_schema(
        request=ReleaseIn,
        responses={
            202: OpenApiResponse(AskedOut, description="It waits for a second person; until then it holds as before."),
            **dict.fromkeys((400, 404, 409), ErrorBodySerializer),
        },
        operation_id="legal_holds_release",
    )
    def post(self, request: TenantRequest, hold_id: UUID) -> Response:
        """Ask to release a hold. Somebody else's yes begins the cooling-off, in which it still holds."""
        hold = find(hold_id)
        serializer = ReleaseIn(data=request.data)
        serializer.is_valid(raise_exception=True)
        reason = serializer.validated_data["reason"]
        with self.translating():
            asked = matters.ask_release(hold=hold, reason=reason, actor=request.actor, now=clock.now())
        return Response({"approval": ApprovalOut(asked).data}, status=202)


class HoldTakeBackView(HoldingView):
    permission = Permission.MANAGE_RETENTION
    idempotent = True

    @extend_schema(
        request=None,
        responses={200: HoldOut, **dict.fromkeys((404, 409), ErrorBodySerializer)},
        operation_id="legal_holds_take_back",
    )
    def post(self, request: TenantRequest, hold_id: UUID) -> Response:
        """Let a hold that is being released go on as before."""
        hold = find(hold_id)
        with self.translating():
            matters.take_back(hold=hold)
        return Response(wire(find(hold_id)))


class CustodianView(TenantAPIView):
    """For members in any role: nobody but who was told of a hold finds it here."""

    @classmethod
    def permission_for(cls, method: str) -> Permission | None:
        return None

    def check_permissions(self, request: Any) -> None:
        if request.user is None:
            raise Unauthenticated


class NoticesView(CustodianView):
    @extend_schema(parameters=_PAGES, responses=WaitingsOut, operation_id="legal_holds_notices")
    def get(self, request: TenantRequest) -> Response:
        """What you were told to keep and have not acknowledged, oldest first."""
        page = page_of(request, notices.waiting_for(request.actor.id))
        about = Matter.objects.in_bulk({notice.hold.matter_id for notice in page.items})
        waiting = []
        for notice in page.items:
            matter = about[notice.hold.matter_id]
            waiting.append(
                {
                    "holdId": str(notice.hold_id),
                    "matter": matter.name,
                    "reference": matter.reference,
                    "reason": matter.reason,
                    **asked_for(notice.hold, HoldSubject.objects.filter(hold=notice.hold_id).count()),
                    "sentAt": clock.rfc3339(notice.sent_at),
                    "reminders": notice.reminders,
                }
            )
        return Response(page.answer(notices=waiting))


class HoldAcknowledgeView(CustodianView):
    idempotent = True

    @extend_schema(
        request=None,
        responses={200: AcknowledgedOut, 404: OpenApiResponse(ErrorBodySerializer, description="Nobody told you.")},
        operation_id="legal_holds_acknowledge",
    )
    def post(self, request: TenantRequest, hold_id: UUID) -> Response:
        """Say that you will keep what a hold covers. The first time counts; an API key has no word to give."""
        try:
            hold = find(hold_id)
            matters.acknowledge(hold=hold, actor=request.actor, now=clock.now())
        except Notice.DoesNotExist as e:
            raise NotFound from e
        notice = Notice.objects.get(hold=hold, member_id=request.actor.id)
        return Response(AcknowledgedOut(notice).data)


def find(hold_id: UUID) -> Hold:
    """A hold of a matter. Raises NotFound."""
    hold = Hold.objects.for_matters().filter(pk=hold_id).first()
    if hold is None:
        raise NotFound
    return hold


def open_matter(given: dict[str, Any], request: TenantRequest, *, prefix: str = "") -> Matter:
    """Open a matter as a MatterIn says."""
    try:
        return matters.open_matter(
            name=given["name"],
            reason=given["reason"],
            reference=given.get("reference", ""),
            counsel=given.get("counsel", ""),
            review_on=given.get("reviewOn"),
            actor=request.actor,
            now=clock.now(),
        )
    except matters.ScopeRefused as refusal:
        raise BadRequest(str(refusal), field=f"{prefix}{refusal.field}", code=_code(refusal)) from refusal


def _filtered(request: TenantRequest) -> Any:
    rows = Hold.objects.for_matters().newest_first()
    asked = request.query_params
    if matter := asked.get("matter"):
        try:
            rows = rows.filter(matter=UUID(matter))
        except ValueError as e:
            raise BadRequest("must be the id of a matter.", field="matter") from e
    if state := asked.get("state"):
        if state not in HoldState.values:
            raise BadRequest(f"must be one of {', '.join(HoldState.values)}.", field="state")
        rows = rows.filter(state=state)
    if data_class := asked.get("dataClass"):
        try:
            policies.check_class(data_class)
        except policies.UnknownDataClass as e:
            raise BadRequest(str(e), field="dataClass") from e
        rows = rows.touching(data_class)
    if number := asked.get("subject"):
        # Whether somebody is a customer is told to those alone who may look at customers.
        if not request.may(Permission.READ_CUSTOMERS):
            raise Forbidden
        customer = Customer.objects.filter(customer_id=number).first()
        if customer is None:
            raise BadRequest("no customer has this number.", field="subject")
        rows = rows.reaching(customer.pk)
    return rows


def _numbers(hold: Hold) -> list[str]:
    subjects = HoldSubject.objects.filter(hold=hold).values("subject_id")
    return list(Customer.objects.filter(pk__in=subjects).order_by("customer_id").values_list("customer_id", flat=True))


def _code(refusal: Exception) -> str:
    return refusals.CODES[type(refusal)]


def _wake(tenant_id: str) -> None:
    outbox.send_wake(tenant_id)
