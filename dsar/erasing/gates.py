"""What an erasure waits for before the work begins: a second person's yes where the tenant demands one, then a window
in which it can be cancelled. Both see the plan; what is agreed to is its digest."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.dispatch import receiver

import audit
from dsar.erasing import confirming, plans
from dsar.models import DsarRequest, ErasurePlan, RequestType, State
from kaireon.approvals import people, registry
from kaireon.approvals import services as approvals
from kaireon.approvals import signals as approval_signals
from kaireon.approvals.models import ApprovalRequest, ApprovalVote
from kaireon.approvals.registry import NotApplicable, Stage
from kaireon.jobs import cancelling
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction
from kaireon.tenancy.roles import Permission

VERB = "dsar.erase"
# What the subject asked for on the public page, or took over from another: no member did.
FOR_SUBJECT_VERB = "dsar.erase_for_subject"
# Longer than any law's time with its extension: it waits in the inbox, and its clock tells who is late.
_FOR_SUBJECT_WAITS = timedelta(days=92)
JOB_TYPE = "dsar_erasure"
AGREED_VERB = "dsar.erasure.agreed"
REFUSED_VERB = "dsar.erasure.failed"
_VERBS = (VERB, FOR_SUBJECT_VERB)

# What the end of an approval that is no yes makes of its request: failed, still owed an answer, and asked for anew.
_ENDS = {
    "approval.reject": "approval_rejected",
    "approval.expire": "approval_expired",
    "approval.cancel": "approval_cancelled",
    "approval.fail": "approval_failed",
}


@requires_transaction
def gate_of(request: DsarRequest) -> State | None:
    """What this request waits for before a worker may have it; None: nothing. One that was agreed to asks no more."""
    if request.request_type != RequestType.DELETE or request.erased_at is not None:
        return None
    kept = plans.kept_of(request)
    agreed = kept is not None and kept.approved_at is not None
    if not agreed and approvals.needs_second_person(VERB):
        return State.APPROVAL
    if request.started_at is None and not agreed and window():
        return State.WINDOW
    return None


@requires_transaction
def wait(request: DsarRequest, gate: State, *, actor: Actor, for_subject: bool = False, now: datetime) -> Job | None:
    """Let a saved request wait there, with its plan. Gives the job that begins the work at the end of the window.

    `for_subject`: no member asks for it, so two of them must agree. Else raises approvals.RequesterMayNot: jobs and
    commands ask nobody.
    """
    plan = plans.renew(request, now=now)
    if gate == State.APPROVAL:
        payload = {"requestId": str(request.pk), "digest": plan.digest, **plans.totals(plan)}
        verb = FOR_SUBJECT_VERB if for_subject else VERB
        approval = approvals.ask(verb=verb, payload=payload, actor=actor, now=now)
        ErasurePlan.objects.filter(pk=plan.pk).update(approval_ref=approval.pk)
        _move(request, State.APPROVAL)
        return None
    return _queue(request, plan, now)


def window() -> timedelta:
    """How long an erasure can be cancelled after it was filed, or agreed to."""
    return timedelta(hours=settings.DSAR_ERASURE_WINDOW_HOURS)


def _describe(payload: Mapping[str, Any]) -> str:
    gone = sum(int(payload.get(action, 0)) for action in ("erase", "anonymise", "shred"))
    return f"Erase a customer by request {payload['requestId']}: {gone} rows go, {payload.get('retain', 0)} stay"


@registry.approved(
    VERB,
    title="Erase a customer",
    permission=Permission.MANAGE_DSAR,
    describe=_describe,
    stages=(Stage(permission=Permission.MANAGE_DSAR),),
    then="The erasure is queued, or can still be cancelled for as long as the operator says.",
    confirm=confirming.of_approval,
)
def _agreed_to(payload: Mapping[str, Any]) -> None:
    _begin(payload, alone=True)


@registry.approved(
    FOR_SUBJECT_VERB,
    title="Erase a customer who asked for it",
    permission=Permission.MANAGE_DSAR,
    describe=_describe,
    stages=(Stage(permission=Permission.MANAGE_DSAR, yes=2),),
    valid_for=_FOR_SUBJECT_WAITS,
    always=True,
    by_nobody=True,
    then="Two members must agree. Then the erasure is queued, or can be cancelled for as long as the operator says.",
    confirm=confirming.of_approval,
)
def _agreed_to_for_subject(payload: Mapping[str, Any]) -> None:
    _begin(payload, alone=False)


def _begin(payload: Mapping[str, Any], *, alone: bool) -> None:
    """They agreed to the plan. What is held is looked at again when the rows go. `alone`: this yes is the only one."""
    now, actor = clock.now(), context.current().actor
    request = DsarRequest.objects.select_for_update().filter(pk=UUID(payload["requestId"])).first()
    if request is None or request.state != State.APPROVAL:
        raise NotApplicable("request_not_waiting")
    plan = plans.kept_of(request)
    if plan is None or payload["digest"] != plan.digest or plans.digest(plan) != plan.digest:
        raise NotApplicable("plan_changed")
    # Somebody else may have asked again for what this one filed, in person or with a key.
    filed_with_key = people.person_behind(Actor(id=request.requested_by, name="", type="api_key"))
    if alone and actor.id in (request.requested_by, filed_with_key):
        raise NotApplicable("request_by_the_same_person")
    plan.approved_by, plan.approved_at = actor.id[:64], now
    audit.action(AGREED_VERB, entity=plan)
    plan.save(update_fields=["approved_by", "approved_at"])
    job = _queue(request, plan, now)
    # Without a broker the sweep finds it.
    transaction.on_commit(partial(jobs.wake, job))


@receiver(approval_signals.changing)
def _approval_ends(*, action: str, entity: ApprovalRequest | ApprovalVote, **_more: object) -> None:
    """A no, or nobody's yes in time: the request is still owed an answer, so it failed and can be asked for anew."""
    if action not in _ENDS or not isinstance(entity, ApprovalRequest) or entity.verb not in _VERBS:
        return
    plan = ErasurePlan.objects.filter(approval_ref=entity.pk).first()
    if plan is None:
        return
    request = DsarRequest.objects.select_for_update().filter(pk=plan.request_id, state=State.APPROVAL).first()
    if request is not None:
        audit.action(REFUSED_VERB, entity=request)
        request.move_to(State.FAILED)
        request.error = _ENDS[action]
        request.save(update_fields=["state", "status", "error"])


def _queue(request: DsarRequest, plan: ErasurePlan, now: datetime) -> Job:
    delay = window()
    job = jobs.enqueue(type=JOB_TYPE, payload={"request_id": request.pk, "at_once": False}, now=now, delay=delay)
    request.job_ref = job.pk
    if delay:
        ErasurePlan.objects.filter(pk=plan.pk).update(window_until=now + delay)
    _move(request, State.WINDOW if delay else State.QUEUED)
    return job


def _move(request: DsarRequest, state: State) -> None:
    request.move_to(state)
    request.save(update_fields=["state", "status", "job_ref"])


@requires_transaction
def end_job(request: DsarRequest, now: datetime) -> None:
    job = Job.objects.open().filter(pk=request.job_ref).first() if request.job_ref else None
    if job is not None:
        cancelling.cancel(job=job, now=now)


@requires_transaction
def end_approval(request: DsarRequest, *, actor: Actor, now: datetime) -> None:
    """Whoever else asked sees theirs fail when it is answered: the request does not wait any more."""
    plan = plans.kept_of(request)
    if plan is None or plan.approval_ref is None:
        return
    try:
        if ApprovalRequest.objects.filter(pk=plan.approval_ref, verb=FOR_SUBJECT_VERB).exists():
            approvals.call_off(request_id=plan.approval_ref, now=now)
        else:
            approvals.cancel(request_id=plan.approval_ref, actor=actor, now=now)
    except (approvals.NotYours, approvals.AlreadyDecided):
        return
