"""What goes when: how many rows of each class fall due in which of the coming months, by what was decided until now."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from django.db.models import Count

from compliance.holding import holds, predicate
from compliance.purging import sweeps
from compliance.purging.sweeps import Sweep
from compliance.retention.in_force import InForce, all_in_force
from compliance.retention.laws import Bound
from customers.catalogue import CATALOGUE, DATA_CLASSES, DERIVED, Entity
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.patience import TookTooLong, at_most

MONTHS = 12
# Somebody waits for the page.
SECONDS = 8


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that changes by itself: a decision that takes effect, a law that starts or ends."""

    at: datetime
    text: str


@dataclass(kw_only=True)
class Lane:
    """One class. `due` counts rows that may go already, `months` those that fall due in each month; `held` and
    `held_due` are the parts of these that a hold or an open request keeps. `days` None: nobody said how long.
    `uncounted` entities are in none of it: there was no time."""

    data_class: str
    title: str
    days: int | None = None
    held_wholly: bool = False
    floor: Bound | None = None
    due: int = 0
    held_due: int = 0
    months: list[int] = field(default_factory=lambda: [0] * MONTHS)
    held: list[int] = field(default_factory=lambda: [0] * MONTHS)
    uncounted: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    @property
    def most(self) -> int:
        return max(self.due, *self.months)


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """`months` are the first days of the coming months, this one first: it begins now."""

    now: datetime
    months: list[date]
    lanes: list[Lane]


@requires_transaction
def timeline(*, now: datetime) -> Timeline:
    """Of the active tenant, by the conditions of the purge at the end of each month.

    What refers to a row may keep it longer, and rows that end by themselves are not in it. The log goes by prefix, when
    two people agree: it is not in it either.
    """
    months = _months(now)
    edges = [now, *(datetime(day.year, day.month, 1, tzinfo=UTC) for day in [*months[1:], _next(months[-1])])]
    counting = all_in_force(now)
    held_wholly = holds.held_classes()
    budget = Budget(SECONDS)
    lanes = []
    for data_class, title in DATA_CLASSES.items():
        lane = Lane(data_class=data_class, title=title, held_wholly=data_class in held_wholly)
        counts = counting.get(data_class)
        if counts is not None:
            lane.days, lane.floor = counts.days, counts.law
            lane.changes = _changes(counts, edges[-1])
            for entity in _entities(data_class):
                try:
                    with at_most(budget.left()):
                        _add(lane, entity, edges)
                except TookTooLong:
                    lane.uncounted.append(entity.title)
        lanes.append(lane)
    return Timeline(now=now, months=months, lanes=lanes)


def _months(now: datetime) -> list[date]:
    today = now.astimezone(UTC).date()
    months = [today.replace(day=1)]
    while len(months) < MONTHS:
        months.append(_next(months[-1]))
    return months


def _next(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def _changes(counts: InForce, until: datetime) -> list[Change]:
    found = []
    if counts.pending is not None:
        days, anchor = counts.pending.retention_days, counts.pending.anchor
        source = f" from {anchor}" if anchor != counts.version.anchor else ""
        found.append(Change(at=counts.pending.effective_from, text=f"{days:,} days{source}"))
    if counts.law_changes is not None:
        found.append(Change(at=counts.law_changes, text="a law changes it"))
    return [change for change in found if change.at < until]


def _entities(data_class: str) -> list[Entity]:
    found = (*CATALOGUE, *DERIVED)
    return [e for e in found if not e.own_expiry and e.erasure in sweeps.DELETED and data_class in e.data_classes()]


def _add(lane: Lane, entity: Entity, edges: list[datetime]) -> None:
    """How many rows are past their time at each edge, under what counts then."""
    standing = [sweeps.in_force_for(entity, lane.data_class, now=edge) for edge in edges]
    past = _counted(entity, lane, standing)
    held = past if lane.held_wholly else _counted(entity, lane, standing, held=True)
    lane.due += past[0]
    lane.held_due += held[0]
    for month in range(MONTHS):
        # A longer period that counts later takes rows back that were due.
        lane.months[month] += max(0, past[month + 1] - past[month])
        lane.held[month] += max(0, held[month + 1] - held[month])


def _counted(entity: Entity, lane: Lane, standing: list[Sweep | None], *, held: bool = False) -> list[int]:
    rows = entity.in_class(lane.data_class)
    if held:
        rows = rows.filter(predicate.held(entity, lane.data_class))
    asked = {f"at_{i}": Count("pk", filter=sweeps.is_past(s)) for i, s in enumerate(standing) if s is not None}
    found: dict[str, Any] = rows.aggregate(**asked) if asked else {}
    return [found.get(f"at_{i}", 0) for i in range(len(standing))]
