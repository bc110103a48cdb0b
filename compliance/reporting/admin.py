"""Report schedules in the admin: what is made when, for whom, and what was made."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import Resolver404, resolve, reverse
from unfold.enums import ActionVariant

from audit import services as log
from compliance.models import NotificationProvider, ReportRun, ReportSchedule
from compliance.refusing_admin import RefusingAdmin
from compliance.reporting import page, running, runs, schedules, templates
from compliance.reporting.forms import WEEKDAYS, RunNowForm, ScheduleForm, initial_of
from compliance.reporting.serializers import next_of
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import column, principal_of, verb
from kaireon.tenancy.middleware import BEFORE_ADMIN_REQUEST
from kaireon.tenancy.patience import TookTooLong
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

# Of a schedule's history its page shows so many; the list of reports has all.
SHOWN = 30
REFUSALS: dict[type[Exception], str] = {
    schedules.ReportRefused: "",
    schedules.ScheduleNotFound: "The schedule was removed meanwhile.",
    schedules.TimeZoneGone: "Its time zone is not known any more: choose another.",
    templates.TemplateFailed: "",
    TookTooLong: "It takes too long to be waited for: run it now, and a worker makes it.",
    runs.TooManyOpen: "",
}


@admin.register(ReportSchedule)
class ReportScheduleAdmin(RefusingAdmin[ReportSchedule]):
    refused_verb = "report.refused"
    entity_type = "Report"
    view_permission = Permission.READ_REPORTS
    list_display = ("name", "report", "period_shown", "when", "next_shown", "formats_shown", "state_label")
    search_equal = ("name", "template")
    search_help_text = "Id, name, report"
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("state_label", "report", "period_shown", "when", "next_shown", "formats_shown")}),
        ("Who is told", {"fields": ("channels_shown",)}),
        ("Schedule", {"fields": ("time_zone", "active_from", "created_at", "updated_at", "id")}),
    )
    actions_list = ("begin",)
    actions_detail = ("go", "look", "alter", "remove")
    when_empty = "A schedule has a report made of each day, week, month or quarter. Make one to begin."
    change_form_after_template = "admin/compliance/report_schedule.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportSchedule]:
        found: QuerySet[ReportSchedule] = super().get_queryset(request)
        readable = runs.readable(principal_of(request).permissions)
        return found.filter(removed_at=None, template__in=readable)

    def headline(self, row: ReportSchedule) -> str:
        return row.name

    @column("State", label={"On": "success", "Off": ""}, ordering="is_enabled")
    def state_label(self, row: ReportSchedule) -> str:
        return "On" if row.is_enabled else "Off"

    @column("Report", ordering="template")
    def report(self, row: ReportSchedule) -> str:
        return title_of(row.template)

    @column("About")
    def period_shown(self, row: ReportSchedule) -> str:
        return str(row.get_span_display())

    @column("Made")
    def when(self, row: ReportSchedule) -> str:
        on = {
            "daily": "every day",
            "weekly": f"every {WEEKDAYS[(row.weekday or 1) - 1]}",
            "monthly": "on the last day of the month" if row.day == 31 else f"on day {row.day} of the month",
        }[row.cadence]
        return f"{on} at {row.at:%H:%M} ({row.time_zone})"

    @column("Next")
    def next_shown(self, row: ReportSchedule) -> str:
        found = next_of(row, now=clock.now())
        return f"{found[0]:%Y-%m-%d %H:%M} UTC" if found else ""

    @column("Formats")
    def formats_shown(self, row: ReportSchedule) -> str:
        return ", ".join(name.upper() for name in row.formats)

    @column("Told")
    def channels_shown(self, row: ReportSchedule) -> str:
        found = NotificationProvider.objects.present().filter(pk__in=row.channels).order_by("name")
        return ", ".join(f"{one.name} ({one.get_kind_display()})" for one in found) or "nobody"

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        row = self.get_object(request, object_id) if object_id else None
        if row is not None:
            found = ReportRun.objects.filter(schedule=row).newest_first().prefetch_related("notices__provider")
            made = list(found[: SHOWN + 1])
            extra_context = {**(extra_context or {}), "runs": made[:SHOWN], "more": len(made) > SHOWN}
        return super().changeform_view(request, object_id, form_url, extra_context)

    @verb(
        permission=Permission.MANAGE_REPORTS,
        description="New schedule",
        icon="add",
        url_path="new",
        variant=ActionVariant.PRIMARY,
    )
    def begin(self, request: HttpRequest) -> HttpResponse:
        may = principal_of(request).permissions
        form = ScheduleForm(given_by(request), may=may)

        def do(given: dict[str, Any]) -> HttpResponse:
            row = schedules.create(given=form.given(), may=may, now=clock.now())
            self.succeed(request, "The schedule is made. Its first report comes when it says under Next.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title="New report schedule",
            lead="Which report, of which period, when, and who is told that it is ready.",
            form=form,
            do=do,
            refusals=REFUSALS,
            submit="Make the schedule",
            cancel=self.url("changelist"),
        )

    @verb(permission=Permission.MANAGE_REPORTS, description="Change", icon="edit", url_path="alter")
    def alter(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row, may = self.row(request, object_id), principal_of(request).permissions
        form = ScheduleForm(given_by(request), initial=initial_of(row), may=may, row=row)

        def do(given: dict[str, Any]) -> HttpResponse:
            schedules.change(row.pk, given=form.given(), may=may, now=clock.now())
            self.succeed(request, "The schedule is changed.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title=f"Change {row.name}",
            lead="With another time or day no period is lost. About other periods, or switched on, it begins anew.",
            form=form,
            do=do,
            refusals=REFUSALS,
            submit="Save",
            cancel=self.url("change", row.pk),
        )

    @verb(
        permission=Permission.MANAGE_REPORTS,
        description="Run now",
        icon="play_arrow",
        url_path="go",
        variant=ActionVariant.PRIMARY,
    )
    def go(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            actor = principal_of(request).actor
            asked = runs.run_now(row, delivers=given["deliver"], actor=actor, now=clock.now())
            self.after_commit(request, lambda: runs.wake(asked))
            self.succeed(request, "The report is queued. This page shows how far it is when you reload it.")
            return HttpResponseRedirect(reverse("admin:compliance_reportrun_change", args=[asked.run.pk]))

        return self.ask(
            request,
            title=f"Run {row.name} now",
            lead="It is about the newest period that has ended. What is due of the schedule comes all the same.",
            form=RunNowForm(given_by(request)),
            do=do,
            refusals=REFUSALS,
            submit="Run now",
            cancel=self.url("change", row.pk),
        )

    @verb(permission=Permission.READ_REPORTS, description="Preview", icon="visibility", url_path="look")
    def look(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        try:
            made = running.preview(row, now=clock.now())
        except (templates.TemplateFailed, schedules.TimeZoneGone, TookTooLong) as error:
            self.message_user(request, REFUSALS[type(error)] or str(error), messages.ERROR)
            return HttpResponseRedirect(self.url("change", row.pk))
        response = HttpResponse(page.write(made), content_type="text/html; charset=utf-8")
        response["Content-Security-Policy"] = f"{page.POLICY}; frame-ancestors 'none'; form-action 'none'"
        response["Cache-Control"] = "no-store"
        return response

    @verb(
        permission=Permission.MANAGE_REPORTS,
        description="Remove",
        icon="delete",
        url_path="remove",
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            schedules.remove(row.pk, now=clock.now())
            return "The schedule is removed. Its reports stay."

        return self.confirm(
            request,
            row,
            do,
            title=f"Remove {row.name}",
            lead="No report of it is made any more. Those that were made stay until their time is over.",
            refusals=REFUSALS,
            submit="Remove the schedule",
            danger=True,
            to_list=True,
        )


def drain_before_page(tenant_id: str, path: str) -> None:
    """A preview counts what is in the log: all that was recorded before it."""
    try:
        page_name = resolve(path).url_name
    except Resolver404:
        return
    if page_name == "compliance_reportschedule_look":
        log.drain(tenant_id)


BEFORE_ADMIN_REQUEST.append(drain_before_page)


def title_of(template: str) -> str:
    known = templates.TEMPLATES.get(template)
    return known.title if known else template
