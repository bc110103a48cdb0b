"""Requests of data subjects: filed, followed and handed out here; a worker answers them."""

from typing import Any

from django.contrib import admin
from django.db.models import CharField, DateField, Q, QuerySet, Value
from django.http import HttpRequest

from compliance.holding import pauses
from dsar import deadlines
from dsar.certifying import certificates
from dsar.desk.assigning_admin import AssigningPage
from dsar.desk.board_admin import BoardPage
from dsar.desk.list_filters import AssignedFilter, UrgencyFilter
from dsar.erasing import plans_admin
from dsar.letters import letters_admin, manner_admin
from dsar.models import DsarRequest, SubjectType
from dsar.public.page_admin import PublicPageVerbs
from dsar.recipients import recipients_admin
from dsar.reporting.report_admin import ReportPage
from dsar.requests import (
    answer_page,
    clocks,
    clocks_admin,
    life_admin,
    package_admin,
    progress_page,
    retrying_admin,
    subjects,
)
from dsar.requests import today as days
from dsar.requests.clocks_admin import ClockVerbs
from dsar.requests.filing_admin import FilingVerbs
from dsar.requests.kinds import title_of
from dsar.requests.package_admin import PackageVerbs
from dsar.requests.request_columns import RequestColumns
from dsar.requests.retrying_admin import RetryVerbs
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import may, since
from kaireon.tenancy.roles import Permission


@admin.register(DsarRequest)
class DsarRequestAdmin(
    AssigningPage,
    BoardPage,
    ReportPage,
    RequestColumns,
    FilingVerbs,
    PackageVerbs,
    RetryVerbs,
    life_admin.LifeVerbs,
    plans_admin.ErasurePlanVerbs,
    letters_admin.LetterVerbs,
    manner_admin.MannerPages,
    PublicPageVerbs,
    recipients_admin.NoticeVerbs,
    ClockVerbs,
):
    view_permission = Permission.READ_DSAR
    list_display = (
        "requested_at",
        "kind",
        "subject",
        "status_label",
        "deadline_on",
        "time_left",
        "assigned_name",
        "filed_by",
    )
    list_display_links = ("requested_at", "kind")
    list_filter = (
        *("status", AssignedFilter, UrgencyFilter, "request_type", "state", "outcome", "regulation"),
        since("requested_at", "filing"),
    )
    search_equal = ("customer_ref", "job_ref")
    search_help_text = "Customer number, e-mail, reference or request id"
    ordering = ("-requested_at",)
    fieldsets = (
        (None, {"fields": (("kind", "status_label"), ("subject", "outcome_label"), ("subject_type", "error"))}),
        (
            "Time",
            {"fields": (("law", "time_left"), ("received_at", "deadline_on"), ("closed_at", "package_expires_at"))},
        ),
        ("Filed", {"fields": (("filed_by", "requested_at"), ("assigned_name", "package_kind"), ("reference", "id"))}),
    )
    change_form_after_template = "admin/dsar/answer.html"
    names_people = ("subject",)
    actions_list = (
        *("board", "report"),
        *FilingVerbs.filing_actions_list,
        *ClockVerbs.clock_actions_list,
        *PublicPageVerbs.page_actions_list,
        *manner_admin.PAGES,
    )
    actions_detail = (
        *package_admin.VERBS,
        *("again", "plan", "cancel"),
        *life_admin.VERBS,
        *letters_admin.VERBS,
        *recipients_admin.VERBS,
        *ClockVerbs.clock_actions_detail,
    )
    when_empty = "File one when a customer asks what you know about them, or to be forgotten."

    def get_queryset(self, request: HttpRequest) -> QuerySet[DsarRequest]:
        zone = days.zone()
        today = Value(deadlines.local_date(clock.now(), zone), output_field=DateField())
        rows: QuerySet[DsarRequest] = super().get_queryset(request)
        return rows.annotate(today=today, zone=Value(zone.key, output_field=CharField()))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Subjects stand sealed: they are found by their keys, whichever way they were named. A reference finds its
        request, and might be somebody's number too.
        """
        keys: list[str] = []
        for kind in SubjectType.values:
            try:
                keys += subjects.keys(kind, subjects.normal(kind, search_term))
            except subjects.SubjectRefused:
                continue
        called = DsarRequest.objects.called(search_term).values("pk")
        about = queryset.filter(Q(subject_key__in=keys) | Q(pk__in=called))
        if about.exists():
            return about, False
        return super().get_search_results(request, queryset, search_term)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, object_id)
        fit = _fitting(row) if row is not None else set()
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
                **answer_page.page_of(row),
                **progress_page.page_of(row),
                "certified": certificates.why_not(row) is None,
                "may_manage": may(request, Permission.MANAGE_DSAR),
                "paused_since": pauses.paused_since(row.pk),
                **life_admin.page_of(row),
                **letters_admin.page_of(row),
                **recipients_admin.page_of(row),
            }
        return super().changeform_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    def headline(self, row: DsarRequest) -> str:
        return f"{title_of(row)} request"


def _fitting(row: DsarRequest) -> set[str]:
    """Which buttons its page shows."""
    clock_verbs = clocks_admin.fitting(row, now=clock.now())
    answered = package_admin.fitting(row) | retrying_admin.fitting(row)
    own = plans_admin.fitting(row) | life_admin.fitting(row) | letters_admin.FITTING
    return clock_verbs | answered | own
