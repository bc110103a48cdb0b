"""What the page of a plan says: how far it is, what stands in its way, its items beside now and the plan before."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Sum

from compliance.models import PlanState, PurgePlan, PurgePlanItem
from compliance.purging import comparing, keepers, plans
from compliance.purging.comparing import ItemNow
from compliance.purging.keepers import Keeper
from compliance.purging.refusals import ADVICE, Reason
from customers.catalogue import CATALOGUE, DERIVED
from kaireon.jobs.models import Job
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.patience import TookTooLong, at_most

OPEN = (PlanState.PLANNED, PlanState.APPROVED)
# As long as somebody waits for a page. What takes longer is compared when the plan is applied.
SECONDS = 5
ENTITIES = {entity.name: entity for entity in (*CATALOGUE, *DERIVED)}


@dataclass(frozen=True, kw_only=True)
class Before:
    """What the plan before said of the same entity and class; no rows when it did not name them."""

    rows: int
    version: int
    change: int


@dataclass(frozen=True, kw_only=True)
class Line:
    """One item. `now`: None when it was not compared; `before`: None when there was no plan before."""

    item: PurgePlanItem
    title: str
    held_by: list[Keeper]
    now: ItemNow | None = None
    before: Before | None = None

    @property
    def advice(self) -> list[str]:
        return [ADVICE[reason] for reason in self.now.reasons] if self.now else []

    @property
    def today(self) -> str:
        """What counts now, where that is longer than when the plan was made."""
        if self.now is None or not self.now.policy_changed:
            return ""
        terms = self.now.today.terms if self.now.today else None
        return f"{terms.days:,} days now, version {terms.version}" if terms else "another policy now"


def state_of(plan: PurgePlan, *, waits: bool, now: datetime) -> str:
    if plan.state in OPEN and now > valid_until(plan):
        return "Too old"
    if plan.state == PlanState.PLANNED and waits:
        return "Waits for a second person"
    return str(PlanState(plan.state).label)


def valid_until(plan: PurgePlan) -> datetime:
    return plan.as_of + plans.VALID_FOR


def percent(plan: PurgePlan, gone: int) -> int:
    return 100 if plan.state == PlanState.APPLIED else 100 * gone // max(plan.rows, 1)


def advice_of(code: str) -> str:
    return ADVICE[Reason(code)] if code in set(Reason) else code.replace("_", " ")


@requires_transaction
def is_left_alone(plan: PurgePlan) -> bool:
    """Whether it was begun, and no worker goes on with it."""
    has_worker = plan.job_ref is not None and Job.objects.open().filter(pk=plan.job_ref).exists()
    return plan.state == PlanState.APPLYING and not has_worker


@requires_transaction
def progress(plan: PurgePlan) -> dict[str, Any]:
    """How far it is, for the part of the page that follows it: quick, however many rows the plan would delete."""
    gone = plans.items_of(plan).aggregate(gone=Sum("deleted"))["gone"] or 0
    return {
        "plan": plan,
        "gone": gone,
        "percent": percent(plan, gone),
        "stopped_by": advice_of(plan.error) if plan.error else "",
        "is_left_alone": is_left_alone(plan),
    }


@requires_transaction
def whole(plan: PurgePlan, *, now: datetime) -> dict[str, Any]:
    """All of it. An open plan is compared with now, as applying it would, as far as that takes no longer than a page
    may; a plan that was begun is not."""
    last = _before(plan)
    said = {} if last is None else {(item.data_class, item.entity): item for item in plans.items_of(last)}
    is_open = plan.state in OPEN
    lines, budget, slow = [], Budget(SECONDS), False
    for item in plans.items_of(plan):
        there = None
        if is_open:
            try:
                with at_most(budget.left()):
                    there = comparing.item_now(plan, item, now=now)
            except TookTooLong:
                slow = True
        lines.append(_line(plan, item, there, said, has_before=last is not None))
    gone = [
        item for key, item in said.items() if key not in {(line.item.data_class, line.item.entity) for line in lines}
    ]
    reasons = list(comparing.of_plan(plan, now=now)) if is_open else []
    found = {reason for line in lines if line.now for reason in line.now.reasons}
    return {
        **progress(plan),
        "lines": lines,
        "is_open": is_open,
        "slow": slow,
        "last": last,
        "no_more": [(ENTITIES[item.entity].title, item) for item in gone],
        "objections": [(reason.value, ADVICE[reason]) for reason in (*reasons, *(r for r in Reason if r in found))],
        "waits_only": set(reasons) == {Reason.PLAN_NOT_APPROVED} and not found,
    }


def _line(
    plan: PurgePlan,
    item: PurgePlanItem,
    there: ItemNow | None,
    said: dict[tuple[str, str], PurgePlanItem],
    *,
    has_before: bool,
) -> Line:
    entity = ENTITIES[item.entity]
    before = None
    if has_before:
        other = said.get((item.data_class, item.entity))
        rows, version = (other.rows, other.policy_version) if other else (0, 0)
        before = Before(rows=rows, version=version, change=item.rows - rows)
    return Line(
        item=item,
        title=entity.title,
        held_by=keepers.of(entity, item.data_class, after=plan.as_of),
        now=there,
        before=before,
    )


def _before(plan: PurgePlan) -> PurgePlan | None:
    """The newest plan before it that was made for the same."""
    earlier = PurgePlan.objects.filter(as_of__lt=plan.as_of, swept_by=plan.swept_by, classes=plan.classes)
    if plan.classes is None:
        earlier = PurgePlan.objects.filter(as_of__lt=plan.as_of, swept_by=plan.swept_by, classes__isnull=True)
    return earlier.newest_first().first()
