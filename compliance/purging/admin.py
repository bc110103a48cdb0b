"""Plans of a purge: made after a look, compared with now and with the one before, agreed to, applied and followed."""

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.enums import ActionVariant

from compliance.explaining.tomorrow_admin import TomorrowPage
from compliance.models import PlanState, PurgePlan, PurgePlanItem
from compliance.purging import applying, plan_page, refusals
from compliance.purging.making_admin import MakePlanPage
from compliance.purging.refusals import PlanRefused
from kaireon.approvals import services as approvals
from kaireon.approvals.admin import REFUSALS as APPROVAL_REFUSALS
from kaireon.approvals.admin import CommentsForm
from kaireon.approvals.models import Answer, ApprovalRequest, State
from kaireon.jobs import services as jobs
from kaireon.lib import clock
from kaireon.tenancy.admin_pages import TenantModelAdmin, column, principal_of, since, verb
from kaireon.tenancy.patience import TookTooLong, at_most
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.verb_pages import given_by

STATES = {
    "Planned": "info",
    "Waits for a second person": "warning",
    "Too old": "",
    "Approved": "success",
    "Being applied": "primary",
    "Applied": "success",
    "Stopped": "danger",
}
# Of each statement: a web server gives up on a request after thirty seconds.
SECONDS = 5
TOO_LARGE = (
    "There are too many rows to look at all of them while you wait. Use the commands retention_plan and"
    " retention_apply, which take the time it takes."
)


@admin.register(PurgePlan)
class PurgePlanAdmin(MakePlanPage, TomorrowPage, TenantModelAdmin[PurgePlan]):
    view_permission = Permission.READ_RETENTION
    list_display = ("made", "by", "asked_for", "planned_rows", "state_label", "agreed", "how_far", "outcome")
    list_filter = ("state", since("as_of", "plan"))
    search_equal = ("digest", "made_by_name")
    search_help_text = "Id, digest, who made it"
    ordering = ("-as_of",)
    fieldsets = (
        ("Plan", {"fields": ("made", "valid_until", "by", "asked_for", "digest", "id")}),
        ("Course", {"fields": ("agreed", "approved_at", "applied_by", "started_at", "finished_at")}),
    )
    actions_list = ("add_plan", "tomorrow")
    actions_detail = ("apply", "approve")
    when_empty = "A plan says to the row what a purge would delete, before it deletes anything. Make one to look."
    change_form_before_template = "admin/compliance/plan.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PurgePlan]:
        gone = PurgePlanItem.objects.filter(plan=OuterRef("pk")).order_by().values("plan")
        answer = ApprovalRequest.objects.filter(pk=OuterRef("approval_id"))
        found: QuerySet[PurgePlan] = super().get_queryset(request)
        return found.annotate(
            gone=Subquery(gone.annotate(gone=Sum("deleted")).values("gone")),
            answer=Subquery(answer.values("state")[:1]),
        )

    def headline(self, row: PurgePlan) -> str:
        return f"Plan of {row.as_of:%Y-%m-%d %H:%M} UTC"

    @column("Made", ordering="as_of")
    def made(self, row: PurgePlan) -> str:
        return f"{row.as_of:%Y-%m-%d %H:%M} UTC"

    @column("By", ordering="made_by_name")
    def by(self, row: PurgePlan) -> str:
        return row.made_by_name

    @column("Applied by")
    def applied_by(self, row: PurgePlan) -> str:
        return row.applied_by_name

    @column("For")
    def asked_for(self, row: PurgePlan) -> str:
        return "Every class" if row.classes is None else ", ".join(row.classes)

    @column("Rows", ordering="rows")
    def planned_rows(self, row: PurgePlan) -> str:
        return f"{row.rows:,}"

    @column("State", label=STATES, ordering="state")
    def state_label(self, row: PurgePlan) -> str:
        return plan_page.state_of(row, waits=_waits(row), now=clock.now())

    @column("Agreed to")
    def agreed(self, row: PurgePlan) -> str | SafeString:
        if row.approval_id is None:
            return "Not asked for"
        text = row.approved_by_name or State(getattr(row, "answer", None) or State.PENDING).label
        url = reverse("admin:approvals_approvalrequest_change", args=[row.approval_id])
        return format_html('<a class="k-link" href="{}">{}</a>', url, text)

    @column("Progress")
    def how_far(self, row: PurgePlan) -> str | SafeString:
        if row.started_at is None:
            return ""
        percent = plan_page.percent(row, int(getattr(row, "gone", 0) or 0))
        return format_html('<progress max="100" value="{0}">{0} %</progress> {0} %', percent)

    @column("What became of it")
    def outcome(self, row: PurgePlan) -> str:
        gone = int(getattr(row, "gone", 0) or 0)
        if row.state == PlanState.STOPPED:
            return f"{gone:,} deleted, then: {plan_page.advice_of(row.error)}"
        return f"{gone:,} deleted" if row.state == PlanState.APPLIED else ""

    @column("May be applied until")
    def valid_until(self, row: PurgePlan) -> str:
        return f"{plan_page.valid_until(row):%Y-%m-%d %H:%M} UTC"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.headers.get("HX-Request"):
            return self._followed(request, object_id)
        plan = self.get_object(request, object_id) if self.has_view_permission(request) else None
        context = plan_page.whole(plan, now=clock.now()) if plan is not None else {}
        answer: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})
        return answer

    def _followed(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The progress alone, for the page that follows a plan while it is being applied."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        plan = self.row(request, object_id)
        answer = TemplateResponse(request, "admin/compliance/plan_progress.html", plan_page.progress(plan))
        if plan.state != PlanState.APPLYING:
            # Its buttons and what became of it stand elsewhere on the page.
            answer["HX-Refresh"] = "true"
        return answer

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        plan = self.get_object(request, object_id)
        if plan is None:
            return []
        now = clock.now()
        fit = set()
        if plan.state in (PlanState.PLANNED, PlanState.APPROVED) and now <= plan_page.valid_until(plan):
            fit.add("apply")
        if plan_page.is_left_alone(plan):
            fit.add("apply")
        asked = _asked(plan)
        if asked is not None:
            # While it waits there is nothing to apply.
            fit = {"approve"} if approvals.may_answer(asked, actor=principal_of(request).actor, now=now) else set()
        actions = super().get_actions_detail(request, object_id)
        return [a for a in actions if a.action_name.rpartition("_")[2] in fit]

    @verb(
        permission=Permission.MANAGE_RETENTION,
        description="Apply",
        icon="delete_sweep",
        url_path="apply",
        variant=ActionVariant.DANGER,
    )
    def apply(self, request: HttpRequest, object_id: str) -> HttpResponse:
        plan = self.row(request, object_id)

        def do() -> str:
            try:
                with at_most(SECONDS):
                    begun = applying.start(
                        plan_id=plan.pk, actor=principal_of(request).actor, now=clock.now(), in_background=True
                    )
            except PlanRefused as refusal:
                self.after_commit(request, partial(refusals.note, plan.pk, refusal))
                raise
            if begun.job is not None:
                self.after_commit(request, partial(jobs.wake, begun.job))
            return "A worker applies it. This page follows it."

        return self.confirm(
            request,
            plan,
            do,
            title=f"Delete {plan.rows:,} rows",
            lead="They are compared with the plan once more, then deleted for good. A hold or a longer policy that"
            " appears on the way stops it.",
            refusals={PlanRefused: "", TookTooLong: TOO_LARGE},
            submit="Delete them",
            danger=True,
        )

    @verb(
        permission=Permission.DECIDE_APPROVALS,
        description="Approve",
        icon="check",
        url_path="approve",
        variant=ActionVariant.PRIMARY,
    )
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        plan = self.row(request, object_id)
        return self.ask(
            request,
            title=f"Approve: delete {plan.rows:,} rows",
            lead=f"{plan.made_by_name} made this plan. With your yes it may be applied until"
            f" {plan_page.valid_until(plan):%Y-%m-%d %H:%M} UTC; nothing is deleted yet.",
            form=CommentsForm(given_by(request)),
            do=lambda given: self._agree(request, plan, given["comments"]),
            refusals={**APPROVAL_REFUSALS, ApprovalRequest.DoesNotExist: "Nobody was asked to agree to this plan."},
            submit="Approve",
            cancel=self.url("change", plan.pk),
        )

    def _agree(self, request: HttpRequest, plan: PurgePlan, comments: str) -> HttpResponse:
        if plan.approval_id is None:
            raise ApprovalRequest.DoesNotExist
        done = approvals.decide(
            request_id=plan.approval_id,
            answer=Answer.APPROVE,
            comments=comments,
            actor=principal_of(request).actor,
            now=clock.now(),
        )
        if done.state == State.FAILED:
            text = f"It cannot be agreed to any more ({done.error.replace('_', ' ')}): make a new plan."
            self.message_user(request, text, messages.ERROR)
        else:
            self.succeed(request, "Your yes is kept. The plan may be applied.")
        return HttpResponseRedirect(self.url("change", plan.pk))


def _asked(plan: PurgePlan) -> ApprovalRequest | None:
    """The request for a yes to it that still waits."""
    if plan.state != PlanState.PLANNED or plan.approval_id is None:
        return None
    return ApprovalRequest.objects.filter(pk=plan.approval_id).first()


def _waits(plan: PurgePlan) -> bool:
    return plan.approval_id is not None and getattr(plan, "answer", None) in (None, State.PENDING)
