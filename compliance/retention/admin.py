"""Retention and holds, one page: how long each class of data is kept, and what is held."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from compliance.explaining.admin import ExplainPage
from compliance.models import CLOCK, Mode, RetentionPolicy
from compliance.purging.timeline_admin import TimelinePage
from compliance.retention import history, in_force, policies
from compliance.retention.class_holds_admin import ClassHoldPages
from compliance.retention.deciding_admin import DecidingPages
from compliance.retention.in_force import Shown
from compliance.retention.laws_admin import LawsPage
from customers.catalogue import DATA_CLASSES
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import column, may
from kaireon.tenancy.roles import Permission


@admin.register(RetentionPolicy)
class RetentionPolicyAdmin(ExplainPage, TimelinePage, LawsPage, ClassHoldPages, DecidingPages):
    view_permission = Permission.READ_RETENTION
    list_display = ("data_class", "covers", "counts_now", "waits", "mode_label", "version_number", "hold_label")
    list_filter = ("legal_hold", "mode")
    list_before_template = "admin/compliance/without_policy.html"
    change_form_after_template = "admin/compliance/versions.html"
    search_equal = ("data_class",)
    search_help_text = "Data class"
    ordering = ("data_class",)
    fieldsets = (
        (
            "Retention",
            {"fields": ("data_class", "covers", "counts_now", "waits", "counted_from", "mode_label", "version_number")},
        ),
        ("Legal hold", {"fields": ("hold_label", "hold_reason", "held_since")}),
    )
    actions_list = ("add_policy", "hold", "timeline", "laws", "explain", "switch_law")
    actions_detail = ("edit", "take_back", "place", "release")
    when_empty = "Without a policy everything is kept, and warned about."

    def headline(self, row: RetentionPolicy) -> str:
        return row.data_class

    @column("Covers")
    def covers(self, row: RetentionPolicy) -> str:
        return DATA_CLASSES.get(row.data_class, "")

    @column("Counts now", ordering="retention_days")
    def counts_now(self, row: RetentionPolicy) -> str:
        said = _said(row)
        law = f" by {said.counts.law.citation}" if said.counts and said.counts.law else ""
        return f"{said.effective_days:,} days{law}" if said.counts else "for ever: no policy"

    @column("Decided, and waits")
    def waits(self, row: RetentionPolicy) -> str:
        said = _said(row)
        if said.pending is None:
            return ""
        source = f" from {said.pending.anchor}" if said.pending.anchor != said.anchor else ""
        return f"{said.pending.retention_days:,} days{source}, from {said.pending.effective_from:%Y-%m-%d %H:%M} UTC on"

    @column("Counted from")
    def counted_from(self, row: RetentionPolicy) -> str:
        anchor = _said(row).anchor
        return "each row's own clock" if anchor == CLOCK else anchor

    @column("Mode", label={"Normal": "", "Governance": "info", "Compliance": "warning"}, ordering="mode")
    def mode_label(self, row: RetentionPolicy) -> str:
        return str(Mode(_said(row).mode).label)

    @column("Version")
    def version_number(self, row: RetentionPolicy) -> int | str:
        said = _said(row)
        return said.counts.version.number if said.counts else ""

    @column("Hold", label={"Held": "warning", "Not held": ""}, ordering="legal_hold")
    def hold_label(self, row: RetentionPolicy) -> str:
        return "Held" if row.legal_hold else "Not held"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        missing = [(name, DATA_CLASSES[name]) for name in policies.classes_without_policy()]
        more = {"without_policy": missing, "may_set": may(request, Permission.MANAGE_RETENTION)}
        response = super().changelist_view(request, {**(extra_context or {}), **more})
        listed = getattr(response, "context_data", {}).get("cl")
        if listed is not None:
            _say(list(listed.result_list))
        return response

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        policy = self.get_object(request, object_id) if object_id else None
        found = history.of(policy, now=clock.now()) if policy is not None else []
        return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), "versions": found})

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        # A law is switched where it is shown.
        return [a for a in super().get_actions_list(request) if not a.action_name.endswith("_switch_law")]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        policy = self.get_object(request, object_id)
        unfit = ["_place" if policy is not None and policy.legal_hold else "_release"]
        if policy is None or in_force.of_policy(policy, clock.now())[1] is None:
            unfit.append("_take_back")
        actions = super().get_actions_detail(request, object_id)
        return [a for a in actions if not a.action_name.endswith(tuple(unfit))]


def _say(rows: list[RetentionPolicy]) -> None:
    """What counts of these rows, read once for all of them."""
    for row, said in zip(rows, in_force.shown(rows, now=clock.now()), strict=True):
        row.__dict__["said"] = said


def _said(row: RetentionPolicy) -> Shown:
    if "said" not in row.__dict__:
        _say([row])
    said: Shown = row.__dict__["said"]
    return said
