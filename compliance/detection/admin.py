"""The desk of security signals: what the scan of the log found, and who has looked at it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from compliance.detection import coverage, signals
from compliance.models import SecuritySignal, SignalState
from kaireon.approvals import people
from kaireon.lib import clock
from kaireon.lib.sealing import CannotOpen
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, may, principal_of, since, verb
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

SEVERITIES = {"Page": "danger", "Routine": "info"}
STATES = {"Open": "warning", "Acknowledged": "success"}
NOBODY = "-"
SEEN = "Acknowledged"
# What each kind of evidence is called here.
WORDS = {
    "api_key_used": "API key used",
    "bulk": "in bulk",
    "destructive": "destructive",
    "automated_trigger": "started by a schedule",
    "privilege_grant": "grants an admin's rights",
    "burst": "six or more in ten minutes",
}
# What a workflow is the start of.
WORKFLOWS = {
    "flow_run": "the run of a pipeline",
    "dsar_request": "a request of a data subject",
    "api_key": "a new API key",
    "bulk_export": "a bulk export",
    "hold_change": "a change of a hold",
    "retention_change": "a change of retention",
    "admin_grant": "somebody made an admin",
}
# Which values of a signal are said, and how.
ABOUT = {
    "workflow": "What was done",
    "ageSeconds": "Seconds after joining",
    "secondsBefore": "Seconds before joining",
    "secondsAfter": "Seconds after the release",
    "localHour": "Hour of the tenant's day",
    "count": "How many",
    "windowSeconds": "Within so many seconds",
    "releaseRecord": "Record of the release",
}


class NoteForm(forms.Form):
    note = forms.CharField(
        max_length=signals.LONGEST_NOTE,
        required=False,
        help_text="What you found. Kept sealed with the signal; better name no customer.",
        widget=UnfoldAdminTextareaWidget(),
    )


@admin.register(SecuritySignal)
class SecuritySignalAdmin(TenantModelAdmin[SecuritySignal]):
    view_permission = Permission.HANDLE_SIGNALS
    list_display = ("raised_at", "kind_label", "severity_label", "evidence_shown", "who", "state_label")
    list_display_links = ("raised_at", "kind_label")
    list_filter = ("kind", "severity", "state", since("raised_at", "raised"))
    list_before_template = "admin/compliance/scanned.html"
    search_equal = ("member_id", "fingerprint")
    search_help_text = "Id, member's id, fingerprint"
    ordering = ("-raised_at",)
    fieldsets = (
        (None, {"fields": ("kind_label", "severity_label", "evidence_shown", "who", "state_label")}),
        ("What happened", {"fields": ("occurred_at", "record_link", "about_shown")}),
        (SEEN, {"fields": ("seen_by", "acknowledged_at", "note")}),
        ("In the log pipeline", {"fields": ("raised_at", "emitted_at", "fingerprint", "id")}),
    )
    actions_detail = ("acknowledge",)
    when_empty = "The scan of the audit log found nothing that somebody should look at."

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method in ("GET", "HEAD") and self.has_view_permission(request):
            spans = coverage.read().spans
            shown = {"scanned_until": spans[-1].ends if spans else None, "gaps": coverage.missing(now=clock.now())[:-1]}
            extra_context = {**shown, **(extra_context or {})}
        return super().changelist_view(request, extra_context)

    def headline(self, row: SecuritySignal) -> str:
        return str(row.get_kind_display())

    @column("What", ordering="kind")
    def kind_label(self, row: SecuritySignal) -> str:
        return str(row.get_kind_display())

    @column("Severity", label=SEVERITIES, ordering="severity")
    def severity_label(self, row: SecuritySignal) -> str:
        return str(row.get_severity_display())

    @column("State", label=STATES, ordering="state")
    def state_label(self, row: SecuritySignal) -> str:
        return str(row.get_state_display())

    @column("Evidence")
    def evidence_shown(self, row: SecuritySignal) -> str:
        return ", ".join(WORDS.get(word, word) for word in row.evidence) or NOBODY

    @column("Who")
    def who(self, row: SecuritySignal) -> str:
        actors = [actor for actor in (row.member_id, row.actor_id) if actor]
        names = people.names_of(actors)
        member = names.get(row.member_id, row.member_id)
        key = names.get(row.actor_id, row.actor_id) if row.actor_id not in ("", row.member_id) else ""
        return " ".join(part for part in (member, key and f"by the key “{key}”") if part) or NOBODY

    @column("Record")
    def record_link(self, row: SecuritySignal) -> SafeString:
        link = f"{reverse('admin:audit_auditrecord_changelist')}?q={row.record_id}"
        return format_html('<a class="k-link" href="{}">{}</a>', link, row.record_id)

    @column("In figures")
    def about_shown(self, row: SecuritySignal) -> SafeString:
        said = ((ABOUT.get(name, name), WORKFLOWS.get(str(value), value)) for name, value in row.about.items())
        return format_html_join("", "<div>{}: {}</div>", said)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        is_open = obj is not None and obj.state == SignalState.OPEN
        return [fields for fields in super().get_fieldsets(request, obj) if not is_open or fields[0] != SEEN]

    @column("Acknowledged by")
    def seen_by(self, row: SecuritySignal) -> str:
        return row.acknowledged_by_name

    @column("Note")
    def note(self, row: SecuritySignal) -> str:
        try:
            return signals.note_of(row) or NOBODY
        except CannotOpen:
            return "It cannot be opened: the version of SEALING_KEYS that sealed it is missing."

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, object_id)
        is_open = row is not None and row.state == SignalState.OPEN
        return super().get_actions_detail(request, object_id) if is_open and may(request, self.view_permission) else []

    @verb(
        permission=Permission.HANDLE_SIGNALS,
        description="Acknowledge",
        icon="task_alt",
        url_path="acknowledge",
        variant=ActionVariant.PRIMARY,
    )
    def acknowledge(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            signals.acknowledge(signal=row, note=given["note"], actor=principal_of(request).actor, now=clock.now())
            self.succeed(request, "Acknowledged. It stays in the list, and its records in the log.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title=f"Acknowledge: {row.get_kind_display()}",
            lead="You say that you have looked at it. Nothing about the account or its rights changes.",
            form=NoteForm(given_by(request)),
            do=do,
            refusals={signals.AlreadyAcknowledged: "Somebody else has acknowledged it meanwhile."},
            submit="Acknowledge",
            cancel=self.url("change", row.pk),
        )
