"""What the next purge would delete, as a page; from there to why a record goes, and to a plan."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from audit.api import moment
from compliance.explaining import tomorrow
from customers.catalogue import CLEANUP, DSAR_PURGE
from kaireon.api.errors import BadRequest
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import may, verb
from kaireon.tenancy.roles import Permission

TITLE = "What goes next"
JOBS = (CLEANUP, DSAR_PURGE)


class TomorrowPage:
    """A page beside the plans. For a `TenantModelAdmin`."""

    admin_site: Any
    opts: Any

    @verb(permission=Permission.READ_RETENTION, description=TITLE, icon="event_upcoming", url_path="tomorrow")
    def tomorrow(self, request: HttpRequest) -> HttpResponse:
        now = clock.now()
        job = next((name for name in JOBS if name == request.GET.get("job")), CLEANUP)
        asked = request.GET.get("at", "").replace("\x00", "").strip()
        scheduled = tomorrow.next_run(job, now=now)
        at, refusal = _moment(asked, now)
        if at is None and not refusal:
            at = scheduled or now + tomorrow.A_DAY
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": TITLE,
            "headline": TITLE,
            "job": job,
            "jobs": JOBS,
            "asked": asked,
            "refusal": refusal,
            "scheduled": scheduled,
            "at": at,
            "found": tomorrow.look(at=at, swept_by=job) if at is not None else None,
            "may_plan": may(request, Permission.MANAGE_RETENTION),
        }
        return TemplateResponse(request, "admin/compliance/tomorrow.html", context)


def _moment(text: str, now: datetime) -> tuple[datetime | None, str]:
    """The moment that somebody asked about, or why it is none."""
    try:
        found = moment(text or None, "at")
    except BadRequest as error:
        return None, str(error.detail).capitalize()
    if found is not None and found < now:
        return None, "What went in the past is listed under Dispositions."
    return found, ""
