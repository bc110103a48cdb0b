"""What a purge of some moment would take, entity by entity, and what it would leave: for those who look ahead.

Nothing is locked and nothing recorded, and no count goes on for ever: it ends at `MOST_COUNTED`, and so does the time
that somebody waits for it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from compliance.purging import keepers, sweeps
from compliance.purging.keepers import Keeper
from compliance.purging.sweeps import Sweep
from customers.catalogue import CLEANUP
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.managers import TenantQuerySet
from kaireon.tenancy.patience import TookTooLong, at_most

MOST_COUNTED = 100_000
SAMPLES = 3
# As long as somebody waits for a page.
SECONDS = 8

RowsOf = Callable[[Sweep], TenantQuerySet[Any]]


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Rows, counted to MOST_COUNTED; None when that took too long."""

    rows: int | None

    @property
    def is_some(self) -> bool:
        return self.rows != 0

    def __str__(self) -> str:
        if self.rows is None:
            return "took too long to count"
        return f"{MOST_COUNTED:,} or more" if self.rows > MOST_COUNTED else f"{self.rows:,}"


NONE = Counted(rows=0)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One entity's rows of one class: those that would go, from the oldest to the newest, some of them by id, and those
    whose time is over too and that something keeps."""

    sweep: Sweep
    going: Counted
    held: Counted
    oldest: datetime | None = None
    newest: datetime | None = None
    samples: list[UUID] = field(default_factory=list)
    held_by: list[Keeper] = field(default_factory=list)

    @property
    def under(self) -> str:
        terms = self.sweep.terms
        if terms is None:
            return "its own end"
        counted = f" from {self.sweep.clock}" if self.sweep.clock != self.sweep.entity.clock else ""
        whose = f" of {terms.policy_class}" if terms.policy_class not in ("", self.sweep.data_class) else ""
        return f"{terms.days:,} days{counted}, version {terms.version} of the policy{whose}"


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """`nothing` is how many entities were looked at without finding a row past its time."""

    at: datetime
    lines: list[Line]
    nothing: int
    held: tuple[str, ...]
    without_policy: tuple[str, ...]

    @property
    def going(self) -> Counted:
        """All that would go, as far as it was counted."""
        counts = [line.going.rows for line in self.lines]
        return Counted(rows=None if None in counts else sum(count for count in counts if count is not None))

    @property
    def classes(self) -> list[str]:
        return sorted({line.sweep.data_class for line in self.lines if line.going.is_some})


@requires_transaction
def look(
    *,
    at: datetime,
    classes: Collection[str] | None = None,
    swept_by: str = CLEANUP,
    due: RowsOf = sweeps.due,
    held_back: RowsOf = sweeps.held_back,
) -> Forecast:
    """What a purge of that moment would find, by the plan and the conditions by which it deletes."""
    plan = sweeps.make_plan(now=at, classes=classes, swept_by=swept_by)
    budget = Budget(SECONDS)
    found = [_line(sweep, due, held_back, budget) for sweep in plan.sweeps]
    found += [
        Line(sweep=sweep, going=NONE, held=_count(sweeps.past(sweep), budget), held_by=_by(sweep))
        for sweep in plan.kept
    ]
    lines = [line for line in found if line.going.is_some or line.held.is_some]
    return Forecast(
        at=at,
        lines=lines,
        nothing=len(found) - len(lines),
        held=plan.held,
        without_policy=plan.without_policy,
    )


def _line(sweep: Sweep, due: RowsOf, held_back: RowsOf, budget: Budget) -> Line:
    held = _count(held_back(sweep), budget)
    held_by = _by(sweep) if held.is_some else []
    column, rows = sweep.clock, due(sweep)
    going = _count(rows, budget)
    if not going.rows:
        return Line(sweep=sweep, going=going, held=held, held_by=held_by)
    try:
        with at_most(budget.left()):
            oldest = list(rows.order_by(column, "pk").values_list("pk", column)[:SAMPLES])
            newest = rows.order_by(f"-{column}").values_list(column, flat=True).first()
    except TookTooLong:
        return Line(sweep=sweep, going=going, held=held, held_by=held_by)
    return Line(
        sweep=sweep,
        going=going,
        held=held,
        oldest=oldest[0][1] if oldest else None,
        newest=newest,
        samples=[pk for pk, _ in oldest],
        held_by=held_by,
    )


def _by(sweep: Sweep) -> list[Keeper]:
    return keepers.of(sweep.entity, sweep.data_class)


def _count(rows: TenantQuerySet[Any], budget: Budget) -> Counted:
    try:
        with at_most(budget.left()):
            return Counted(rows=rows.order_by()[: MOST_COUNTED + 1].count())
    except TookTooLong:
        return Counted(rows=None)
