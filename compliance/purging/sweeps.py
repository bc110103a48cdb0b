"""What a purge looks at: rows of one entity and class, past the moment that their class's retention says."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q

from compliance.holding import holds, predicate
from compliance.purging import periods
from compliance.purging.periods import Periods, Terms
from compliance.retention.in_force import InForce
from customers.catalogue import CATALOGUE, CLEANUP, DERIVED, Entity, Erasure
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.managers import TenantQuerySet

# What retention deletes. Rows that erasure would shred keep their skeleton: who owns them sweeps them.
DELETED = (Erasure.DELETE, Erasure.EVIDENCE)
# Past this moment a suppression has no effect, so without a policy for its class it goes then.
EXPIRES_WITHOUT_POLICY = ("suppression",)


@dataclass(frozen=True, kw_only=True)
class Among:
    """The rows that a plan means: by their clock, and made no later than the newest of them."""

    clock_from: datetime
    clock_until: datetime
    newest: UUID


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One entity's rows of one class, and the moment before which their clock must stand, or the `column` that their
    policy counts from; then the clock too, before `floor_before`, where a law asks for some days. Without `terms` they
    end by themselves; with `among` no others are looked at. `swept_by` is the job whose periods count. Who foretells a
    purge does not wait for the releases that it will have ended by then: `ended_by`."""

    entity: Entity
    data_class: str
    before: datetime
    terms: Terms | None = None
    among: Among | None = None
    swept_by: str = CLEANUP
    column: str = ""
    floor_before: datetime | None = None
    ended_by: datetime | None = None

    @property
    def clock(self) -> str:
        """What its rows age by."""
        return self.column or self.entity.clock


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a purge would look at now, and which classes it leaves alone and why. `kept` is what it would look at but
    for a hold, `shortest` the days of the shortest policy of a class that is not held; 0: there is none."""

    sweeps: tuple[Sweep, ...]
    kept: tuple[Sweep, ...]
    held: tuple[str, ...]
    without_policy: tuple[str, ...]
    shortest: int = 0


@requires_transaction
def make_plan(
    *,
    now: datetime,
    classes: Collection[str] | None = None,
    swept_by: str = CLEANUP,
    ended_by: datetime | None = None,
) -> Plan:
    """What is to be looked at in the active tenant, in the catalogue's order."""
    counting = periods.read(now, swept_by=swept_by)
    held_now = holds.held_classes()
    sweeps: list[Sweep] = []
    kept: list[Sweep] = []
    held: set[str] = set()
    without_policy: set[str] = set()
    for entity, data_class in _swept(swept_by, classes):
        sweep = _sweep(entity, data_class, counting, swept_by)
        is_held = data_class in held_now
        if is_held:
            held.add(data_class)
        elif sweep is None:
            without_policy.add(data_class)
        if sweep is not None:
            (kept if is_held else sweeps).append(replace(sweep, ended_by=ended_by))
    return Plan(
        sweeps=tuple(sweeps),
        kept=tuple(kept),
        held=tuple(sorted(held)),
        without_policy=tuple(sorted(without_policy)),
        shortest=counting.shortest.days if counting.shortest else 0,
    )


@requires_transaction
def in_force_for(entity: Entity, data_class: str, *, now: datetime, swept_by: str = CLEANUP) -> Sweep | None:
    """What a purge of a moment goes by for these rows; None when nothing says that they ever go."""
    return _sweep(entity, data_class, periods.read(now, swept_by=swept_by, only=data_class), swept_by)


@requires_transaction
def as_it_stands(sweep: Sweep, *, now: datetime) -> Sweep | None:
    """The sweep under what is in force at this moment; None when nothing says any more that its rows may go.

    Never more than it was: a policy that was shortened meanwhile, or counts from something else, is for the next purge;
    one that was lengthened counts.
    """
    today = in_force_for(sweep.entity, sweep.data_class, now=now, swept_by=sweep.swept_by)
    if today is None or today.clock != sweep.clock:
        return None
    floors = [moment for moment in (today.floor_before, sweep.floor_before) if moment is not None]
    return replace(
        today,
        before=min(today.before, sweep.before),
        floor_before=min(floors, default=None),
        among=sweep.among,
        ended_by=sweep.ended_by,
    )


def is_past(sweep: Sweep) -> Q:
    """True of the rows whose time is over, whatever refers to them."""
    over = sweep.entity.is_past(sweep.before, column=sweep.column)
    if sweep.floor_before is not None:
        over &= Q(**{f"{sweep.entity.clock}__lt": sweep.floor_before})
    return over


def past(sweep: Sweep) -> TenantQuerySet[Any]:
    """The rows whose time is over, held or not."""
    rows = sweep.entity.expired(sweep.before, data_class=sweep.data_class, column=sweep.column)
    if sweep.floor_before is not None:
        rows = rows.filter(**{f"{sweep.entity.clock}__lt": sweep.floor_before})
    if sweep.among is None:
        return rows
    span = (sweep.among.clock_from, sweep.among.clock_until)
    return rows.filter(**{f"{sweep.clock}__range": span}, pk__lte=sweep.among.newest)


@requires_transaction
def due(sweep: Sweep) -> TenantQuerySet[Any]:
    """The rows that may go, but for a hold on their whole class. Take the hold epoch first."""
    return predicate.free(past(sweep), sweep.data_class, ended_by=sweep.ended_by)


def held_back(sweep: Sweep) -> TenantQuerySet[Any]:
    """The rows whose time is over and that a hold with a scope, or an open request of their subject, keeps."""
    return past(sweep).filter(predicate.held(sweep.entity, sweep.data_class, ended_by=sweep.ended_by))


def _swept(swept_by: str, classes: Collection[str] | None) -> Iterator[tuple[Entity, str]]:
    for entity in (*CATALOGUE, *DERIVED):
        if swept_by in entity.swept_by and entity.erasure in DELETED:
            for data_class in entity.data_classes():
                if classes is None or data_class in classes:
                    yield entity, data_class


def _sweep(entity: Entity, data_class: str, counting: Periods, swept_by: str) -> Sweep | None:
    """None for what is kept because nobody said how long."""
    if entity.own_expiry:
        return Sweep(entity=entity, data_class=data_class, before=counting.now, swept_by=swept_by)
    terms = counting.terms(data_class)
    if terms is None and entity.name not in EXPIRES_WITHOUT_POLICY:
        return None
    floor_days = counting.floor_days(data_class)
    days = floor_days if terms is None else terms.days
    anchor = counting.anchor(data_class)
    sweep = anchored(entity, data_class, days=days, anchor=anchor, floor_days=floor_days, now=counting.now)
    return replace(sweep, terms=terms, swept_by=swept_by)


def by_policy(entity: Entity, data_class: str, counts: InForce, *, now: datetime) -> Sweep:
    """What is past its time by a policy that counts."""
    floor_days = counts.floor.days if counts.floor else 0
    return anchored(entity, data_class, days=counts.days, anchor=counts.anchor, floor_days=floor_days, now=now)


def anchored(entity: Entity, data_class: str, *, days: int, anchor: str, floor_days: int, now: datetime) -> Sweep:
    """What is older than so many days, from what they are counted. By law they count from the clock too."""
    column = entity.column(anchor)
    by_law = floor_days > 0 and column != entity.clock
    return Sweep(
        entity=entity,
        data_class=data_class,
        before=now - timedelta(days=days),
        column=column,
        floor_before=now - timedelta(days=floor_days) if by_law else None,
    )
