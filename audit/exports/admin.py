"""Exports of the log in the admin: asked for, followed and fetched."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from audit.exports import jobs
from audit.exports.bundle_api import AuditBundleView
from audit.models import AuditExport
from kaireon.api import throttles
from kaireon.api.errors import TooManyRequests
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, principal_of, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

STATUSES = {"Queued": "info", "Processing": "primary", "Completed": "success", "Failed": "danger"}


class PeriodForm(forms.Form):
    since = forms.DateTimeField(
        label="From",
        required=False,
        help_text="In UTC, such as 2026-01-31 or 2026-01-31 10:00; empty for the log's beginning.",
        widget=UnfoldAdminTextInputWidget(),
    )
    until = forms.DateTimeField(
        label="To", required=False, help_text="In UTC; empty for now.", widget=UnfoldAdminTextInputWidget()
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("since") and given.get("until") and given["since"] > given["until"]:
            raise forms.ValidationError("The period ends before it begins.")
        return given


class ExportForm(PeriodForm):
    format = forms.ChoiceField(
        choices=[("ndjson", "NDJSON, a record a line"), ("csv", "CSV, for spreadsheets")],
        widget=UnfoldAdminSelectWidget(),
    )
    entity_type = forms.CharField(label="Type", required=False, max_length=200, widget=UnfoldAdminTextInputWidget())
    action = forms.CharField(required=False, max_length=200, widget=UnfoldAdminTextInputWidget())


@admin.register(AuditExport)
class AuditExportAdmin(TenantModelAdmin[AuditExport]):
    """Files of the log without a limit, made by a worker: asked for, followed and fetched here."""

    view_permission = Permission.EXPORT_AUDIT
    list_display = ("created_at", "status_label", "done", "format", "records", "size", "requested_by_name")
    ordering = ("-created_at",)
    search_equal = ("action", "entity_type", "sha256")
    search_help_text = "Action, type or SHA-256"
    fieldsets = (
        (None, {"fields": ("status_label", "done", "error", "requested_by_name", "created_at", "finished_at")}),
        ("What of", {"fields": ("format", "since", "until", "entity_type", "action")}),
        ("File", {"fields": ("records", "first_seq", "last_seq", "size", "sha256", "expires_at", "manifest")}),
    )
    actions_list = ("new",)
    actions_detail = ("download",)
    when_empty = "Press New export."

    @column("Status", label=STATUSES, ordering="status")
    def status_label(self, row: AuditExport) -> str:
        return str(row.get_status_display())

    @column("Done")
    def done(self, row: AuditExport) -> SafeString:
        percent = jobs.progress_of(row).percent
        return format_html('<progress class="k-bar" max="100" value="{0}">{0} %</progress> {0} %', percent)

    @verb(
        permission=Permission.EXPORT_AUDIT,
        description="New export",
        icon="download",
        url_path="new",
        variant=ActionVariant.PRIMARY,
    )
    def new(self, request: HttpRequest) -> HttpResponse:
        def do(given: dict[str, Any]) -> HttpResponse:
            principal = principal_of(request)
            throttles.take(AuditBundleView.rates["GET"], f"{principal.tenant_id}:{principal.actor.id}")
            asked = jobs.request(
                format_=given["format"],
                actor=principal.actor,
                now=clock.now(),
                since=given["since"],
                until=given["until"],
                entity_type=given["entity_type"],
                action=given["action"],
            )
            self.after_commit(request, lambda: jobs.wake(asked))
            self.succeed(request, "The export is queued. This page shows how far it is when you reload it.")
            return HttpResponseRedirect(self.url("change", asked.export.pk))

        return self.ask(
            request,
            title="New export of the log",
            lead="A worker writes the records of a period into one file, however many there are. It is kept for a"
            " while, and each download is recorded.",
            form=ExportForm(given_by(request)),
            do=do,
            refusals={TooManyRequests: "", jobs.TooManyOpen: "", jobs.ExportRefused: ""},
            submit="Export",
            cancel=self.url("changelist"),
        )

    @verb(
        permission=Permission.EXPORT_AUDIT,
        description="Download",
        icon="download",
        url_path="download",
        variant=ActionVariant.PRIMARY,
    )
    def download(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        try:
            file = jobs.opened(row, now=clock.now())
        except (jobs.NotReady, jobs.FileGone) as error:
            self.message_user(request, str(error), messages.WARNING)
            return HttpResponseRedirect(self.url("change", row.pk))
        response = FileResponse(file, as_attachment=True, filename=jobs.file_name(row))
        response["Cache-Control"] = "no-store"
        return cast(HttpResponse, response)
