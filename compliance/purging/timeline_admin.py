"""What goes when, as a page beside the policies."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from compliance.purging.timeline import timeline
from compliance.purging.timeline_picture import draw
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import verb
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Permission

TITLE = "What goes when"


class TimelinePage:
    """For a `TenantModelAdmin`."""

    admin_site: Any
    opts: Any

    @verb(permission=Permission.READ_RETENTION, description=TITLE, icon="bar_chart", url_path="timeline")
    def timeline(self, request: HttpRequest) -> HttpResponse:
        with transaction():
            found = timeline(now=clock.now())
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": TITLE,
            "headline": TITLE,
            "found": found,
            "picture": draw(found),
            "lines": [(lane, list(zip(lane.months, lane.held, strict=True))) for lane in found.lanes],
            "changes": [(lane, change) for lane in found.lanes for change in lane.changes],
        }
        return TemplateResponse(request, "admin/compliance/timeline.html", context)
