"""The figures of a period in the admin, and the same as a file."""

from datetime import date
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils.http import urlencode

from dsar.models import DsarRequest, State
from dsar.reporting import telling
from dsar.reporting.document import METRICS, REASONS
from dsar.reporting.figures import BadPeriod, Figures, Report, report
from dsar.reporting.period import period
from dsar.requests import today as days
from dsar.requests.grounds import GROUNDS
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import READ_METHODS, TenantModelAdmin, verb
from kaireon.tenancy.roles import Permission

TITLE = "Report of requests"


class ReportPage(TenantModelAdmin[DsarRequest]):
    @verb(permission=Permission.READ_DSAR, description="Report", icon="bar_chart", url_path="report")
    def report(self, request: HttpRequest) -> HttpResponse:
        """The page, or with `?format=csv` the file."""
        if request.method not in READ_METHODS:
            return HttpResponseNotAllowed(READ_METHODS)
        today = days.today()
        asked = {name: request.GET.get(name, "").strip() for name in ("from", "to")}
        found, refusal = None, ""
        try:
            since, until = period(asked["from"], asked["to"], today=today)
            found = report(since=since, until=until, zone=days.zone(), now=clock.now())
        except BadPeriod as error:
            refusal = str(error)
        if found is not None and request.GET.get("format") == "csv":
            return _file(found)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": TITLE,
            "headline": TITLE,
            "asked": asked if found is None else {"from": str(found.since), "to": str(found.until)},
            "refusal": refusal,
            "periods": _periods(today),
            **(_page(found) if found is not None else {}),
        }
        return TemplateResponse(request, "admin/dsar/report.html", context)


def _file(found: Report) -> HttpResponse:
    response = HttpResponse(telling.as_csv(found), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{telling.file_name(found.since, found.until)}"'
    return response


def _page(found: Report) -> dict[str, Any]:
    return {
        "found": found,
        "tables": [
            ("kinds", "By kind", [(telling.kind_of(line), line) for line in found.by_kind]),
            ("laws", "By law", [(telling.law_of(line), line) for line in found.by_law]),
        ],
        "lines": [(telling.law_of(line), telling.kind_of(line), line) for line in found.lines],
        "metrics": [(METRICS[name], line) for name, line in found.metrics.items()] if _has_ccpa(found) else [],
        "reasons": [(REASONS[name], count) for name, count in telling.reasons(found).items()],
        "denials": [
            (GROUNDS[name].title if name in GROUNDS else name, count) for name, count in found.denied_on().items()
        ],
        "states": [(State(name).label if name in State.values else name, n) for name, n in found.states.items()],
        "file": urlencode({"from": str(found.since), "to": str(found.until), "format": "csv"}),
    }


def _has_ccpa(found: Report) -> bool:
    return any(line != Figures(regulation=line.regulation) for line in found.metrics.values())


def _periods(today: date) -> list[tuple[str, str]]:
    """What people ask for most, as query strings."""
    return [
        ("This year", urlencode({"from": f"{today.year}-01-01", "to": str(today)})),
        *((str(year), urlencode({"from": f"{year}-01-01", "to": f"{year}-12-31"})) for year in _years(today)),
    ]


def _years(today: date) -> list[int]:
    return [today.year - 1, today.year - 2]
