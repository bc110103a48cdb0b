"""A request's life in the admin: proof, assignment, completion, rejection, withdrawal, and what happened so far."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from dsar.erasing import confirming
from dsar.models import DsarRequest, IdentityCheck, Outcome, Proof, RequestType, State, Status
from dsar.requests import assigning, grounds, identity, outcomes
from dsar.requests import timeline as timelines
from dsar.requests.identity import Verdict
from dsar.requests.kinds import KINDS
from dsar.requests.life_api import REFUSALS as API_REFUSALS
from dsar.requests.life_api import WRONG
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.outbox import services as outbox
from kaireon.tenancy.admin_pages import TenantModelAdmin, principal_of, verb
from kaireon.tenancy.confirming import ConfirmedForm
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

REFUSALS: dict[type[Exception], str] = {
    **{kind: message for kind, (_, message) in API_REFUSALS.items()},
    identity.IdentityRefused: "",
    grounds.GroundNotInLaw: "",
    assigning.NotAnOfficer: "This is no member who may work on requests.",
}


class CodeForm(ConfirmedForm):
    code = forms.RegexField(
        r"^[0-9]{6,12}$",
        help_text="As the subject got it: digits alone.",
        error_messages={"invalid": "A code is digits alone."},
        widget=UnfoldAdminTextInputWidget({"inputmode": "numeric", "autocomplete": "off"}),
    )


class ProofForm(ConfirmedForm):
    seen = forms.ChoiceField(
        label="How you know",
        choices=[("", "I vouch for them"), *identity.EVIDENCE.items()],
        required=False,
        widget=UnfoldAdminSelectWidget(),
    )
    reason = forms.CharField(
        label="Why you are sure",
        max_length=identity.MOST_TEXT,
        help_text="Kept sealed. Never copy the document itself here.",
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
    )


class RejectForm(forms.Form):
    ground = forms.ChoiceField(widget=UnfoldAdminSelectWidget())
    reason = forms.CharField(
        max_length=outcomes.MOST_TEXT,
        help_text="Kept sealed, and told the subject as you write it where letters are on.",
        widget=UnfoldAdminTextareaWidget({"rows": 4}),
    )

    def __init__(self, row: DsarRequest, *args: Any) -> None:
        super().__init__(*args)
        known = grounds.allowed(request_type=row.request_type, regulation=row.regulation)
        self.fields["ground"].choices = [  # type: ignore[attr-defined]
            (name, f"{grounds.GROUNDS[name].title}, {grounds.GROUNDS[name].articles[row.regulation]}") for name in known
        ]


class CompleteForm(forms.Form):
    outcome = forms.ChoiceField(
        choices=[(o.value, o.label) for o in outcomes.BY_HAND], widget=UnfoldAdminSelectWidget()
    )
    resolution = forms.CharField(
        label="What was done",
        max_length=outcomes.MOST_TEXT,
        help_text="Kept sealed, and told the subject as you write it where letters are on.",
        widget=UnfoldAdminTextareaWidget({"rows": 4}),
    )

    direct_marketing = forms.TypedChoiceField(
        label="What was objected to",
        choices=[
            ("", "Choose"),
            ("yes", "Direct marketing: nobody contacts the subject from now on (GDPR Art. 21(3))"),
            ("no", "Other processing: you have ended it"),
        ],
        coerce=lambda answer: answer == "yes",
        widget=UnfoldAdminSelectWidget(),
    )
    field_order = ("outcome", "direct_marketing", "resolution")

    def __init__(self, row: DsarRequest, *args: Any) -> None:
        super().__init__(*args)
        if not KINDS[row.request_type].by_person:
            del self.fields["outcome"]
        if row.request_type != RequestType.OBJECTION:
            del self.fields["direct_marketing"]


class AssignForm(forms.Form):
    to = forms.ChoiceField(label="Officer", required=False, widget=UnfoldAdminSelectWidget())

    def __init__(self, row: DsarRequest, *args: Any) -> None:
        super().__init__(*args)
        self.fields["to"].initial = row.assigned_to
        known = [(str(member.user_id), member.user.name) for member in assigning.officers()]
        self.fields["to"].choices = [("", "Nobody"), *known]  # type: ignore[attr-defined]


class LifeVerbs(TenantModelAdmin[DsarRequest]):
    """The buttons of a request's page beside those of its kind."""

    @verb(permission=Permission.MANAGE_DSAR, description="Mail a code", icon="mail", url_path="code")
    def code(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            message = identity.send_code(request=row, now=clock.now())
            self.after_commit(request, lambda: outbox.wake(message))
            return "A code is on its way to the subject's address. The one before has ended."

        return self.confirm(
            request,
            row,
            do,
            title="Mail the subject a code",
            lead=f"It goes to the address that is known of them. At most {identity.MOST_CODES} codes, one a minute.",
            refusals=REFUSALS,
            submit="Send a code",
        )

    @verb(permission=Permission.MANAGE_DSAR, description="Check a code", icon="password", url_path="verify")
    def verify(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            verdict, job = identity.verify(request=row, code=given["code"], now=clock.now())
            if verdict == Verdict.PROVED:
                self._wake(request, job)
                self.succeed(request, "The code is right, and the request goes on.")
            else:
                # Told on the next page, and not as a refusal here, which would take the count of wrong codes back.
                self.message_user(request, WRONG[verdict], messages.ERROR)
            return self._back(row)

        return self._asked(
            request,
            row,
            do,
            form=CodeForm(given_by(request), confirmation=confirming.of_request(row, now=clock.now())),
            title="Check the subject's code",
            lead=f"After {identity.MOST_WRONG} wrong codes no code of this request counts any more.",
            submit="Check",
        )

    @verb(
        permission=Permission.MANAGE_DSAR,
        description="Confirm identity",
        icon="verified_user",
        url_path="prove",
        variant=ActionVariant.PRIMARY,
    )
    def prove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            seen = given["seen"]
            method = Proof.EVIDENCE if seen else Proof.VOUCHED
            now = clock.now()
            self._wake(
                request, identity.vouch(request=row, method=method, reason=given["reason"], evidence=seen, now=now)
            )
            self.succeed(request, "The request goes on.")
            return self._back(row)

        return self._asked(
            request,
            row,
            do,
            form=ProofForm(given_by(request), confirmation=confirming.of_request(row, now=clock.now())),
            title="Confirm that the subject asks",
            lead="Your name is recorded with it. After this the request goes on.",
            submit="Confirm",
        )

    @verb(permission=Permission.MANAGE_DSAR, description="Assign", icon="assignment_ind", url_path="assign")
    def assign(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do(given: dict[str, Any]) -> HttpResponse:
            assigned = assigning.assign(request=row, to=given["to"])
            name = assigned.assigned_name
            self.succeed(request, f"{name} works on it now." if name else "Nobody works on it now.")
            return self._back(row)

        return self._asked(
            request,
            row,
            do,
            form=AssignForm(row, given_by(request)),
            title="Assign the request",
            lead="Who may work on requests can be given one.",
            submit="Assign",
        )

    @verb(
        permission=Permission.MANAGE_DSAR,
        description="Complete",
        icon="task_alt",
        url_path="complete",
        variant=ActionVariant.PRIMARY,
    )
    def complete(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        by_person = KINDS[row.request_type].by_person

        def do(given: dict[str, Any]) -> HttpResponse:
            outcomes.complete(request=row, now=clock.now(), **given)
            self.succeed(request, "The request is completed.")
            return self._back(row)

        return self._asked(
            request,
            row,
            do,
            form=CompleteForm(row, given_by(request)),
            title="Complete the request" if by_person else "Release the package",
            lead="Say what was done." if by_person else "It can be downloaded then. Say what you looked at.",
            submit="Complete" if by_person else "Release",
        )

    @verb(permission=Permission.MANAGE_DSAR, description="Reject", icon="block", url_path="reject")
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        actor = principal_of(request).actor

        def do(given: dict[str, Any]) -> HttpResponse:
            outcomes.reject(request=row, actor=actor, now=clock.now(), **given)
            self.succeed(
                request,
                "The request is rejected. See under Letters whether the subject was told why, and where to complain.",
            )
            return self._back(row)

        return self._asked(
            request,
            row,
            do,
            form=RejectForm(row, given_by(request)),
            title="Reject the request",
            lead="Only on a ground that the law knows. A package that waits for review is destroyed.",
            submit="Reject",
            danger=True,
        )

    @verb(permission=Permission.MANAGE_DSAR, description="Withdraw", icon="undo", url_path="withdraw")
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        actor = principal_of(request).actor

        def do() -> str:
            outcomes.withdraw(request=row, actor=actor, now=clock.now())
            return "The request is withdrawn."

        return self.confirm(
            request,
            row,
            do,
            title="Withdraw the request",
            lead="When the subject does not want it any more. A package that is being made is dropped.",
            refusals=REFUSALS,
            submit="Withdraw",
            danger=True,
        )

    def _asked(
        self, request: HttpRequest, row: DsarRequest, do: Callable[[dict[str, Any]], HttpResponse], **page: Any
    ) -> HttpResponse:
        return self.ask(request, do=do, refusals=REFUSALS, cancel=self.url("change", row.pk), **page)

    def _back(self, row: DsarRequest) -> HttpResponse:
        return HttpResponseRedirect(self.url("change", row.pk))

    def _wake(self, request: HttpRequest, job: Job | None) -> None:
        if job is not None:
            self.after_commit(request, lambda: jobs.wake(job))


VERBS = ("prove", "code", "verify", "complete", "assign", "reject", "withdraw")


def fitting(row: DsarRequest) -> set[str]:
    """Which of these buttons the request's page shows."""
    if row.status == Status.COMPLETED:
        return set()
    fit = {"assign"}
    if row.erased_at is None and not (row.request_type == "delete" and row.counts):
        fit |= {"reject", "withdraw"}
    if row.state in (State.APPROVAL, State.WINDOW):
        # There it is called cancelling.
        fit -= {"withdraw"}
    if row.state == State.IDENTITY:
        return fit | {"prove", "code", "verify"}
    by_person = KINDS[row.request_type].by_person and row.duplicate_of is None
    if by_person or row.state == State.REVIEW:
        fit.add("complete")
    return fit


def page_of(row: DsarRequest) -> dict[str, Any]:
    """What the request's page tells of its life."""
    check = IdentityCheck.objects.filter(request=row).first()
    return {
        "life_row": row,
        "proof": Proof(row.identity_method).label if row.identity_method else "",
        "check": check,
        "wrong_left": max(0, identity.MOST_WRONG - check.wrong_codes) if check else 0,
        "ground": grounds.GROUNDS[row.ground].title if row.ground in grounds.GROUNDS else row.ground,
        "outcome_known": row.outcome != Outcome.NONE,
        "events": timelines.timeline(row),
    }
