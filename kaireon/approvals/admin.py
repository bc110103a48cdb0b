"""The inbox: what waits for this member's yes, what was asked for, and what came of it."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timeuntil
from django.utils.timezone import localtime
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from kaireon.approvals import registry, sealed, services
from kaireon.approvals.inbox_admin import InboxPage
from kaireon.approvals.members_admin import MembershipAdmin
from kaireon.approvals.models import Answer, ApprovalRequest, ApprovalVote, State
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.admin_pages import column, may, principal_of, since, verb
from kaireon.tenancy.confirming import Confirmation, ConfirmedForm
from kaireon.tenancy.roles import Permission, Role
from kaireon.tenancy.verb_pages import given_by

__all__ = ["ApprovalRequestAdmin", "MembershipAdmin"]

STATES = {"Pending": "warning", "Approved": "success", "Rejected": "danger", "Failed": "danger"}
REFUSALS: dict[type[Exception], str] = {
    services.PersonRequired: "A yes is a person's.",
    services.OwnRequest: "This is your own request: somebody else must answer it.",
    services.NotAsked: "Other people are asked in this stage.",
    services.AlreadyAnswered: "You have answered this request before.",
    services.AlreadyDecided: "This request is closed.",
    services.TooLate: "The deadline has passed: it must be asked for again.",
    services.NotYours: "Only who asked may take it back.",
}


class CommentsForm(forms.Form):
    comments = forms.CharField(
        max_length=2000,
        required=False,
        help_text="Kept with your answer, for those who look back. Name no customer.",
        widget=UnfoldAdminTextareaWidget(),
    )


class ApproveForm(ConfirmedForm, CommentsForm):
    """A yes, and where the verb demands it the typed words."""


class ReasonForm(CommentsForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["comments"].required = True


class Waiting(SimpleListFilter):
    title = "waiting"
    parameter_name = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("me", "For my answer"), ("mine", "Asked by me")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        me = principal_of(request).actor.id
        if self.value() == "me":
            return queryset.filter(pk__in=ApprovalRequest.objects.waiting_for(me, clock.now()).values("pk"))
        return queryset.filter(requested_by=me) if self.value() == "mine" else None


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(InboxPage):
    view_permission = Permission.READ_APPROVALS
    list_display = ("requested_at", "title", "summary", "asked_by", "state_label", "deadline_shown")
    list_display_links = ("requested_at", "summary")
    list_filter = (Waiting, "state", since("requested_at", "request"))
    search_equal = ("verb", "requested_by_name")
    search_help_text = "Id, kind, who asked"
    ordering = ("-requested_at",)
    fieldsets = (
        (None, {"fields": ("title", "asked_by", "state_label", "your_part", "deadline_shown")}),
        ("Why it could not be done", {"fields": ("error",)}),
        ("Who must agree", {"fields": ("stages_shown", "answers")}),
        ("What it does", {"fields": ("payload_shown",)}),
        ("Times", {"fields": ("requested_at", "decided_at")}),
    )
    names_people = ("payload_shown",)
    actions_detail = ("approve", "reject", "cancel")
    when_empty = "What needs a second person appears here."

    def headline(self, row: ApprovalRequest) -> str:
        return row.summary

    @column("Kind", ordering="verb")
    def title(self, row: ApprovalRequest) -> str:
        try:
            return registry.get(row.verb).title
        except registry.UnknownVerb:
            return row.verb

    @column("Asked by", ordering="requested_by_name")
    def asked_by(self, row: ApprovalRequest) -> str:
        key = " (API key)" if row.requested_by_type == "api_key" else ""
        return f"{row.requested_by_name}{key}"

    @column("State", label=STATES, ordering="state")
    def state_label(self, row: ApprovalRequest) -> str:
        return str(row.get_state_display())

    @column("Payload")
    def payload_shown(self, row: ApprovalRequest) -> str | SafeString:
        try:
            payload = sealed.payload_of(row)
        except sealed.ApprovalChanged:
            return "Gone" if row.payload is None else "Altered since it was asked for: it can only be refused."
        return format_html('<pre class="k-json">{}</pre>', json.dumps(payload, indent=2, ensure_ascii=False))

    @column("Your part")
    def your_part(self, row: ApprovalRequest) -> str:
        if row.state != State.PENDING:
            return "None any more: the request is closed."
        refusal = services.why_not(row, actor=context.current().actor, now=clock.now())
        return REFUSALS[refusal] if refusal else "It waits for your answer."

    @column("Deadline", ordering="deadline")
    def deadline_shown(self, row: ApprovalRequest) -> str:
        moment = localize(localtime(row.deadline))
        if row.state != State.PENDING:
            return moment
        now = clock.now()
        return (
            f"{moment} ({timeuntil(row.deadline, now, depth=1)} left)" if row.deadline > now else f"{moment} (passed)"
        )

    @column("Stages")
    def stages_shown(self, row: ApprovalRequest) -> SafeString:
        """Each stage: how many of those it needs have said yes, who is asked, and where the request is now."""
        said = list(ApprovalVote.objects.filter(request=row, answer=Answer.APPROVE).values_list("stage", flat=True))
        lines = (
            (f"{said.count(number)} of {stage['yes']} agreed", _asked(stage), _course(row, number))
            for number, stage in enumerate(row.stages)
        )
        return format_html('<ol class="k-stages">{}</ol>', format_html_join("", "<li><b>{}</b> {} {}</li>", lines))

    @column("Answers")
    def answers(self, row: ApprovalRequest) -> str | SafeString:
        votes = ApprovalVote.objects.filter(request=row).order_by("given_at", "id")
        said = [
            (vote.get_answer_display(), vote.member_name, localize(localtime(vote.given_at)), vote.comments)
            for vote in votes
        ]
        return format_html_join("", "<p><b>{}</b> by {}, {}<br>{}</p>", said) or "Nobody has answered yet."

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The payload may name people, so it is for those who see personal values."""
        left_out = set() if may(request, Permission.READ_PERSONAL) else {"What it does"}
        if obj is None or not obj.error:
            left_out.add("Why it could not be done")
        return [fields for fields in super().get_fieldsets(request, obj) if fields[0] not in left_out]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, object_id)
        if row is None:
            return []
        actor = principal_of(request).actor
        fit = {"approve", "reject"} if services.may_answer(row, actor=actor, now=clock.now()) else set()
        if row.state == State.PENDING and actor.id in (row.requested_by, row.requested_for):
            fit = {"cancel"}
        actions = super().get_actions_detail(request, object_id)
        return [a for a in actions if a.action_name.rpartition("_")[2] in fit]

    @verb(
        permission=Permission.DECIDE_APPROVALS,
        description="Approve",
        icon="check",
        url_path="approve",
        variant=ActionVariant.PRIMARY,
    )
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        return self.ask(
            request,
            title=f"Approve: {row.summary}",
            lead=f"{row.requested_by_name} asked for it. {_then(row)}",
            form=ApproveForm(given_by(request), confirmation=_confirmation(row)),
            do=lambda given: self._answer(request, row, Answer.APPROVE, given["comments"]),
            refusals=REFUSALS,
            submit="Approve",
            cancel=self.url("change", row.pk),
        )

    @verb(
        permission=Permission.DECIDE_APPROVALS,
        description="Reject",
        icon="close",
        url_path="reject",
        variant=ActionVariant.DANGER,
    )
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)
        return self.ask(
            request,
            title=f"Reject: {row.summary}",
            lead=f"{row.requested_by_name} asked for it. One rejection closes the request.",
            form=ReasonForm(given_by(request)),
            do=lambda given: self._answer(request, row, Answer.REJECT, given["comments"]),
            refusals=REFUSALS,
            submit="Reject",
            cancel=self.url("change", row.pk),
            danger=True,
        )

    @verb(permission=Permission.READ_APPROVALS, description="Take it back", icon="undo", url_path="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.row(request, object_id)

        def do() -> str:
            services.cancel(request_id=row.pk, actor=principal_of(request).actor, now=clock.now())
            return "The request is taken back."

        return self.confirm(
            request,
            row,
            do,
            title=f"Take back: {row.summary}",
            lead="Nothing is done, and nobody is asked any more.",
            refusals=REFUSALS,
            submit="Take it back",
        )

    def _answer(self, request: HttpRequest, row: ApprovalRequest, answer: Answer, comments: str) -> HttpResponse:
        done = services.decide(
            request_id=row.pk,
            answer=answer,
            comments=comments,
            actor=principal_of(request).actor,
            now=clock.now(),
        )
        if done.state == State.FAILED:
            text = f"It cannot be done any more ({done.error.replace('_', ' ')}): the request is closed."
            self.message_user(request, text, messages.ERROR)
        elif done.state == State.PENDING:
            self.succeed(request, "Your yes is kept. Others must agree too.")
        else:
            self.succeed(request, f"{row.summary}: {str(done.get_state_display()).lower()}.")
        return HttpResponseRedirect(self.url("change", row.pk))


def _then(row: ApprovalRequest) -> str:
    try:
        return registry.get(row.verb).then
    except registry.UnknownVerb:
        return registry.AT_ONCE


def _confirmation(row: ApprovalRequest) -> Confirmation | None:
    """What is to be confirmed beside the yes; nothing where the answer will be refused anyway."""
    try:
        confirm = registry.get(row.verb).confirm
        return confirm(sealed.payload_of(row)) if confirm is not None and row.state == State.PENDING else None
    except (registry.UnknownVerb, sealed.ApprovalChanged):
        return None


def _asked(stage: dict[str, Any]) -> str:
    if "role" in stage:
        return f"with the role {Role(stage['role']).label}"
    return f"of those who may {stage['permission'].replace('_', ' ')}"


def _course(row: ApprovalRequest, number: int) -> str:
    if row.state == State.APPROVED or number < row.stage:
        return "(done)"
    if row.state != State.PENDING:
        return ""
    return "(now)" if number == row.stage else "(after that)"
