"""The audit log in the admin: searched, read and verified here, never written."""

import json
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    QueryDict,
)
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import content_disposition_header
from unfold.enums import ActionVariant

import audit
from audit import diff, search
from audit.exports import bundle
from audit.exports.admin import PeriodForm
from audit.exports.bundle_api import MOST_RECORDS, AuditBundleView, bundle_response
from audit.models import ActorType, AuditRecord
from audit.sealing.reveal import Opened, has_sealed, may_reveal
from audit.sealing.reveal import opened as open_record
from audit.search import BadSearch, Search
from audit.shipping.admin import SiemDestinationAdmin
from audit.state import state
from audit.tree.path import document, path
from audit.verification import jobs as verify_jobs
from audit.verification.runs import length
from audit.verification.verify import Verdict, verify
from kaireon.api import throttles
from kaireon.api.errors import TooManyRequests
from kaireon.jobs import services as jobs
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import READ_METHODS, TenantModelAdmin, may, principal_of, verb
from kaireon.tenancy.models import Tenant
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

__all__ = ["AuditRecordAdmin", "SiemDestinationAdmin"]

# What one request can check well within a server's patience; a longer log is a worker's.
MOST_AT_ONCE = 20_000
# Of the records of one request a record's page shows so many.
MOST_TOGETHER = 12

REASONS = {
    "hash_mismatch": "its contents were changed",
    "chain_link_mismatch": "a record was inserted or removed before it",
    "sequence_gap": "records are missing before it",
    "truncated": "records are missing at an end of the log",
    "checkpoint_mismatch": "the log no longer contains what a checkpoint committed to",
}

# The fields of the search, as they stand in the page's address.
WORDS = ("q", "entity_type", "entity_id", "subject", "actor", "action", "request")


@admin.register(AuditRecord)
class AuditRecordAdmin(TenantModelAdmin[AuditRecord]):
    view_permission = Permission.READ_AUDIT
    actions_list = ("verify_log", "evidence")
    actions_detail = ("proof", "reveal")

    # -- the list -----------------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method not in READ_METHODS:
            return HttpResponseNotAllowed(READ_METHODS)
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.headers.get("HX-Request"):
            return self._doing(request)
        zone = _zone(request)
        wanted, page, refusal = Search(), search.Found(), ""
        try:
            wanted = _asked(request.GET, zone)
            page = search.find(wanted, before=_seq(request, "before"), after=_seq(request, "after"))
        except BadSearch as error:
            refusal = str(error)
        context = {
            **self._frame(request, "Audit log"),
            "asked": {name: request.GET.get(name, "").replace("\x00", "") for name in (*WORDS, "from", "to")},
            "is_narrowed": not wanted.is_empty or bool(refusal),
            "has_more": any(request.GET.get(name) for name in (*WORDS[1:], "from", "to")),
            "refusal": refusal,
            "lines": [(row, diff.summary(row.changes)) for row in page.rows],
            "newer": _address(request, "after", page.newer),
            "older": _address(request, "before", page.older),
            "first": f"?{_without_place(request).urlencode()}",
            "types": search.suggestions("entity_type"),
            "actions": search.suggestions("action"),
            "zone": zone.key,
            "zones": dict.fromkeys([_tenant_zone().key, "UTC"]),
            "state": state(now=clock.now()),
            "may_export": may(request, Permission.EXPORT_AUDIT),
        }
        self._note_read(request, principal_of(request).tenant_id, wanted)
        return TemplateResponse(request, "admin/audit/explorer.html", context)

    def _doing(self, request: HttpRequest) -> HttpResponse:
        """How the log is doing, alone, for the pages that show it. It holds no record, so none is noted as read."""
        if request.GET.get("tenant") != principal_of(request).tenant_id:
            # Another tenant was chosen in another window: the whole page is out of date.
            return HttpResponse(headers={"HX-Refresh": "true"})
        return TemplateResponse(request, "admin/audit/state.html", {"state": state(now=clock.now())})

    # -- one record ---------------------------------------------------------------------------------------------------

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        if request.method not in READ_METHODS or not object_id or not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        self._note_read(request, str(row.pk))
        return TemplateResponse(request, "admin/audit/record.html", self._page_of(request, row))

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return HttpResponseRedirect(self.url("change", object_id))

    def _page_of(self, request: HttpRequest, row: AuditRecord, opened: Opened | None = None) -> dict[str, Any]:
        seen = opened or row
        log = AuditRecord.objects.all()
        same = log.about(row.entity_type, row.entity_id)
        together = log.filter(request_id=row.request_id).order_by("seq") if row.request_id else log.none()
        lines = diff.lines(changes=seen.changes, before=seen.before, after=seen.after)
        return {
            **self._frame(request, f"Record #{row.seq}"),
            "row": row,
            "actor_type": ActorType(row.actor_type).label,
            "changed": [line for line in lines if line.kind != diff.Kind.SAME],
            "same": [line for line in lines if line.kind == diff.Kind.SAME],
            "is_event": row.before is None and row.after is None,
            "may_reveal": opened is None and may_reveal(principal_of(request)) and has_sealed(row),
            "revealed": opened is not None,
            "path": path(row),
            "neighbours": [
                ("Previous in the log", log.filter(seq__lt=row.seq).order_by("-seq").first()),
                ("Next in the log", log.filter(seq__gt=row.seq).order_by("seq").first()),
                (f"Previous of this {row.entity_type}", same.filter(seq__lt=row.seq).order_by("-seq").first()),
                (f"Next of this {row.entity_type}", same.filter(seq__gt=row.seq).order_by("seq").first()),
            ],
            "together": list(together[: MOST_TOGETHER + 1])[:MOST_TOGETHER],
            "together_more": together[MOST_TOGETHER : MOST_TOGETHER + 1].exists(),
        }

    @verb(permission=Permission.READ_AUDIT, description="Download the proof", icon="download", url_path="proof")
    def proof(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The record with its proof, the signed checkpoint and the key, in one file."""
        row = self.row(request, object_id)
        found = document(row)
        if found is None:
            self.message_user(
                request, "The record is in no checkpoint yet: the next one comes within a minute.", messages.WARNING
            )
            return HttpResponseRedirect(self.url("change", row.pk))
        audit.record(
            action="audit_log.prove",
            entity_type="AuditLog",
            entity_id=str(row.pk),
            changes={"size": found["proof"]["treeSize"]},
        )
        return _download(json.dumps(found, ensure_ascii=False, indent=2).encode(), f"audit-proof-{row.seq}.json")

    @verb(permission=Permission.READ_PERSONAL, description="Show sealed values", icon="lock_open", url_path="reveal")
    def reveal(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The record's page with its sealed values in clear, this once: a POST, since it is recorded."""
        row = self.row(request, object_id)
        if request.method in READ_METHODS:
            return HttpResponseRedirect(self.url("change", row.pk))
        opened = open_record(row, principal=principal_of(request))
        response = TemplateResponse(request, "admin/audit/record.html", self._page_of(request, row, opened))
        response["Cache-Control"] = "no-store"
        return response

    # -- the whole log ------------------------------------------------------------------------------------------------

    @verb(
        permission=Permission.READ_AUDIT,
        description="Verify",
        icon="verified_user",
        url_path="verify",
        variant=ActionVariant.PRIMARY,
    )
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
        back = reverse("admin:index") if request.POST.get("next") == "home" else self.url("changelist")
        if length() > MOST_AT_ONCE:
            job = verify_jobs.request()
            self.after_commit(request, lambda: jobs.wake(job))
            self.succeed(request, "A worker reads the whole log. This page shows how far it is.")
            return HttpResponseRedirect(back)
        verdict = verify()
        audit.record(
            action="audit_log.verify",
            entity_type="AuditLog",
            entity_id=principal_of(request).tenant_id,
            changes={"intact": verdict.intact, "scanned": verdict.scanned},
        )
        self.message_user(request, said(verdict), messages.SUCCESS if verdict.intact else messages.ERROR)
        return HttpResponseRedirect(back)

    @verb(permission=Permission.EXPORT_AUDIT, description="Evidence bundle", icon="folder_zip", url_path="evidence")
    def evidence(self, request: HttpRequest) -> HttpResponse:
        """Records of a period with everything that proves them, and the program that checks it."""
        return self.ask(
            request,
            title="Evidence bundle",
            lead="A zip for an auditor: the records of a period, what proves them, and the program that checks it"
            " without us. That you took it is recorded.",
            form=PeriodForm(given_by(request)),
            do=lambda given: cast(HttpResponse, self._bundle(request, given["since"], given["until"])),
            refusals={
                TooManyRequests: "",
                bundle.NothingToBundle: "No record lies in this period.",
                bundle.NotCovered: "No checkpoint commits to these records yet: verify the log, or wait a minute.",
                TooMuch: "",
            },
            submit="Download",
            cancel=self.url("changelist"),
        )

    def _bundle(self, request: HttpRequest, since: datetime | None, until: datetime | None) -> FileResponse:
        principal = principal_of(request)
        throttles.take(AuditBundleView.rates["GET"], f"{principal.tenant_id}:{principal.actor.id}")
        wanted = bundle.range_of(since=since, until=until)
        if wanted.records > MOST_RECORDS:
            raise TooMuch(
                f"The period has {wanted.records:,} records and one download holds {MOST_RECORDS:,}: take a shorter"
                " one, or manage.py audit_export --format bundle."
            )
        return bundle_response(principal.tenant_id, wanted)

    # -- both ---------------------------------------------------------------------------------------------------------

    def _frame(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, "title": title, "headline": title}

    def _note_read(self, request: HttpRequest, what: str, wanted: Search | None = None) -> None:
        """Reading the log is recorded in it; of a search only which fields it named, for a subject is a person."""
        fields = [name for name in vars(wanted) if getattr(wanted, name)] if wanted else []
        audit.record(
            action="audit_log.read",
            entity_type="AuditLog",
            entity_id=what,
            changes={"searchedBy": fields} if fields else None,
        )


class TooMuch(ValueError):
    """More records than one download holds. The message says what to do."""


def said(verdict: Verdict) -> str:
    """A verdict in one sentence."""
    part = f"the last {verdict.scanned:,}" if verdict.window else f"all {verdict.scanned:,}"
    if verdict.intact:
        return f"The log is intact: {part} records were checked."
    where = f"At record #{verdict.broken_at_seq}" if verdict.broken_at_seq else "Somewhere"
    return f"The log is broken. {where}: {REASONS[str(verdict.broken_reason)]}."


def _asked(given: QueryDict, zone: ZoneInfo) -> Search:
    """Raises BadSearch."""
    words = {name: given.get(name, "").strip() for name in WORDS}
    if any("\x00" in word for word in words.values()):
        raise BadSearch("A search may not hold NUL.")
    return Search(
        word=words["q"],
        entity_type=words["entity_type"],
        entity_id=words["entity_id"],
        subject=words["subject"],
        actor=words["actor"],
        action=words["action"],
        request_id=words["request"],
        since=search.moment(given.get("from", ""), zone),
        until=search.moment(given.get("to", ""), zone),
    )


def _seq(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    # No number of ours has more digits.
    return int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(2**63)) else None


def _address(request: HttpRequest, direction: str, seq: int | None) -> str:
    """The same search from another record on; empty where there is nothing."""
    if seq is None:
        return ""
    asked = _without_place(request)
    asked[direction] = str(seq)
    return f"?{asked.urlencode()}"


def _without_place(request: HttpRequest) -> QueryDict:
    """What is asked for, from the newest record on."""
    asked = request.GET.copy()
    for name in ("before", "after"):
        asked.pop(name, None)
    return asked


def _zone(request: HttpRequest) -> ZoneInfo:
    """The zone that times without one are meant in: UTC when asked for, else the tenant's."""
    return ZoneInfo("UTC") if request.GET.get("zone") == "UTC" else _tenant_zone()


def _tenant_zone() -> ZoneInfo:
    return ZoneInfo(Tenant.objects.values_list("time_zone", flat=True).get())


def _download(content: bytes, name: str) -> HttpResponse:
    response = HttpResponse(content, content_type="application/json")
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response
