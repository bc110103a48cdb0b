"""The audit log: read and verified here, never written."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html

import audit
from audit.models import AuditRecord
from audit.verify import Verdict, verify
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, given_by, principal_of, since, verb
from kaireon.tenancy.roles import Permission

# What one request can check well within a server's patience; the whole of a longer log: manage.py audit_verify.
MOST_AT_ONCE = 100_000

CHANGES = ("changes", "before", "after")

REASONS = {
    "hash_mismatch": "its contents were changed",
    "chain_link_mismatch": "a record was inserted or removed before it",
    "sequence_gap": "records are missing before it",
    "truncated": "records are missing at an end of the log",
    "checkpoint_mismatch": "the log no longer contains what a checkpoint committed to",
}


@admin.register(AuditRecord)
class AuditRecordAdmin(TenantModelAdmin[AuditRecord]):
    view_permission = Permission.READ_AUDIT
    list_display = ("seq", "timestamp", "action_label", "entity", "who", "actor_type")
    list_display_links = ("seq", "action_label")
    list_filter = ("actor_type", since("timestamp", "time"))
    search_equal = ("entity_id", "action", "entity_type", "user_name", "request_id", "integrity_hash")
    search_help_text = "Id, action, type, member, request id"
    ordering = ("-seq",)
    fieldsets = (
        (None, {"fields": ("seq", "timestamp", "action", "entity_type", "entity_id", "entity_name", "entity_version")}),
        ("Who", {"fields": ("user_name", "actor_type", "user_id", "request_id")}),
        ("What changed", {"fields": CHANGES}),
        ("Integrity", {"fields": ("id", "prev_hash", "integrity_hash", "leaf_hash")}),
    )
    actions_list = ("verify_log",)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-seq",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Without what is empty: a creation has no before."""
        empty = {name for name in CHANGES if getattr(obj, name, None) is None}
        sets = [
            (title, {"fields": [name for name in options["fields"] if name not in empty]})
            for title, options in super().get_fieldsets(request, obj)
        ]
        return [(title, options) for title, options in sets if options["fields"]]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        if response.status_code == 200:
            _note_read(request, principal_of(request).tenant_id)
        return response

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        response = super().changeform_view(request, object_id, form_url, extra_context)
        if response.status_code == 200 and object_id:
            _note_read(request, object_id)
        return response

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return HttpResponseRedirect(self.url("change", object_id))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        response = super().render_change_form(request, context, *args, **kwargs)
        response.context_data["show_history"] = False
        return response

    @column("Action", ordering="action")
    def action_label(self, row: AuditRecord) -> str:
        return format_html("<code>{}</code>", row.action)

    @column("Of")
    def entity(self, row: AuditRecord) -> str:
        return format_html('{}<small class="k-id">{}</small>', row.entity_type, row.entity_name or row.entity_id)

    @column("By")
    def who(self, row: AuditRecord) -> str:
        return row.user_name

    @verb(permission=Permission.READ_AUDIT, description="Verify", icon="verified_user", url_path="verify")
    def verify_log(self, request: HttpRequest) -> HttpResponse:
        """The link to verification: a page of its own, because what it does is recorded and so wants a POST."""
        return self.ask(
            request,
            title="Verify the log",
            lead="Every record is read again, its hashes are derived anew and compared, and so is the order of all.",
            form=forms.Form(given_by(request)),
            do=lambda given: self._verified(request),
            submit="Verify now",
            cancel=self.url("changelist"),
        )

    def _verified(self, request: HttpRequest) -> HttpResponse:
        verdict = verify(limit=MOST_AT_ONCE)
        audit.record(
            action="audit_log.verify",
            entity_type="AuditLog",
            entity_id=principal_of(request).tenant_id,
            changes={"intact": verdict.intact, "scanned": verdict.scanned},
        )
        self.message_user(request, said(verdict), messages.SUCCESS if verdict.intact else messages.ERROR)
        home = request.POST.get("next") == "home"
        return HttpResponseRedirect(reverse("admin:index") if home else self.url("changelist"))


def said(verdict: Verdict) -> str:
    """A verdict in one sentence."""
    part = f"the last {verdict.scanned:,}" if verdict.window else f"all {verdict.scanned:,}"
    if verdict.intact:
        return f"The log is intact: {part} records were checked."
    where = f"At record #{verdict.broken_at_seq}" if verdict.broken_at_seq else "Somewhere"
    return f"The log is broken. {where}: {REASONS[str(verdict.broken_reason)]}."


def _note_read(request: HttpRequest, what: str) -> None:
    """Reading the log is recorded in it."""
    audit.record(action="audit_log.read", entity_type="AuditLog", entity_id=what)
