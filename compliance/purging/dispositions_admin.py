"""What was disposed of in a period: sums by class, each disposition, and the same as a file."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, QueryDict
from django.template.response import TemplateResponse

from compliance.models import Disposition
from compliance.purging import exporting
from compliance.purging.dispositions_api import period
from customers.catalogue import CATALOGUE, DERIVED
from kaireon.api.errors import BadRequest
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import READ_METHODS, BoundedPaginator, TenantModelAdmin, column, is_uuid, verb
from kaireon.tenancy.roles import Permission

TITLES = {entity.name: entity.title for entity in (*CATALOGUE, *DERIVED)}
WORDS = ("from", "to", "plan")


@admin.register(Disposition)
class DispositionAdmin(TenantModelAdmin[Disposition]):
    view_permission = Permission.READ_RETENTION
    fieldsets = (
        (None, {"fields": ("what", "data_class", "method", "rows_shown", "first_at", "last_at")}),
        ("On what grounds", {"fields": ("under", "law", "clock", "clock_from", "clock_until")}),
        ("Who", {"fields": ("done_by_name", "approved_by_name", "plan", "run", "id")}),
    )
    actions_list = ("download",)

    def headline(self, row: Disposition) -> str:
        return f"{row.rows:,} of {self.what(row)}"

    @column("What")
    def what(self, row: Disposition) -> str:
        return TITLES.get(row.entity, row.entity)

    @column("Rows")
    def rows_shown(self, row: Disposition) -> str:
        return f"{row.rows:,}"

    @column("Under")
    def under(self, row: Disposition) -> str:
        if row.retention_days is None:
            return "its own end"
        whose = f" of {row.policy_class}" if row.policy_class not in ("", row.data_class) else ""
        return f"{row.retention_days:,} days, version {row.policy_version} of the policy{whose}"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method not in READ_METHODS:
            return HttpResponseNotAllowed(READ_METHODS)
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = {name: request.GET.get(name, "").replace("\x00", "").strip() for name in WORDS}
        rows, refusal = Disposition.objects.none(), ""
        try:
            since, until = _period(asked)
            rows = Disposition.objects.between(since, until)
            if asked["plan"]:
                rows = rows.filter(plan=_plan(asked["plan"]))
        except BadRequest as error:
            refusal = str(error.detail).capitalize()
        pages = BoundedPaginator(rows.order_by("-first_at", "-id"), self.list_per_page)
        page = pages.get_page(request.GET.get("p"))
        sums = list(rows.order_by("data_class").values("data_class").annotate(rows=Sum("rows")))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "What was disposed of",
            "headline": "What was disposed of",
            "asked": asked,
            "refusal": refusal,
            "periods": _periods(clock.now()),
            "sums": sums,
            "total": sum(each["rows"] for each in sums),
            "lines": [(row, self.what(row), self.under(row)) for row in page],
            "page": page,
            "is_cut": pages.is_cut,
            "newer": _address(request, page.number - 1) if page.has_previous() else "",
            "older": _address(request, page.number + 1) if page.has_next() else "",
            "files": "" if refusal or asked["plan"] else _query(asked),
        }
        return TemplateResponse(request, "admin/compliance/dispositions.html", context)

    @verb(permission=Permission.READ_RETENTION, description="Download", icon="download", url_path="download")
    def download(self, request: HttpRequest) -> HttpResponse:
        if request.method not in READ_METHODS:
            return HttpResponseNotAllowed(READ_METHODS)
        format_ = request.GET.get("format", "csv")
        try:
            since, until = _period({name: request.GET.get(name, "") for name in WORDS})
        except BadRequest as error:
            return HttpResponse(str(error.detail), status=400, content_type="text/plain")
        if format_ not in exporting.TYPES:
            return HttpResponse("There is html and csv.", status=400, content_type="text/plain")
        return exporting.file_of(format_, since=since, until=until, now=clock.now())


def _period(asked: dict[str, str]) -> tuple[datetime | None, datetime | None]:
    return period(asked["from"] or None, asked["to"] or None)


def _plan(text: str) -> UUID:
    if not is_uuid(text):
        raise BadRequest("must be the id of a plan.", field="plan")
    return UUID(text)


def _periods(now: datetime) -> list[tuple[str, str]]:
    """What people ask for most, as query strings."""
    today = now.date()
    last = today.year - 1
    return [
        ("Last 30 days", _query({"from": str(today - timedelta(days=30)), "to": str(today)})),
        ("This year", _query({"from": f"{today.year}-01-01", "to": str(today)})),
        ("Last year", _query({"from": f"{last}-01-01", "to": f"{last}-12-31"})),
        ("Everything", ""),
    ]


def _query(asked: dict[str, str]) -> str:
    said = QueryDict(mutable=True)
    said.update({name: value for name, value in asked.items() if value})
    return said.urlencode()


def _address(request: HttpRequest, number: int) -> str:
    said = request.GET.copy()
    said["p"] = str(number)
    return f"?{said.urlencode()}"
