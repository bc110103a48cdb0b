"""The plan of an erasure in the admin: what would go, what stays and why, before anybody presses anything."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from customers.catalogue import CATALOGUE, DATA_CLASSES, SAID
from dsar.erasing import cancelling, log_keys, plans
from dsar.models import DsarRequest, ErasurePlan, RequestType, State
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, given_by, principal_of, verb
from kaireon.tenancy.patience import TookTooLong, at_most
from kaireon.tenancy.roles import Permission

WORDS: dict[str, str] = {
    "erase": "Erased",
    "anonymise": "Cut loose from the person",
    "shred": "Name overwritten",
    "retain": "Kept",
}
OBJECT = "Object"
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
            **_page(plan, row),
        }
        return TemplateResponse(request, "admin/dsar/plan.html", context)

    @verb(permission=Permission.MANAGE_DSAR, description="Cancel the erasure", icon="undo", url_path="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        actor = principal_of(request).actor

        def do(given: dict[str, Any]) -> HttpResponse:
            cancelling.cancel(row, actor=actor, now=clock.now())
            self.succeed(request, "The erasure is cancelled. Nothing was erased.")
            return HttpResponseRedirect(self.url("change", row.pk))

        return self.ask(
            request,
            title="Cancel the erasure",
            lead="Nothing is erased, and the request is closed as withdrawn. A new one can be filed at any time.",
            form=forms.Form(given_by(request)),
            do=do,
            refusals=REFUSALS,
            submit="Cancel the erasure",
            cancel=self.url("change", row.pk),
        )


def fitting(row: DsarRequest) -> set[str]:
    """Which of these buttons the request's page shows."""
    if row.request_type != RequestType.DELETE:
        return set()
    return {"plan", "cancel"} if row.state in (State.APPROVAL, State.WINDOW) else {"plan"}


def _page(plan: ErasurePlan, row: DsarRequest) -> dict[str, Any]:
    return {
        "plan": plan,
        "row": row,
        "frozen": not plan._state.adding,
        "totals": [(WORDS[action], count) for action, count in plans.totals(plan).items()],
        "lines": [
            {
                **item,
                "title": _title(item["entity"]),
                "action": WORDS[item["action"]],
                "kind": item["action"],
                "about": DATA_CLASSES.get(item["dataClass"], ""),
                "ground": (item["ground"] or "").replace("_", " "),
            }
            for item in plan.items
        ],
    }


def _title(name: str) -> str:
    titles = {entity.name: entity.title for entity in (*CATALOGUE, *SAID)} | {log_keys.NAME: log_keys.TITLE}
    if name not in titles and name.endswith(OBJECT):
        return f"Stored file of: {titles.get(name.removesuffix(OBJECT), name)}"
    return titles.get(name, name)
