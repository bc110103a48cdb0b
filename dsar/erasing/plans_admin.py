"""The plan of an erasure in the admin: what would go, what stays and why, before anybody presses anything."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from dsar.erasing import cancelling, plans
from dsar.erasing.plan_page import page_of
from dsar.models import DsarRequest, RequestType, State
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, principal_of, verb
from kaireon.tenancy.patience import TookTooLong, at_most
from kaireon.tenancy.roles import Permission

REFUSALS: dict[type[Exception], str] = {
    cancelling.NotCancellable: "It has begun or ended meanwhile, and cannot be cancelled any more.",
    cancelling.TooLateToCancel: "The time in which it could be cancelled is over.",
}


class ErasurePlanVerbs(TenantModelAdmin[DsarRequest]):
    """The page of a request has a button to its plan, where it is one for erasure."""

    @verb(permission=Permission.READ_DSAR, description="What would be erased", icon="checklist", url_path="plan")
    def plan(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        try:
            with at_most(plans.SECONDS):
                plan = plans.look(row, now=clock.now())
        except TookTooLong:
            self.message_user(request, plans.TOO_LARGE, messages.WARNING)
            return HttpResponseRedirect(self.url("change", row.pk))
        except (plans.NotAnErasure, plans.NoPlan):
            self.message_user(request, "This request has no plan of an erasure.", messages.WARNING)
            return HttpResponseRedirect(self.url("change", row.pk))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Plan of the erasure",
            "headline": "Plan of the erasure",
            "back": self.url("change", row.pk),
            "row": row,
            **page_of(plan),
        }
        return TemplateResponse(request, "admin/dsar/plan.html", context)

    @verb(permission=Permission.MANAGE_DSAR, description="Cancel the erasure", icon="undo", url_path="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        actor = principal_of(request).actor

        def do() -> str:
            cancelling.cancel(row, actor=actor, now=clock.now())
            return "The erasure is cancelled. Nothing was erased."

        return self.confirm(
            request,
            row,
            do,
            title="Cancel the erasure",
            lead="Nothing is erased, and the request is closed as withdrawn. A new one can be filed at any time.",
            refusals=REFUSALS,
            submit="Cancel the erasure",
        )


def fitting(row: DsarRequest) -> set[str]:
    """Which of these buttons the request's page shows."""
    if row.request_type != RequestType.DELETE:
        return set()
    return {"plan", "cancel"} if row.state in (State.APPROVAL, State.WINDOW) else {"plan"}
