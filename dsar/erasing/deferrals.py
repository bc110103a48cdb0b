"""Erasures that wait: something of the person is held. When the ground ends they go on by themselves.

The subject has had their answer by then: what was erased, what stays and why; `answered_at` is when, and no deadline
runs any more. A release queues the job `dsar_resume` in its transaction, one with a cooling-off for its end; the job
`cleanup` looks too, so that nothing depends on that. What may go is found by the walk that plans take.
"""

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import transaction as database
from django.db.models import Min
from django.dispatch import receiver

import audit
from compliance.holding import matters
from compliance.holding.signals import released
from compliance.models import Hold, HoldState
from dsar.erasing import plans, steps
from dsar.erasing.erased import Action
from dsar.models import DsarRequest, State
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.jobs.runner import JobRun
from kaireon.lib import clock
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction

RESUMED_VERB = "dsar.erasure.resume"
ERASE_JOB = "dsar_erasure"
RESUME_JOB = "dsar_resume"


@requires_transaction
def is_free(request: DsarRequest, *, now: datetime) -> bool:
    """Whether something that was kept may go now, or nothing of it is left."""
    plan = plans.kept_of(request)
    refs = [UUID(ref) for ref in plan.refs] if plan else [request.customer_ref] if request.customer_ref else []
    items = plans.foretell(request, refs, now=now).items
    return not items or any(item["action"] != Action.RETAIN for item in items)


@requires_transaction
def resume(request_id: UUID, *, now: datetime) -> Job | None:
    """Go on with a deferred erasure, of which something may go now: another turn of all steps. None: it waits on."""
    request = DsarRequest.objects.select_for_update().filter(pk=request_id, state=State.DEFERRED).first()
    if request is None or not is_free(request, now=now):
        return None
    steps.begin_turn(request.pk)
    job = jobs.enqueue(type=ERASE_JOB, payload={"request_id": request.pk}, now=now)
    audit.action(RESUMED_VERB, entity=request)
    request.move_to(State.RUNNING)
    request.job_ref = job.pk
    request.save(update_fields=["state", "status", "job_ref"])
    return job


@without_transaction
def resume_due(*, now: datetime, dry_run: bool = False) -> int:
    """Go on with all of the active tenant that can; returns how many. A dry run only counts."""
    with transaction():
        waiting = list(DsarRequest.objects.filter(state=State.DEFERRED).order_by("received_at", "id"))
    if dry_run:
        with transaction():
            return sum(is_free(request, now=now) for request in waiting)
    resumed = [job for request in waiting if (job := _resumed(request.pk, now)) is not None]
    for job in resumed:
        jobs.wake(job)
    return len(resumed)


def process_resume(run: JobRun) -> None:
    """What the job does: holds that have ended hold no more, and who waited for that goes on."""
    with transaction():
        matters.finish_releases(now=clock.now())
    resume_due(now=clock.now())


@requires_transaction
def expect_releases(*, now: datetime) -> None:
    """Look again when the next release that has begun is over; call it when an erasure is deferred."""
    ends = Hold.objects.filter(state=HoldState.RELEASING).aggregate(first=Min("releases_at"))["first"]
    if ends is not None:
        jobs.enqueue(type=RESUME_JOB, payload={}, now=now, delay=max(ends - now, timedelta(0)))


@receiver(released)
def _look_again(*, at: datetime | None = None, **_more: object) -> None:
    """In the transaction of the release: it and the job that looks what it let go commit together."""
    if not DsarRequest.objects.filter(state=State.DEFERRED).exists():
        return
    now = clock.now()
    delay = max(at - now, timedelta(0)) if at else timedelta(0)
    job = jobs.enqueue(type=RESUME_JOB, payload={}, now=now, delay=delay)
    if not delay:
        database.on_commit(partial(jobs.wake, job))


def _resumed(request_id: UUID, now: datetime) -> Job | None:
    with transaction():
        return resume(request_id, now=now)
