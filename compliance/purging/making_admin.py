"""The page on which a plan is made: which classes, a look at what would go, and then the plan."""

from typing import Any
from uuid import UUID

from django import forms
from django.core import signing
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.enums import ActionVariant

from compliance.models import PurgePlan
from compliance.purging import forecast, plans
from customers.catalogue import DATA_CLASSES
from kaireon.approvals import services as approvals
from kaireon.lib import clock
from kaireon.lib.ids import uuid7
from kaireon.tenancy.admin_pages import principal_of, verb
from kaireon.tenancy.patience import TookTooLong, at_most
from kaireon.tenancy.principal import Principal
from kaireon.tenancy.roles import Permission

TITLE = "New plan"
# Of each statement: a web server gives up on a request after thirty seconds.
SECONDS = 5
TOO_LARGE = "There are too many rows to plan while you wait. The command retention_plan takes the time it takes."
LOOK_AGAIN = "This look is too old, or not yours. Look again, then make the plan."
_SALT = "compliance.plan"
_LOOKED_AT = 3600


class ClassesForm(forms.Form):
    classes = forms.MultipleChoiceField(
        required=False,
        choices=[(name, f"{name}: {title}") for name, title in DATA_CLASSES.items()],
        error_messages={"invalid_choice": "%(value)s is no data class."},
    )


class MakePlanPage:
    """For the `TenantModelAdmin` of plans."""

    admin_site: Any
    opts: Any
    url: Any
    succeed: Any

    @verb(
        permission=Permission.MANAGE_RETENTION,
        description=TITLE,
        icon="add",
        url_path="new",
        variant=ActionVariant.PRIMARY,
    )
    def add_plan(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            made, refusal = self._made(request)
            if made is not None:
                return HttpResponseRedirect(self.url("change", made))
            return self._page(request, ClassesForm(), None, refusal)
        form = ClassesForm(request.GET if "look" in request.GET else {"classes": request.GET.getlist("classes")})
        if "look" not in request.GET or not form.is_valid():
            return self._page(request, form, None, " ".join(str(error) for error in form.errors.get("classes", [])))
        classes = form.cleaned_data["classes"] or None
        return self._page(request, form, forecast.look(at=clock.now(), classes=classes), "")

    def _page(
        self, request: HttpRequest, form: ClassesForm, looked: forecast.Forecast | None, refusal: str
    ) -> HttpResponse:
        chosen = form.cleaned_data["classes"] if form.is_bound and form.is_valid() else []
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": TITLE,
            "headline": TITLE,
            "classes": [(name, title, name in chosen) for name, title in DATA_CLASSES.items()],
            "found": looked,
            "refusal": refusal,
            "token": _token(principal_of(request), chosen) if looked else "",
            "needs_yes": bool(looked) and plans.needs_approval(looked.classes, now=looked.at) if looked else False,
            "cancel": self.url("changelist"),
        }
        return TemplateResponse(request, "admin/compliance/new_plan.html", context)

    def _made(self, request: HttpRequest) -> tuple[UUID | None, str]:
        """The plan that a look stands for, once however often its form is sent; or why there is none."""
        principal = principal_of(request)
        looked = _read(principal, request.POST.get("token", ""))
        if looked is None:
            return None, LOOK_AGAIN
        plan_id, classes = looked
        try:
            with at_most(SECONDS):
                plan = plans.make(actor=principal.actor, now=clock.now(), classes=classes or None, plan_id=plan_id)
        except TookTooLong:
            return None, TOO_LARGE
        except approvals.RequesterMayNot:
            return None, "Your role may not ask for this."
        except IntegrityError:
            # The same form was sent before.
            if not PurgePlan.objects.filter(pk=plan_id).exists():
                raise
        else:
            waits = " Somebody else has to agree to it." if plan.approval_id else ""
            self.succeed(request, f"The plan names {plan.rows:,} rows. Nothing is deleted yet.{waits}")
        return plan_id, ""


def _token(principal: Principal, classes: list[str]) -> str:
    """What was looked at, with the id that its plan will have: for whom it was shown to, and for an hour."""
    return signing.dumps(
        {"id": str(uuid7()), "classes": classes, "for": [principal.tenant_id, principal.actor.id]}, salt=_SALT
    )


def _read(principal: Principal, text: str) -> tuple[UUID, list[str]] | None:
    try:
        said = signing.loads(text, salt=_SALT, max_age=_LOOKED_AT)
    except signing.BadSignature:
        return None
    if said["for"] != [principal.tenant_id, principal.actor.id]:
        return None
    return UUID(said["id"]), said["classes"]
