"""A plan beside what is there now: what differs, and what refuses it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from compliance.holding import holds
from compliance.models import HoldEpoch, PlanState, PurgePlan, PurgePlanItem
from compliance.purging import plans, sweeps
from compliance.purging.plans import Measured
from compliance.purging.refusals import Reason
from compliance.purging.sweeps import Sweep
from kaireon.jobs.models import Job
from kaireon.tenancy.context import requires_transaction


@dataclass(frozen=True, kw_only=True)
class ItemNow:
    """What an item would find now. `rows`: those that may go, by what counts today; `today`: None when nothing says
    any more that they may. `reasons` are why the plan is refused because of it."""

    item: PurgePlanItem
    rows: int
    today: Sweep | None
    class_held: bool
    reasons: tuple[Reason, ...]

    @property
    def policy_changed(self) -> bool:
        return self.today is None or _keeps_longer(self.today, self.item)

    @property
    def came(self) -> int:
        """How many rows more than the plan has left; negative when there are fewer."""
        return self.rows - (self.item.rows - self.item.deleted)

    @property
    def fewer(self) -> int:
        return max(0, -self.came)


@requires_transaction
def reasons(plan: PurgePlan, *, now: datetime) -> Iterator[Reason]:
    """Why a plan would not be applied now, looked up one after the other; none when it would.

    One that is being applied already was compared; its rows and holds are, at every batch.
    """
    yield from of_plan(plan, now=now)
    if plan.state in (PlanState.PLANNED, PlanState.APPROVED):
        for item in plans.items_of(plan):
            yield from item_now(plan, item, now=now).reasons


@requires_transaction
def of_plan(plan: PurgePlan, *, now: datetime) -> Iterator[Reason]:
    """Those of the reasons that lie in the plan itself, and not in what it would delete."""
    if plan.state in (PlanState.APPLIED, PlanState.STOPPED):
        yield Reason.PLAN_ALREADY_APPLIED
        return
    if now < max(filter(None, (plan.as_of, plan.approved_at, plan.started_at))):
        yield Reason.CLOCK_MOVED_BACK
    if plan.state == PlanState.APPLYING:
        if plan.job_ref and Job.objects.open().filter(pk=plan.job_ref).exists():
            yield Reason.PLAN_UNDER_WAY
        return
    if now - plan.as_of > plans.VALID_FOR:
        yield Reason.PLAN_STALE
    items = list(plans.items_of(plan))
    yield from _approval(plan, {item.data_class for item in items}, now)
    if plans.digest(plan, items) != plan.digest:
        yield Reason.PLAN_CHANGED


@requires_transaction
def item_now(plan: PurgePlan, item: PurgePlanItem, *, now: datetime) -> ItemNow:
    sweep = plans.sweep_of(item)
    today = sweeps.as_it_stands(sweep, now=now)
    class_held = item.data_class in holds.held_classes()
    found = plans.measure(replace(sweep, among=None))
    there = found
    if today is None or class_held:
        there = None
    elif _keeps_longer(today, item):
        there = plans.measure(replace(today, among=None))
    refused_by = list(grounds(item, now=now, epoch_moved=HoldEpoch.objects.get().epoch != plan.epoch))
    if _grew(item, found):
        refused_by.append(Reason.SET_GREW)
    return ItemNow(
        item=item,
        rows=there.rows if there else 0,
        today=today,
        class_held=class_held,
        reasons=tuple(refused_by),
    )


@requires_transaction
def grounds(item: PurgePlanItem, *, now: datetime, epoch_moved: bool) -> Iterator[Reason]:
    """What must not be, at each batch: a new hold on it, or a policy that keeps it longer.

    Rows are looked at only when the hold epoch has moved.
    """
    sweep = plans.sweep_of(item)
    if item.data_class in holds.held_classes() or (epoch_moved and _held_since(item, sweep)):
        yield Reason.HOLD_APPEARED
    today = sweeps.as_it_stands(sweep, now=now)
    if today is None or _keeps_longer(today, item):
        yield Reason.POLICY_CHANGED


def _keeps_longer(today: Sweep, item: PurgePlanItem) -> bool:
    """Whether policy or law keeps rows that were planned."""
    return today.before < item.before or today.floor_before != item.floor_before


@requires_transaction
def differences(plan: PurgePlan, *, now: datetime) -> list[dict[str, Any]]:
    """What a plan says beside what is there now: for each item how many rows it planned, deleted, and would find."""
    return [
        {
            **plans.wire_item(there.item),
            "deleted": there.item.deleted,
            "done": there.item.done,
            "rowsNow": there.rows,
            "heldNow": there.class_held,
            "policyChanged": there.policy_changed,
        }
        for there in (item_now(plan, item, now=now) for item in plans.items_of(plan))
    ]


def _approval(plan: PurgePlan, classes: set[str], now: datetime) -> Iterator[Reason]:
    if plan.approved_by and plan.approved_by in (plan.made_by, plan.made_for):
        yield Reason.PLAN_APPROVED_BY_AUTHOR
    # Of nothing there is nothing to agree to.
    demanded = plan.approval_id is not None or (classes and plans.needs_approval(classes, now=now))
    if demanded and (plan.state != PlanState.APPROVED or not plan.approved_by):
        yield Reason.PLAN_NOT_APPROVED


def _grew(item: PurgePlanItem, found: Measured | None) -> bool:
    if found is None:
        return False
    exchanged = found.rows == item.rows and found.fingerprint != item.fingerprint
    return found.rows > item.rows or exchanged or found.newest > item.newest


def _held_since(item: PurgePlanItem, sweep: Sweep) -> bool:
    """Whether other rows are held than when the plan was made. That some were let go is no reason to stop."""
    held = plans.measure_held(sweep)
    if held is None:
        return False
    return held.rows > item.held_rows or (held.rows == item.held_rows and held.fingerprint != item.held_fingerprint)
