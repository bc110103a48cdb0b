"""The clocks of requests in the admin: each date with its article, the extension, pauses, and the working days."""

from datetime import datetime
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from dsar import deadlines
from dsar.deadlines import Clock, Ground
from dsar.law_packs import AWAITED
from dsar.models import DsarRequest, Status
from dsar.requests import clocks, working_days
from kaireon.lib import clock as wall
from kaireon.tenancy import context
from kaireon.tenancy.admin_pages import TenantModelAdmin, principal_of, verb
from kaireon.tenancy.models import Tenant
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

REFUSALS: dict[type[Exception], str] = {
    deadlines.ClockRefused: "",
    clocks.RequestAnswered: "This request was answered: its clock has stopped for good.",
    working_days.UnknownCalendar: "",
}


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=clocks.MOST_CHARACTERS,
        help_text="Kept sealed.",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )


class PauseForm(ReasonForm):
    ground = forms.ChoiceField(label="Waiting for", widget=UnfoldAdminSelectWidget())
    field_order = ("ground", "reason")

    def __init__(self, given: Any, *, times: Clock) -> None:
        super().__init__(given)
        # Where the law allows none, each can still be asked for: the refusal says which article stands against it.
        grounds = [ground for ground in Ground if times.law.pause_rule(ground, times.right)] or list(Ground)
        self.fields["ground"].choices = [(str(ground), AWAITED[ground]) for ground in grounds]  # type: ignore[attr-defined]


class WorkingDaysForm(forms.Form):
    calendar = forms.CharField(
        label="Holiday calendar",
        required=False,
        max_length=32,
        help_text="A country, or a part of one: DE, DE-BE, GB-ENG, US-CA, IN. Empty: weekends alone.",
        widget=UnfoldAdminTextInputWidget(),
    )
    roll = forms.BooleanField(
        label="A time that would end on no working day ends on the next one",
        required=False,
        help_text="Where your law allows it. Clocks that run already keep what they began with.",
        widget=UnfoldBooleanWidget(),
    )


class ClockVerbs(TenantModelAdmin[DsarRequest]):
    """What an officer does with the clock of a request."""

    clock_actions_list = ("working_days",)
    clock_actions_detail = ("extend", "pause", "resume")

    @verb(permission=Permission.MANAGE_DSAR, description="Extend the time", icon="more_time", url_path="extend")
    def extend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        times = clocks.clock_of(row)
        lead = f"The law gives no extension ({times.terms.extend_article})."
        if times.extended_due is not None:
            lead = (
                f"Once, to {times.extended_due:%-d %B %Y}. It demands {times.terms.extend_demands}"
                f" ({times.terms.extend_article})."
                " The subject is told by letter where letters are on; look at it first with Preview a letter."
            )

        def do(given: dict[str, Any]) -> HttpResponse:
            clocks.extend_request(
                request=row, reason=given["reason"], actor=principal_of(request).actor, now=wall.now()
            )
            return self._done(request, row, "The time is extended.")

        return self._ask_clock(
            request, row, title="Extend the time", lead=lead, form=ReasonForm(given_by(request)), do=do, submit="Extend"
        )

    @verb(permission=Permission.MANAGE_DSAR, description="Pause the clock", icon="pause_circle", url_path="pause")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            clocks.pause_request(
                request=row,
                ground=Ground(given["ground"]),
                reason=given["reason"],
                actor=principal_of(request).actor,
                now=wall.now(),
            )
            return self._done(request, row, "The clock stands. Run it again as soon as what you asked for has come.")

        return self._ask_clock(
            request,
            row,
            title="Pause the clock",
            lead="Where the law allows it, the clock stands from today until you say that what was asked for has come.",
            form=PauseForm(given_by(request), times=clocks.clock_of(row)),
            do=do,
            submit="Pause",
        )

    @verb(permission=Permission.MANAGE_DSAR, description="Run the clock again", icon="play_circle", url_path="resume")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            clocks.resume_request(request=row, actor=principal_of(request).actor, now=wall.now())
            return "The clock runs again."

        return self.confirm(
            request,
            row,
            do,
            title="Run the clock again",
            lead="What was asked for has come: the clock runs from today, and its page shows the new deadline.",
            refusals=REFUSALS,
            submit="Run it",
        )

    @verb(permission=Permission.MANAGE_DSAR, description="Working days", icon="event_busy", url_path="working-days")
    def working_days(self, request: HttpRequest) -> HttpResponse:
        tenant = Tenant.objects.get(pk=context.tenant_id())

        def do(given: dict[str, Any]) -> HttpResponse:
            working_days.choose(calendar=given["calendar"].strip(), roll=given["roll"])
            self.succeed(request, "Requests filed from now on are counted with these working days.")
            return HttpResponseRedirect(self.url("changelist"))

        initial = {"calendar": tenant.holiday_calendar, "roll": tenant.roll_deadlines}
        return self.ask(
            request,
            title="Working days",
            lead="Which days are no working days, and whether a time may end on one.",
            form=WorkingDaysForm(given_by(request), initial=initial),
            do=do,
            refusals=REFUSALS,
            submit="Save",
            cancel=self.url("changelist"),
        )

    def _ask_clock(self, request: HttpRequest, row: DsarRequest, **page: Any) -> HttpResponse:
        return self.ask(request, refusals=REFUSALS, cancel=self.url("change", row.pk), **page)

    def _done(self, request: HttpRequest, row: DsarRequest, text: str) -> HttpResponse:
        self.succeed(request, text)
        return HttpResponseRedirect(self.url("change", row.pk))


def fitting(row: DsarRequest, *, now: datetime) -> set[str]:
    """The verbs that the law leaves for this clock now."""
    if row.status == Status.COMPLETED:
        return set()
    times = clocks.clock_of(row)
    if times.paused is not None:
        return {"resume"} | ({"extend"} if times.extended_due and times.extension is None else set())
    if not times.in_time(now):
        return set()
    fit = {"extend"} if times.extended_due is not None and times.extension is None else set()
    return fit | ({"pause"} if any(times.law.pause_rule(g, times.right) for g in Ground) else set())
