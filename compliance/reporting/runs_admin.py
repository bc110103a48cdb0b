"""Reports in the admin: asked for, followed, tried again, fetched."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.enums import ActionVariant

from compliance.models import ReportRun, ReportState
from compliance.refusing_admin import RefusingAdmin
from compliance.reporting import files, runs, schedules
from compliance.reporting.admin import title_of
from compliance.reporting.api import attachment
from compliance.reporting.forms import PeriodForm
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import column, principal_of, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

STATES = {"Queued": "info", "Running": "primary", "Completed": "success", "Failed": "danger", "Skipped": "warning"}
FAULT = "Why there is none"
REFUSALS: dict[type[Exception], str] = {
    schedules.ReportRefused: "",
    runs.TooManyOpen: "",
    runs.RunNotFound: "The report is not there any more.",
    runs.NotFailed: "It is not failed any more.",
}


@admin.register(ReportRun)
class ReportRunAdmin(RefusingAdmin[ReportRun]):
    refused_verb = "report.refused"
    entity_type = "Report"
    view_permission = Permission.READ_REPORTS
    list_display = ("title", "report", "period_shown", "state_label", "trigger", "created_at", "expires_at")
    list_filter = ("state", "trigger")
    search_equal = ("title", "template", "schedule_id")
    search_help_text = "Id, title, report or the id of a schedule"
    ordering = ("-created_at",)
    fieldsets = (
        (None, {"fields": ("state_label", "report", "period_shown", "formats_shown")}),
        (FAULT, {"fields": ("error", "detail")}),
        ("Asked for", {"fields": ("trigger", "due", "asked_by", "created_at", "finished_at", "expires_at")}),
    )
    actions_list = ("new",)
    actions_detail = ("pdf", "html", "csv", "again")
    when_empty = "Press New report, or make a schedule."
    change_form_after_template = "admin/compliance/report.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportRun]:
        found: QuerySet[ReportRun] = super().get_queryset(request)
        return found.filter(template__in=runs.readable(principal_of(request).permissions))

    def headline(self, row: ReportRun) -> str:
        return f"{row.title}, {_days(row)} ({row.time_zone})"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        shown = super().get_fieldsets(request, obj)
        return shown if obj is None or obj.error else [fields for fields in shown if fields[0] != FAULT]

    @column("State", label=STATES, ordering="state")
    def state_label(self, row: ReportRun) -> str:
        return str(row.get_state_display())

    @column("Report", ordering="template")
    def report(self, row: ReportRun) -> str:
        return title_of(row.template)

    @column("Period", ordering="period_first")
    def period_shown(self, row: ReportRun) -> SafeString:
        return format_html('<span class="k-days">{}</span> ({})', _days(row), row.time_zone)

    @column("Due")
    def due(self, row: ReportRun) -> str:
        return date_format(row.slot, "DATETIME_FORMAT") if row.slot else ""

    @column("Asked for by")
    def asked_by(self, row: ReportRun) -> str:
        return row.requested_by_name or "its schedule"

    @column("Formats")
    def formats_shown(self, row: ReportRun) -> str:
        return ", ".join(name.upper() for name in row.formats)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, object_id)
        if row is None:
            return []
        fit = {file.format for file in row.files.there()} if row.state == ReportState.COMPLETED else set()
        if row.state == ReportState.FAILED:
            fit.add("again")
        return [a for a in super().get_actions_detail(request, object_id) if a.action_name.rsplit("_", 1)[-1] in fit]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        row = self.get_object(request, object_id) if object_id else None
        if row is not None:
            made = {"files": list(row.files.order_by("format")), "notices": _notices(row)}
            extra_context = {**(extra_context or {}), **made}
        return super().changeform_view(request, object_id, form_url, extra_context)

    @verb(
        permission=Permission.MANAGE_REPORTS,
        description="New report",
        icon="add",
        url_path="new",
        variant=ActionVariant.PRIMARY,
    )
    def new(self, request: HttpRequest) -> HttpResponse:
        may = principal_of(request).permissions

        def do(given: dict[str, Any]) -> HttpResponse:
            asked = runs.request(
                template=given["template"],
                formats=given["formats"],
                first=given["since"],
                last=given["to"],
                time_zone=given["timeZone"],
                may=may,
                actor=principal_of(request).actor,
                now=clock.now(),
            )
            self.after_commit(request, lambda: runs.wake(asked))
            self.succeed(request, "The report is queued. This page shows how far it is when you reload it.")
            return HttpResponseRedirect(self.url("change", asked.run.pk))

        return self.ask(
            request,
            title="New report",
            lead="A worker makes it of the days between two dates, both included.",
            form=PeriodForm(given_by(request), may=may),
            do=do,
            refusals=REFUSALS,
            submit="Make the report",
            cancel=self.url("changelist"),
        )

    @verb(
        permission=Permission.MANAGE_REPORTS,
        description="Try again",
        icon="refresh",
        url_path="again",
        variant=ActionVariant.PRIMARY,
    )
    def again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            asked = runs.again(row.pk, now=clock.now())
            self.after_commit(request, lambda: runs.wake(asked))
            return "The report is queued again."

        return self.confirm(
            request,
            row,
            do,
            title=f"Try {row.title} again",
            lead="The same report of the same period.",
            refusals=REFUSALS,
            submit="Try again",
        )

    @verb(permission=Permission.READ_REPORTS, description="PDF", icon="download", url_path="pdf")
    def pdf(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.download(request, object_id, "pdf")

    @verb(permission=Permission.READ_REPORTS, description="HTML", icon="download", url_path="html")
    def html(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.download(request, object_id, "html")

    @verb(permission=Permission.READ_REPORTS, description="CSV", icon="download", url_path="csv")
    def csv(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.download(request, object_id, "csv")

    def download(self, request: HttpRequest, object_id: str, format_: str) -> HttpResponse:
        """The file, which is recorded; or its page, saying why there is none."""
        row = self.row(request, object_id)
        try:
            _, content = runs.download(row, format_, now=clock.now())
        except (runs.NotReady, runs.NoSuchFormat, files.FileGone, files.StorageAway) as error:
            words = f"The format {error}" if isinstance(error, runs.NoSuchFormat) else str(error)
            self.message_user(request, words, messages.WARNING)
            return HttpResponseRedirect(self.url("change", row.pk))
        return attachment(row, format_, content)


def _notices(row: ReportRun) -> list[Any]:
    return list(row.notices.select_related("provider").order_by("made_at", "pk"))


def _days(row: ReportRun) -> str:
    first, last = row.period_first, row.period_last
    return str(first) if last == first else f"{first} to {last}"
