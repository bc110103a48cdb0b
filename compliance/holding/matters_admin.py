"""Matters in the admin: opened, reviewed and closed here; holds are placed for them."""

from datetime import date
from typing import Any

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.enums import ActionVariant

from compliance.holding import desk, matters, once, refusals
from compliance.holding.forms import MatterForm, ReviewForm
from compliance.holding.noting import NotingAdmin
from compliance.models import HoldState, Matter
from kaireon.approvals import people
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import column, principal_of, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

REFUSALS: dict[type[Exception], str] = {matters.ScopeRefused: "", **refusals.WORDS}
DESK = "admin:compliance_hold_changelist"


class Standing(SimpleListFilter):
    title = "state"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Open"), ("review", "To be reviewed"), ("closed", "Closed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        if self.value() == "review":
            return queryset.filter(desk.to_review(clock.now().date()))
        return queryset.filter(closed_at__isnull=self.value() == "open") if self.value() else None


@admin.register(Matter)
class MatterAdmin(NotingAdmin[Matter]):
    entity_type = "Matter"
    view_permission = Permission.READ_RETENTION
    list_display = ("name", "reference", "counsel", "state_label", "review_shown", "opened_at")
    list_filter = (Standing,)
    search_equal = ("reference", "name")
    search_help_text = "File number or name"
    ordering = ("-opened_at",)
    fieldsets = (
        (None, {"fields": ("name", "reference", "reason", "counsel", "state_label", "holds_shown")}),
        ("Review", {"fields": ("review_shown", "reviewed_at")}),
        ("Times", {"fields": ("opened_by_name", "opened_at", "closed_at")}),
    )
    actions_list = ("begin",)
    actions_detail = ("place", "review", "close")
    when_empty = "Open one for each case, inquiry or audit that things must be kept for."

    def headline(self, row: Matter) -> str:
        return row.name

    @column("State", label={"Open": "warning", "Closed": ""})
    def state_label(self, row: Matter) -> str:
        return "Closed" if row.closed_at else "Open"

    @column("Review on", ordering="review_on")
    def review_shown(self, row: Matter) -> str | SafeString:
        return review_label(row, today=clock.now().date())

    @column("Holds")
    def holds_shown(self, row: Matter) -> SafeString:
        every, effective = row.holds.count(), desk.effective_of([row.pk]).get(row.pk, 0)
        link = f"{reverse(DESK)}?matter={row.pk}"
        return format_html('<a class="k-link" href="{}">{}, {} of them in force</a>', link, every, effective)

    @column("Opened by")
    def opened_by_name(self, row: Matter) -> str:
        return people.names_of([row.opened_by]).get(row.opened_by, row.opened_by)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, object_id)
        if row is None or row.closed_at is not None:
            return []
        unfit = "close" if row.holds.exclude(state=HoldState.RELEASED).exists() else None
        return [a for a in super().get_actions_detail(request, object_id) if a.action_name.rsplit("_", 1)[-1] != unfit]

    @verb(
        permission=Permission.MANAGE_RETENTION,
        description="Open a matter",
        icon="add",
        url_path="new",
        variant=ActionVariant.PRIMARY,
    )
    def begin(self, request: HttpRequest) -> HttpResponse:
        def do(given: dict[str, Any]) -> HttpResponse:
            told = once.read(given["once"])
            try:
                matter = matters.open_matter(
                    name=given["name"],
                    reason=given["reason"],
                    reference=given["reference"],
                    counsel=given["counsel"],
                    review_on=given["reviewOn"],
                    matter_id=told.get("id"),
                    actor=principal_of(request).actor,
                    now=clock.now(),
                )
            except matters.AlreadyDone:
                return HttpResponseRedirect(self.url("change", told["id"]))
            self.succeed(request, "The matter is open. Nothing is held for it yet.")
            return HttpResponseRedirect(self.url("change", matter.pk))

        return self.ask(
            request,
            title="Open a matter",
            lead="What holds are placed for: a case, an inquiry, an audit.",
            form=MatterForm(given_by(request), initial={"once": once.token()}),
            do=do,
            refusals=REFUSALS,
            submit="Open the matter",
            cancel=self.url("changelist"),
        )

    @verb(
        permission=Permission.MANAGE_RETENTION,
        description="Place a hold",
        icon="lock",
        url_path="place",
        variant=ActionVariant.PRIMARY,
    )
    def place(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        return HttpResponseRedirect(f"{reverse('admin:compliance_hold_place')}?matter={row.pk}")

    @verb(permission=Permission.MANAGE_RETENTION, description="Set the review", icon="event", url_path="review")
    def review(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            matters.set_review(matter=row, review_on=given["reviewOn"], now=clock.now())
            day = given["reviewOn"]
            self.succeed(request, f"It is reviewed on {day:%Y-%m-%d}." if day else "Nobody is asked to review it.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title=f"Review of {row.name}",
            lead="On this day whoever opened the matter and its custodians are asked whether it is still needed.",
            form=ReviewForm(given_by(request), initial={"reviewOn": row.review_on}),
            do=do,
            refusals=REFUSALS,
            submit="Save",
            cancel=self.url("change", row.pk),
        )

    @verb(permission=Permission.MANAGE_RETENTION, description="Close", icon="task_alt", url_path="close")
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            matters.close_matter(matter=row, now=clock.now())
            return "The matter is closed."

        return self.confirm(
            request,
            row,
            do,
            title=f"Close {row.name}",
            lead="Nothing new can be held for it any more. It is not opened again.",
            refusals=REFUSALS,
            submit="Close the matter",
            danger=True,
        )


def review_label(matter: Matter, *, today: date) -> str | SafeString:
    """The day, and whether it has come."""
    state = desk.review_of(matter, today=today)
    if not state or matter.review_on is None:
        return f"{matter.review_on:%Y-%m-%d}" if matter.review_on else ""
    look = "k-late" if state == "overdue" else "k-soon"
    return format_html('<span class="k-due {}">{}, {}</span>', look, f"{matter.review_on:%Y-%m-%d}", state)
