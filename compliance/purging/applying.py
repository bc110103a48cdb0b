"""Applying a plan: checked once more, then batch by batch, resumable from wherever it was stopped.

`begin` refuses what is not as it was planned and writes every refusal down. `go_on` does the work, and stops for good
when a hold or a longer policy appears on the way. Whoever is killed in between is followed by the next one.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

import audit
from compliance.holding import holds
from compliance.models import PlanState, PurgePlan, PurgePlanItem
from compliance.purging import batches, comparing, plans, refusals
from compliance.purging.batches import Batches
from compliance.purging.dispositions import Run
from compliance.purging.refusals import PlanRefused, Reason
from customers import removals
from customers.removals import Removed
from kaireon.api import metrics
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.lib.budget import Budget
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction, transaction, without_transaction

APPLY_VERB = "retention.plan.apply"
APPLIED_VERB = "retention.plan.applied"
STOPPED_VERB = "retention.plan.stopped"
JOB_TYPE = "retention_apply"
BATCH = 5000


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A plan that is being applied. Pass the job, when there is one, to `jobs.wake` after the commit."""

    plan: PurgePlan
    job: Job | None = None


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What a call of `go_on` left: rows that went so far, in all, and whether that was all."""

    rows: int
    planned: int
    finished: bool


@without_transaction
def begin(*, plan_id: UUID, actor: Actor, now: datetime, in_background: bool = False, dry_run: bool = False) -> Begun:
    """Check a plan against now and mark it as being applied; one that was stopped by a crash is begun again.

    Raises PurgePlan.DoesNotExist (another tenant's too) and PlanRefused, both recorded. A dry run only checks.
    """
    try:
        with transaction():
            return start(plan_id=plan_id, actor=actor, now=now, in_background=in_background, dry_run=dry_run)
    except (PlanRefused, PurgePlan.DoesNotExist) as refusal:
        refusals.note(plan_id, refusal)
        raise


@requires_transaction
def start(*, plan_id: UUID, actor: Actor, now: datetime, in_background: bool = False, dry_run: bool = False) -> Begun:
    """The same in the caller's transaction, who has a refusal to record, by `refusals.note`, after taking it back."""
    plan = PurgePlan.objects.select_for_update().get(pk=plan_id)
    for reason in comparing.reasons(plan, now=now):
        raise PlanRefused(reason)
    if dry_run:
        return Begun(plan=plan)
    job = None
    if in_background:
        job = jobs.enqueue(type=JOB_TYPE, payload={"plan_id": str(plan.pk)}, now=now)
        plan.job_ref = job.pk
    if plan.state != PlanState.APPLYING:
        plan.state, plan.started_at = PlanState.APPLYING, now
        plan.applied_by, plan.applied_by_name = actor.id[:64], actor.name[:200]
    audit.action(APPLY_VERB, entity=plan)
    plan.save(update_fields=["state", "started_at", "applied_by", "applied_by_name", "job_ref"])
    return Begun(plan=plan, job=job)


@without_transaction
def go_on(
    *,
    plan_id: UUID,
    now: datetime,
    budget: Budget,
    size: int = BATCH,
    dry_run: bool = False,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Applied:
    """Delete what a begun plan says, from where it stands, until done or out of time: then call it again.

    `told` hears after each batch how many rows went of how many. A dry run goes the same way up to the DELETE.
    Raises PlanRefused when it must stop for good; the plan says so, and why.
    """
    with transaction():
        plan = PurgePlan.objects.get(pk=plan_id)
        items = list(plans.items_of(plan))
    if not dry_run and plan.state in (PlanState.PLANNED, PlanState.APPROVED):
        raise PlanRefused(Reason.PLAN_NOT_BEGUN)
    run = Run(
        id=plan.pk,
        plan=plan.pk,
        approved_by=plan.approved_by,
        approved_by_name=plan.approved_by_name,
        done_by=plan.applied_by,
        done_by_name=plan.applied_by_name,
        dry=dry_run,
    )
    done = sum(item.deleted for item in items)
    try:
        for place in range(len(items)):
            work = _Work(items[place], run, now=now, epoch=plan.epoch)
            while not items[place].done:
                items[place] = batches.retried(partial(work.one_batch, items[place], size=size))
                done = sum(each.deleted for each in items)
                told(done, plan.rows)
                if budget.spent and not all(each.done for each in items):
                    return Applied(rows=done, planned=plan.rows, finished=False)
        if not dry_run:
            # What this leaves is removed by the next purge: it is written down.
            _finish(plan, removals.remove_doomed(now=now, budget=budget), now)
    except PlanRefused as refusal:
        if not dry_run:
            _stop(plan, refusal, now)
        raise
    return Applied(rows=done, planned=plan.rows, finished=True)


class _Work:
    """What is done of one item. `epoch` is that of the plan: holds that came later are looked for."""

    def __init__(self, item: PurgePlanItem, run: Run, *, now: datetime, epoch: int) -> None:
        self._run, self._now, self._epoch = run, now, epoch
        self._batches = Batches(plans.sweep_of(item), run=run, now=now)
        self._looked = False

    @requires_transaction
    def one_batch(self, item: PurgePlanItem, *, size: int) -> PurgePlanItem:
        """The next batch, and where the item stands after it: together or not at all."""
        # Of two who apply the same plan the second waits here, and goes on behind the first.
        standing = copy(item) if self._run.dry else PurgePlanItem.objects.select_for_update().get(pk=item.pk)
        if standing.done:
            return standing
        if not self._run.dry and not PurgePlan.objects.filter(pk=standing.plan_id, state=PlanState.APPLYING).exists():
            # Somebody else was stopped with it, or its job was tried again: what made it stop may be gone by now.
            raise PlanRefused(Reason.PLAN_ALREADY_APPLIED)
        self._look(standing)
        after = (standing.after_clock, standing.after_pk) if standing.after_clock and standing.after_pk else None
        left = standing.rows - standing.deleted
        done = self._batches.one(after, size=max(1, min(size, left)))
        standing.deleted += done.deleted
        if done.after is not None:
            standing.after_clock, standing.after_pk = done.after
        standing.done = not done.more or standing.deleted >= standing.rows
        if not self._run.dry:
            standing.save(update_fields=["deleted", "after_clock", "after_pk", "done"])
            metrics.ROWS_PURGED.labels(standing.entity).inc(done.deleted)
        return standing

    def _look(self, item: PurgePlanItem) -> None:
        """Raise PlanRefused when something says that rows of it stay; looked for once, and when the epoch moves."""
        epoch = holds.lock_epoch()
        if self._looked and epoch == self._epoch:
            return
        for reason in comparing.grounds(item, now=self._now, epoch_moved=epoch != self._epoch):
            raise PlanRefused(reason)
        self._looked, self._epoch = True, epoch


def _finish(plan: PurgePlan, objects: Removed, now: datetime) -> None:
    with transaction():
        audit.action(APPLIED_VERB, entity=plan)
        applied = PurgePlan.objects.filter(pk=plan.pk, state=PlanState.APPLYING)
        if applied.update(state=PlanState.APPLIED, finished_at=now):
            failed = [f"{objects.failed} stored objects could not be removed"] if objects.failed else []
            _record(plan, failed, blobsAttempted=objects.attempted, blobsDeleted=objects.deleted)


def _stop(plan: PurgePlan, refusal: PlanRefused, now: datetime) -> None:
    with transaction():
        audit.action(STOPPED_VERB, entity=plan)
        stopped = PurgePlan.objects.filter(pk=plan.pk, state=PlanState.APPLYING)
        if stopped.update(state=PlanState.STOPPED, finished_at=now, error=refusal.code):
            _record(plan, [refusal.code])


def _record(plan: PurgePlan, errors: list[str], **more: int) -> None:
    """The purge's own record, as `cleanup` leaves one."""
    deleted: dict[str, int] = {}
    for item in plans.items_of(plan):
        deleted[item.entity] = deleted.get(item.entity, 0) + item.deleted
    audit.record(
        action=plans.VERB,
        entity_type="Retention",
        entity_id=context.tenant_id(),
        changes={
            "plan": str(plan.pk),
            "digest": plan.digest,
            "run": str(plan.pk),
            "deleted": deleted,
            "total": sum(deleted.values()),
            "planned": plan.rows,
            **more,
            "errors": errors,
        },
    )
