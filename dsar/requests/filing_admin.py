"""Filing a request in the admin."""

from datetime import date, datetime, time
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.enums import ActionVariant

from customers.models import Customer
from dsar import deadlines
from dsar.erasing import confirming
from dsar.models import DsarRequest, RequestType
from dsar.requests import services, subjects
from dsar.requests import today as days
from dsar.requests.api import DsarRequestsView
from dsar.requests.forms import AccessForm, ConfirmedErasureForm, OtherForm, RequestForm
from kaireon.api import throttles
from kaireon.api.errors import TooManyRequests
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.admin_pages import TenantModelAdmin, is_uuid, principal_of, verb
from kaireon.tenancy.models import Tenant
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

REFUSALS: dict[type[Exception], str] = {
    subjects.SubjectRefused: "Give a customer number, or an e-mail address, of at most 254 printable characters.",
    services.ReceivedAtRefused: "The day it reached you must lie between 2000 and today.",
    deadlines.UnknownRegulation: "",
    TooManyRequests: "",
}
NOON = time(12)


class FilingVerbs(TenantModelAdmin[DsarRequest]):
    """The buttons above the list of requests that file a new one."""

    filing_actions_list = ("access", "erasure", "other")

    @verb(
        permission=Permission.MANAGE_DSAR,
        description="New access request",
        icon="folder_shared",
        url_path="access",
        variant=ActionVariant.PRIMARY,
    )
    def access(self, request: HttpRequest) -> HttpResponse:
        return self._file(
            request,
            RequestType.EXPORT,
            AccessForm,
            title="New access request",
            lead="Everything known about the customer is gathered into a package, which stays sealed until downloaded.",
            submit="File the request",
        )

    @verb(
        permission=Permission.MANAGE_DSAR, description="New erasure request", icon="person_remove", url_path="erasure"
    )
    def erasure(self, request: HttpRequest) -> HttpResponse:
        """In two steps: who it is; then what would be erased, and the words that confirm it."""
        asked = RequestForm(given_by(request), initial=_initial(request))
        if request.method == "POST" and asked.is_valid() and _can_be(asked):
            given = asked.cleaned_data
            confirmation = confirming.of_filing(
                subject_type=given["subject_type"],
                subject_id=given["subject_id"],
                regulation=given["regulation"],
                now=clock.now(),
            )
            # Whoever sends the words at once is shown what they are about all the same.
            answered = request.POST if "typed" in request.POST else None
            return self._ask(
                request,
                ConfirmedErasureForm(answered, confirmation=confirmation, initial=given),
                RequestType.DELETE,
                title="Confirm the erasure",
                submit="Erase the customer",
                danger=True,
            )
        return self._ask(
            request,
            asked,
            RequestType.DELETE,
            title="New erasure request",
            lead="What is known about the customer is erased. What a legal hold or a law keeps stays, and is listed.",
            submit="Show what would be erased",
        )

    @verb(permission=Permission.MANAGE_DSAR, description="New request of another kind", icon="add", url_path="other")
    def other(self, request: HttpRequest) -> HttpResponse:
        return self._file(
            request,
            RequestType.GRIEVANCE,
            OtherForm,
            title="New request of another kind",
            lead="A worker answers portability and opt-out. What else is asked for waits for one of you.",
            submit="File the request",
        )

    def _file(self, request: HttpRequest, kind: str, form: type[RequestForm], **page: Any) -> HttpResponse:
        return self._ask(request, form(given_by(request), initial=_initial(request)), kind, **page)

    def _ask(self, request: HttpRequest, form: forms.Form, kind: str, **page: Any) -> HttpResponse:
        actor = principal_of(request).actor

        def do(given: dict[str, Any]) -> HttpResponse:
            throttles.take(DsarRequestsView.rates["POST"], f"{context.tenant_id()}:{actor.id}")
            filed = services.create_request(
                request_type=given.get("kind", kind),
                details=given.get("details", ""),
                subject_id=given["subject_id"],
                subject_type=given["subject_type"],
                regulation=given["regulation"],
                received_at=_moment(given["received_on"]),
                encrypt=given.get("encrypt", False),
                actor=actor,
                now=clock.now(),
            )
            self.after_commit(request, lambda: services.wake(filed))
            self.succeed(request, "The request is filed. This page shows how far it has come when you reload it.")
            return HttpResponseRedirect(self.url("change", filed.request.pk))

        return self.ask(request, form=form, do=do, refusals=REFUSALS, cancel=self.url("changelist"), **page)


def _can_be(asked: RequestForm) -> bool:
    """Whether there can be such a request; if not, the form says why. What follows it cannot be corrected there."""
    given = asked.cleaned_data
    try:
        subjects.normal(given["subject_type"], given["subject_id"])
    except subjects.SubjectRefused:
        asked.add_error("subject_id", REFUSALS[subjects.SubjectRefused])
    if not services.EARLIEST_RECEIPT.date() <= given["received_on"] <= days.today():
        asked.add_error("received_on", REFUSALS[services.ReceivedAtRefused])
    return not asked.errors


def _initial(request: HttpRequest) -> dict[str, Any]:
    tenant = Tenant.objects.get(pk=context.tenant_id())
    today = days.today()
    given: dict[str, Any] = {"regulation": tenant.regulation, "received_on": today}
    wanted = request.GET.get("customer", "")
    customer = Customer.objects.filter(pk=wanted).first() if is_uuid(wanted) else None
    return given | ({"subject_id": customer.customer_id} if customer else {})


def _moment(day: date) -> datetime | None:
    """The law counts local days, so noon of a past day stands for it; today stands for now."""
    zone = days.zone()
    if day == deadlines.local_date(clock.now(), zone):
        return None
    return datetime.combine(day, NOON, tzinfo=zone)
