"""Requests of data subjects: filed, followed and handed out here; a worker answers them."""

from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.db.models import CharField, DateField, QuerySet, Value
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.enums import ActionVariant

import audit
from compliance.holding import pauses
from customers.admin import CustomerAdmin
from customers.catalogue import CATALOGUE
from customers.models import Customer
from dsar import deadlines
from dsar.certifying import certificate_page, certificates
from dsar.dossiers import handing_out, keeping
from dsar.erasing import log_keys, plans_admin
from dsar.models import Dossier, DsarRequest, RequestType, State, Status, SubjectType
from dsar.requests import clocks, life_admin, services, subjects
from dsar.requests.api import DOWNLOADED_VERB, DsarRequestsView, file_name
from dsar.requests.clocks_admin import ClockVerbs, fitting, time_left
from dsar.requests.forms import AccessForm, ErasureForm, OtherForm, RequestForm
from dsar.requests.kinds import KINDS
from kaireon.api import throttles
from kaireon.api.errors import TooManyRequests
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.admin_pages import column, given_by, is_uuid, principal_of, since, verb
from kaireon.tenancy.models import Tenant
from kaireon.tenancy.roles import Permission

STATUSES = {"Queued": "info", "Processing": "primary", "Completed": "success", "Failed": "danger"}
REFUSALS: dict[type[Exception], str] = {
    subjects.SubjectRefused: "Give a customer number, or an e-mail address, of at most 254 printable characters.",
    services.ReceivedAtRefused: "The day it reached you must lie between 2000 and today.",
    deadlines.UnknownRegulation: "",
    TooManyRequests: "",
}
NOON = time(12)
SECTION_TITLES = {e.section: e.title for e in CATALOGUE if e.section} | {"auditLogs": "Audit record"}


@admin.register(DsarRequest)
class DsarRequestAdmin(life_admin.LifeVerbs, plans_admin.ErasurePlanVerbs, ClockVerbs):
    view_permission = Permission.READ_DSAR
    list_display = (
        "requested_at",
        "kind",
        "subject",
        "status_label",
        "deadline_on",
        "time_left",
        "filed_by",
    )
    list_display_links = ("requested_at", "kind")
    list_filter = ("status", "request_type", "state", "outcome", "regulation", since("requested_at", "filing"))
    search_equal = ("customer_ref", "job_ref")
    search_help_text = "Customer number, e-mail or request id"
    ordering = ("-requested_at",)
    fieldsets = (
        (None, {"fields": (("kind", "status_label"), ("subject", "outcome_label"), ("subject_type", "error"))}),
        (
            "Time",
            {"fields": (("law", "time_left"), ("received_at", "deadline_on"), ("closed_at", "package_expires_at"))},
        ),
        ("Filed", {"fields": (("filed_by", "requested_at"), ("assigned_name", "package_kind"), ("id",))}),
    )
    change_form_after_template = "admin/dsar/answer.html"
    names_people = ("subject",)
    actions_list = ("access", "erasure", "other", *ClockVerbs.clock_actions_list)
    actions_detail = (
        *("download", "readable", "certificate", "again", "plan", "cancel"),
        *life_admin.VERBS,
        *ClockVerbs.clock_actions_detail,
    )
    when_empty = "File one when a customer asks what you know about them, or to be forgotten."

    def get_queryset(self, request: HttpRequest) -> QuerySet[DsarRequest]:
        zone = _zone()
        today = Value(deadlines.local_date(clock.now(), zone), output_field=DateField())
        rows: QuerySet[DsarRequest] = super().get_queryset(request)
        return rows.annotate(today=today, zone=Value(zone.key, output_field=CharField()))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Subjects stand sealed: they are found by their keys, whichever way they were named."""
        keys: list[str] = []
        for kind in SubjectType.values:
            try:
                keys += subjects.keys(kind, subjects.normal(kind, search_term))
            except subjects.SubjectRefused:
                continue
        about = queryset.filter(subject_key__in=keys)
        if about.exists():
            return about, False
        return super().get_search_results(request, queryset, search_term)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, object_id)
        fit = fitting(row, now=clock.now()) if row is not None else set()
        if row is not None and row.status == Status.FAILED:
            fit.add("again")
        if row is not None and certificates.why_not(row) is None:
            fit.add("certificate")
        if row is not None and _package(row) is not None:
            fit |= {"download"} if row.encrypt else {"download", "readable"}
        if row is not None:
            fit |= plans_admin.fitting(row) | life_admin.fitting(row)
        return [a for a in super().get_actions_detail(request, object_id) if a.action_name.rsplit("_", 1)[-1] in fit]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        row = self.get_object(request, object_id) if object_id else None
        extra: dict[str, Any] = {}
        if row is not None:
            extra = {
                "clock": clocks.clock_of(row),
                "request_row": row,
                "answer": _answer(row),
                "kept": _kept(row),
                "paused_since": pauses.paused_since(row.pk),
                **life_admin.page_of(row),
            }
        return super().changeform_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    def headline(self, row: DsarRequest) -> str:
        return f"{title_of(row)} request"

    @column("Request", ordering="request_type")
    def kind(self, row: DsarRequest) -> str:
        return title_of(row)

    @column("Law")
    def law(self, row: DsarRequest) -> str:
        return deadlines.law_pack(row.regulation).title

    @column("Subject")
    def subject(self, row: DsarRequest) -> str | SafeString:
        if row.is_shredded or row.customer_ref is None:
            return format_html('<span class="k-cut" title="{0}">{0}</span>', row.subject_id)
        page = reverse("admin:customers_customer_change", args=[row.customer_ref])
        return format_html('<a class="k-link" href="{}">{}</a>', page, row.subject_id)

    @column("By")
    def filed_by(self, row: DsarRequest) -> str:
        return row.requested_by_name or row.requested_by

    @column("Package")
    def package_kind(self, row: DsarRequest) -> str:
        return "encrypted" if row.encrypt else "readable"

    @column("Status", label=STATUSES, ordering="status")
    def status_label(self, row: DsarRequest) -> str:
        return str(row.get_status_display())

    @column("Outcome")
    def outcome_label(self, row: DsarRequest) -> str:
        return (
            str(row.get_outcome_display())
            if row.outcome and row.state != State.DEFERRED
            else str(row.get_state_display())
        )

    @column("Time left", ordering="deadline_on")
    def time_left(self, row: Any) -> SafeString:
        answered = row.answered_at or row.closed_at
        if answered is not None:
            closed = deadlines.local_date(answered, ZoneInfo(row.zone))
            late = row.deadline_on is not None and closed > row.deadline_on
            return format_html(
                '<span class="k-due {}">{}</span>', "k-late" if late else "k-quiet", "late" if late else "in time"
            )
        return time_left(row, row.today)

    @verb(
        permission=Permission.MANAGE_DSAR,
        description="New access request",
        icon="folder_shared",
        url_path="access",
        variant=ActionVariant.PRIMARY,
    )
    def access(self, request: HttpRequest) -> HttpResponse:
        return self._file(
            request,
            RequestType.EXPORT,
            AccessForm,
            title="New access request",
            lead="Everything known about the customer is gathered into a package, which stays sealed until downloaded.",
            submit="File the request",
        )

    @verb(
        permission=Permission.MANAGE_DSAR, description="New erasure request", icon="person_remove", url_path="erasure"
    )
    def erasure(self, request: HttpRequest) -> HttpResponse:
        return self._file(
            request,
            RequestType.DELETE,
            ErasureForm,
            title="New erasure request",
            lead="What is known about the customer is erased. What a legal hold or a law keeps stays, and is listed.",
            submit="Erase the customer",
            danger=True,
        )

    @verb(permission=Permission.MANAGE_DSAR, description="New request of another kind", icon="add", url_path="other")
    def other(self, request: HttpRequest) -> HttpResponse:
        return self._file(
            request,
            RequestType.GRIEVANCE,
            OtherForm,
            title="New request of another kind",
            lead="A worker answers portability and opt-out. What else is asked for waits for one of you.",
            submit="File the request",
        )

    def _file(self, request: HttpRequest, kind: str, form: type[RequestForm], **page: Any) -> HttpResponse:
        actor = principal_of(request).actor

        def do(given: dict[str, Any]) -> HttpResponse:
            throttles.take(DsarRequestsView.rates["POST"], f"{context.tenant_id()}:{actor.id}")
            filed = services.create_request(
                request_type=given.get("kind", kind),
                details=given.get("details", ""),
                subject_id=given["subject_id"],
                subject_type=given["subject_type"],
                regulation=given["regulation"],
                received_at=_moment(given["received_on"]),
                encrypt=given.get("encrypt", False),
                actor=actor,
                now=clock.now(),
            )
            self.after_commit(request, lambda: services.wake(filed))
            self.succeed(request, "The request is filed. This page shows how far it has come when you reload it.")
            return HttpResponseRedirect(self.url("change", filed.request.pk))

        return self.ask(
            request,
            form=form(given_by(request), initial=_initial(request)),
            do=do,
            refusals=REFUSALS,
            cancel=self.url("changelist"),
            **page,
        )

    @verb(
        permission=Permission.READ_DSAR,
        description="Download the package",
        icon="download",
        url_path="download",
        variant=ActionVariant.PRIMARY,
    )
    def download(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """The package as a file; handing it out is recorded."""
        return self._hand_out(request, object_id, "json")

    @verb(
        permission=Permission.READ_DSAR,
        description="Download to read (zip)",
        icon="folder_zip",
        url_path="readable",
    )
    def readable(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Pages, tables and the rest as a zip; recorded too."""
        return self._hand_out(request, object_id, "zip")

    def _hand_out(self, request: HttpRequest, object_id: str, wanted: str) -> HttpResponseBase:
        row = self.row(request, object_id)
        package = _package(row)
        if package is None:
            self.message_user(request, "There is no package: it has expired, or is not ready yet.", messages.WARNING)
            return HttpResponseRedirect(self.url("change", row.pk))
        try:
            response = handing_out.FORMATS[wanted](row, package, file_name=file_name(row, wanted))
        except handing_out.AskedForEncrypted:
            self.message_user(request, "It was asked for encrypted: only the envelope is handed out.", messages.WARNING)
            return HttpResponseRedirect(self.url("change", row.pk))
        except keeping.DossierMissing:
            self.message_user(request, "The package is not in storage any more: file a new request.", messages.ERROR)
            return HttpResponseRedirect(self.url("change", row.pk))
        audit.record(
            action=DOWNLOADED_VERB, entity_type="DsarRequest", entity_id=str(row.pk), changes={"via": {"new": "admin"}}
        )
        return response

    @verb(
        permission=Permission.READ_DSAR,
        description="Certificate",
        icon="workspace_premium",
        url_path="certificate",
        variant=ActionVariant.PRIMARY,
    )
    def certificate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What proves the erasure; the first look issues it."""
        return certificate_page.page(self, request, self.row(request, object_id))

    @verb(
        permission=Permission.MANAGE_DSAR,
        description="Try again",
        icon="replay",
        url_path="again",
        variant=ActionVariant.PRIMARY,
    )
    def again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            filed = services.retry_request(request=row, now=clock.now())
            self.after_commit(request, lambda: services.wake(filed))
            self.succeed(request, "The request is queued again.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title="Try the request again",
            lead="A worker takes it up from the beginning. What was already done stays done.",
            form=forms.Form(given_by(request)),
            do=do,
            refusals={services.RequestNotFailed: "This request has not failed, or was queued again already."},
            submit="Queue it again",
            cancel=self.url("change", row.pk),
        )


# Customers know nothing of requests, so their page gets its two buttons here.
admin.site.unregister(Customer)


@admin.register(Customer)
class CustomerWithRequestsAdmin(CustomerAdmin):
    actions_detail = ("ask_access", "ask_erasure")

    @verb(
        permission=Permission.MANAGE_DSAR,
        description="Access request",
        icon="folder_shared",
        url_path="access",
        variant=ActionVariant.PRIMARY,
    )
    def ask_access(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._form("access", self.row(request, object_id))

    @verb(permission=Permission.MANAGE_DSAR, description="Erasure request", icon="person_remove", url_path="erasure")
    def ask_erasure(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._form("erasure", self.row(request, object_id))

    def _form(self, verb_name: str, customer: Customer) -> HttpResponse:
        # By our own id: the customer's number has no place in addresses, which are logged everywhere.
        page = reverse(f"admin:dsar_dsarrequest_{verb_name}")
        return HttpResponseRedirect(f"{page}?customer={customer.pk}")


def title_of(row: DsarRequest) -> str:
    """What officers call it: an export answers an access request."""
    return KINDS[row.request_type].title


def _answer(row: DsarRequest) -> list[tuple[str, int]]:
    """Rows by kind: exported, erased, or reduced to evidence."""
    if row.request_type != RequestType.DELETE:
        return sorted((SECTION_TITLES.get(name, name), count) for name, count in row.counts.items())
    erased = [(_title(name), count) for name, count in row.counts.get("deleted", {}).items() if count]
    reduced = [(f"{_title(name)}, reduced", count) for name, count in row.counts.get("reduced", {}).items() if count]
    return sorted(erased + reduced)


def _kept(row: DsarRequest) -> list[dict[str, Any]]:
    """What stayed, with the ground in words."""
    return [
        {**kept, "title": _title(kept["entity"]), "ground": kept["ground"].replace("_", " ")} for kept in row.retained
    ]


def _title(name: str) -> str:
    titles = {entity.name: entity.title for entity in CATALOGUE} | {log_keys.NAME: log_keys.TITLE}
    return titles.get(name, name)


def _package(row: DsarRequest) -> Dossier | None:
    handed_out = row.status == Status.COMPLETED or row.state == State.REVIEW
    if not KINDS[row.request_type].has_package or not handed_out:
        return None
    return Dossier.objects.fresh(clock.now()).filter(request=row.answered_by).first()


def _initial(request: HttpRequest) -> dict[str, Any]:
    tenant = Tenant.objects.get(pk=context.tenant_id())
    today = deadlines.local_date(clock.now(), ZoneInfo(tenant.time_zone))
    given: dict[str, Any] = {"regulation": tenant.regulation, "received_on": today}
    wanted = request.GET.get("customer", "")
    customer = Customer.objects.filter(pk=wanted).first() if is_uuid(wanted) else None
    return given | ({"subject_id": customer.customer_id} if customer else {})


def _moment(day: date) -> datetime | None:
    """The law counts local days, so noon of a past day stands for it; today stands for now."""
    zone = _zone()
    if day == deadlines.local_date(clock.now(), zone):
        return None
    return datetime.combine(day, NOON, tzinfo=zone)


def _zone() -> ZoneInfo:
    return ZoneInfo(Tenant.objects.values_list("time_zone", flat=True).get(pk=context.tenant_id()))
