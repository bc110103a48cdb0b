"""What somebody was told to keep, and their word that they will: for members in any role. Beside the page of holds."""

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from compliance.holding import desk, matters, notices
from compliance.holding.noting import NotingAdmin
from compliance.models import Hold, Matter, Notice
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import READ_METHODS, principal_of

TITLE = "Asked to keep"
ASKED = "admin:compliance_hold_asked"
_PER_PAGE = 20
# Of those that were answered so many are shown.
_ANSWERED = 20


class CustodianPage(NotingAdmin[Hold]):
    def get_urls(self) -> list[URLPattern]:
        see = self.admin_site.admin_view
        ours = [
            path("asked/", see(self.asked), name="compliance_hold_asked"),
            path("<uuid:hold_id>/acknowledge/", see(self.acknowledge), name="compliance_hold_acknowledge"),
        ]
        return [*ours, *super().get_urls()]

    def asked(self, request: HttpRequest) -> HttpResponse:
        """Whoever asks finds what they were told, and nobody else's."""
        me = principal_of(request).actor.id
        page = Paginator(notices.waiting_for(me), _PER_PAGE).get_page(request.GET.get("p"))
        context = {
            **self.admin_site.each_context(request),
            # The way up is for those who may go there.
            **({"opts": self.opts} if self.has_view_permission(request) else {}),
            "title": TITLE,
            "headline": TITLE,
            "page": page,
            "waiting": _shown(list(page.object_list)),
            "answered": _shown(list(notices.answered_by(me)[:_ANSWERED])),
        }
        return TemplateResponse(request, "admin/compliance/asked.html", context)

    def acknowledge(self, request: HttpRequest, hold_id: UUID) -> HttpResponse:
        if request.method in READ_METHODS:
            return HttpResponseRedirect(reverse(ASKED))
        try:
            hold = Hold.objects.for_matters().get(pk=hold_id)
            matters.acknowledge(hold=hold, actor=principal_of(request).actor, now=clock.now())
        except (Hold.DoesNotExist, Notice.DoesNotExist) as e:
            raise Http404 from e
        self.succeed(request, "Thank you. It is kept that you said so, and when.")
        return HttpResponseRedirect(reverse(ASKED))


def _shown(told: list[Notice]) -> list[dict[str, Any]]:
    about = Matter.objects.in_bulk({notice.hold.matter_id for notice in told})
    covers = {line.hold.pk: line.covers for line in desk.lines([notice.hold for notice in told])}
    return [
        {"notice": notice, "matter": about[notice.hold.matter_id], "covers": covers[notice.hold_id]} for notice in told
    ]
