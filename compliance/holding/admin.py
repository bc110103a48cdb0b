"""The hold desk: what is held and why, whom it was told, and how it ends."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import Resolver404, resolve, reverse
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.timezone import localtime
from unfold.enums import ActionVariant

from audit import services as log
from audit.models import AuditRecord
from compliance.holding import counts, desk, matters, refusals, words
from compliance.holding.custodians_admin import CustodianPage
from compliance.holding.forms import ReleaseForm
from compliance.holding.matters_admin import REFUSALS, MatterAdmin, review_label
from compliance.holding.placing_admin import PlacingPage
from compliance.models import Hold, HoldState, HoldSubject, Matter, Notice
from customers.catalogue import DATA_CLASSES
from customers.models import Customer
from kaireon.approvals import people
from kaireon.approvals import services as approvals
from kaireon.approvals.models import ApprovalRequest
from kaireon.lib import clock
from kaireon.tenancy import signals
from kaireon.tenancy.admin_pages import READ_METHODS, column, masked_value, may, principal_of, verb
from kaireon.tenancy.middleware import BEFORE_ADMIN_REQUEST
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

__all__ = ["HoldAdmin", "MatterAdmin"]

MATTERS_A_PAGE = 10
HOLDS_A_PAGE = 50
CUSTOMERS_A_PAGE = 50
# What the filters are called in the page's address.
FILTERS = ("matter", "state", "class", "customer")
STATES = {"Active": "warning", "Being released": "info", "Released": ""}
HAPPENED = {
    "legal_hold.place": "Placed",
    "legal_hold.release_agreed": "Its release was agreed to",
    "legal_hold.release_taken_back": "Its release was taken back",
    "legal_hold.release": "Released",
}
NO_ROLE: dict[type[Exception], str] = {
    approvals.RequesterMayNot: "Your own role was changed meanwhile: you may not ask for this any more."
}


@admin.register(Hold)
class HoldAdmin(PlacingPage, CustodianPage):
    entity_type = matters.ENTITY
    view_permission = Permission.READ_RETENTION
    ordering = ("-placed_at",)
    fieldsets = (
        (None, {"fields": ("matter_link", "covers", "state_label", "proof")}),
        ("Placed", {"fields": ("placed_by_name", "placed_at", "recorded")}),
    )
    actions_list = ("place",)
    actions_detail = ("release", "take_back")
    change_form_after_template = "admin/compliance/hold.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Hold]:
        # The pause of an open request is no legal hold.
        rows: Any = super().get_queryset(request)
        return rows.for_matters()  # type: ignore[no-any-return]

    # -- the desk -----------------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method not in READ_METHODS:
            return HttpResponseNotAllowed(READ_METHODS)
        if not self.has_view_permission(request):
            raise PermissionDenied
        # Whether somebody is a customer is told to those alone who may look at customers.
        offered = [name for name in FILTERS if name != "customer" or may(request, Permission.READ_CUSTOMERS)]
        given = {name: request.GET.get(name, "").replace("\x00", "").strip() for name in offered}
        asked, refusal = desk.Wanted(), ""
        try:
            asked = desk.wanted(
                matter=given["matter"],
                state=given["state"],
                data_class=given["class"],
                number=given.get("customer", ""),
            )
        except desk.BadFilter as error:
            refusal = str(error)
        context = {
            **self._frame(request, "Legal holds"),
            "given": given,
            "refusal": refusal,
            "is_narrowed": any(given.values()),
            "states": HoldState.choices,
            "classes": DATA_CLASSES,
            "matters": Matter.objects.newest_first().values_list("pk", "name")[: MATTERS_A_PAGE * 50],
            "may_place": may(request, Permission.MANAGE_RETENTION),
            **({} if refusal else self._found(request, asked)),
        }
        return TemplateResponse(request, "admin/compliance/desk.html", context)

    def _found(self, request: HttpRequest, asked: desk.Wanted) -> dict[str, Any]:
        number, today = request.GET.get("p"), clock.now().date()
        page: Page[Any]
        if asked.matter:
            # All holds of one matter, in pages of their own.
            page = Paginator(desk.holds_of(asked), HOLDS_A_PAGE).get_page(number)
            sections = desk.sections(list(desk.matters_of(asked)), asked, today=today)
            sections = [desk.with_lines(section, list(page.object_list)) for section in sections]
        else:
            page = Paginator(desk.matters_of(asked), MATTERS_A_PAGE).get_page(number)
            sections = desk.sections(list(page.object_list), asked, today=today)
        keep = request.GET.copy()
        keep.pop("p", None)
        return {
            "sections": [(section, review_label(section.matter, today=today)) for section in sections],
            "page": page,
            "address": keep.urlencode(),
            "classes_held": desk.classes_held(asked),
            "pauses": desk.pauses(asked),
            "is_one_matter": asked.matter is not None,
        }

    # -- one hold -----------------------------------------------------------------------------------------------------

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        row = self.get_object(request, object_id) if object_id else None
        extra = self._of_hold(request, row) if row is not None and self.has_view_permission(request) else {}
        return super().changeform_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    def _of_hold(self, request: HttpRequest, row: Hold) -> dict[str, Any]:
        history = list(AuditRecord.objects.about(matters.ENTITY, str(row.pk)).order_by("seq"))
        told = list(Notice.objects.filter(hold=row).order_by("sent_at", "id"))
        names = people.names_of([*(notice.member_id for notice in told), row.release_asked_by, row.release_agreed_by])
        return {
            "hold": row,
            "history": [(record, HAPPENED.get(record.action, record.action)) for record in history],
            "notices": [(notice, names.get(notice.member_id)) for notice in told],
            "asked_by": names.get(row.release_asked_by, row.release_asked_by),
            "agreed_by": names.get(row.release_agreed_by, row.release_agreed_by),
            "asked": _asked(row),
            "may_read_log": may(request, Permission.READ_AUDIT),
            "may_read_approvals": may(request, Permission.READ_APPROVALS),
            "customers": self._customers(request, row),
        }

    def _customers(self, request: HttpRequest, row: Hold) -> dict[str, Any] | None:
        """A page of the customers it names, for those who may look at customers; masked as their own pages are."""
        if not row.of_subjects or not may(request, Permission.READ_CUSTOMERS):
            return None
        subjects = HoldSubject.objects.filter(hold=row).values("subject_id")
        rows = Customer.objects.filter(pk__in=subjects).order_by("customer_id").values_list("pk", "customer_id")
        page = Paginator(rows, CUSTOMERS_A_PAGE).get_page(request.GET.get("customers"))
        in_clear = may(request, Permission.READ_PERSONAL)
        shown = list(page.object_list)
        if in_clear and shown:
            ids = [str(pk) for pk, _ in shown]
            signals.personal_viewed.send(sender=type(self), model=Customer, ids=ids, fields=["customer_id"])
        numbers = [(pk, number if in_clear else masked_value(number)) for pk, number in shown]
        return {"page": page, "numbers": numbers}

    def headline(self, row: Hold) -> str:
        return "Legal hold"

    @column("Matter")
    def matter_link(self, row: Hold) -> SafeString:
        matter = Matter.objects.get(holds=row)
        page = reverse("admin:compliance_matter_change", args=[matter.pk])
        return format_html('<a class="k-link" href="{}">{}</a>', page, matter.name)

    @column("Covers")
    def covers(self, row: Hold) -> str:
        return capfirst(words.scope(row, counts.named([row.pk]).get(row.pk, 0)))

    @column("State", label=STATES)
    def state_label(self, row: Hold) -> str:
        return str(row.get_state_display())

    @column("Proven by")
    def proof(self, row: Hold) -> str:
        record = AuditRecord.objects.about(matters.ENTITY, str(row.pk)).filter(action="legal_hold.place").first()
        return f"Record #{record.seq} of the audit log" if record else "Its record is on its way into the audit log."

    @column("By the database's clock")
    def recorded(self, row: Hold) -> str:
        return localize(localtime(row.recorded_at)) if row.recorded_at else ""

    @column("Placed by")
    def placed_by_name(self, row: Hold) -> str:
        return people.names_of([row.placed_by]).get(row.placed_by, row.placed_by)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, object_id)
        fit = ""
        if row is not None and row.state == HoldState.RELEASING:
            fit = "_take_back"
        elif row is not None and row.state == HoldState.ACTIVE and _asked(row) is None:
            fit = "_release"
        actions = super().get_actions_detail(request, object_id)
        return [a for a in actions if fit and a.action_name.endswith(fit)]

    @verb(
        permission=Permission.MANAGE_RETENTION,
        description="Ask to release",
        icon="lock_open",
        url_path="release",
        variant=ActionVariant.DANGER,
    )
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do(given: Mapping[str, Any]) -> HttpResponse:
            actor = principal_of(request).actor
            matters.ask_release(hold=row, reason=given["reason"], actor=actor, now=clock.now())
            self.succeed(request, "Somebody else has to agree: the request waits under Approvals. It holds as before.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title="Ask to release this hold",
            lead="Somebody else has to agree. Then a cooling-off begins, in which it holds and can be taken back.",
            form=ReleaseForm(given_by(request)),
            do=do,
            refusals={**REFUSALS, **NO_ROLE},
            submit="Ask to release it",
            cancel=self.url("change", row.pk),
            danger=True,
        )

    @verb(
        permission=Permission.MANAGE_RETENTION,
        description="Take the release back",
        icon="undo",
        url_path="take-back",
        variant=ActionVariant.PRIMARY,
    )
    def take_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            matters.take_back(hold=row)
            return "It holds on as before. A release is to be asked for anew."

        return self.confirm(
            request,
            row,
            do,
            title="Take the release back",
            lead="The hold goes on as before.",
            refusals=dict(refusals.WORDS),
            submit="Take it back",
        )


def _asked(row: Hold) -> ApprovalRequest | None:
    """The request to release it that waits."""
    return approvals.asked_already(verb=matters.VERB, payload={"hold": str(row.pk)}, now=clock.now())


def drain_before_page(tenant_id: str, path: str) -> None:
    """A hold's page shows its history up to one's own last click."""
    try:
        page = resolve(path).url_name
    except Resolver404:
        return
    if page == "compliance_hold_change":
        log.drain(tenant_id)


BEFORE_ADMIN_REQUEST.append(drain_before_page)
