"""The inbox: what waits for this member's answer, from whatever part of the product it comes."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from kaireon.approvals import inbox, registry
from kaireon.approvals.models import ApprovalRequest
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import READ_METHODS, TenantModelAdmin, may, principal_of
from kaireon.tenancy.context import in_transaction
from kaireon.tenancy.roles import Permission

TITLE = "For your decision"
PAGE = "approvals_approvalrequest_inbox"


class InboxPage(TenantModelAdmin[ApprovalRequest]):
    def get_urls(self) -> list[URLPattern]:
        return [path("inbox/", self.admin_site.admin_view(self.inbox), name=PAGE), *super().get_urls()]

    def inbox(self, request: HttpRequest) -> HttpResponse:
        if request.method not in READ_METHODS:
            return HttpResponseNotAllowed(READ_METHODS)
        if not may(request, Permission.DECIDE_APPROVALS):
            raise PermissionDenied
        principal, now = principal_of(request), clock.now()
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": TITLE,
            "headline": TITLE,
            "waiting": _shown(inbox.waiting(person=principal.actor.id, role=principal.role, now=now)),
            "own": _shown(inbox.asked_by(person=principal.actor.id, now=now)),
            "now": now,
        }
        return TemplateResponse(request, "admin/approvals/inbox.html", context)


def count_for(request: HttpRequest) -> int:
    """How many wait for this member; 0 for those who decide nothing."""
    principal = getattr(request, "principal", None)
    if principal is None or not may(request, Permission.DECIDE_APPROVALS) or not in_transaction():
        return 0
    return len(inbox.waiting(person=principal.actor.id, role=principal.role, now=clock.now()))


def _shown(rows: list[ApprovalRequest]) -> list[tuple[ApprovalRequest, str]]:
    """With what each would do, in a word."""
    return [(row, _title(row)) for row in rows]


def _title(row: ApprovalRequest) -> str:
    try:
        return registry.get(row.verb).title
    except registry.UnknownVerb:
        return row.verb
