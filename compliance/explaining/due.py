"""The purge's own conditions, asked of single rows; and what refers to a row, which goes first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Max, Q

from compliance.explaining.explanation import moment
from compliance.holding import holds, predicate
from compliance.models import Hold, HoldState
from compliance.purging import sweeps
from compliance.purging.references import REFERRING
from compliance.purging.sweeps import Sweep
from compliance.retention import in_force as retention
from compliance.retention.binding import binding
from customers.catalogue import CLEANUP, Entity, Erasure
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.managers import TenantQuerySet

# A row's moments by column: its clock, and what else its age may be counted from.
Moments = Mapping[str, datetime]


def columns(entity: Entity) -> tuple[str, ...]:
    return (entity.clock, *entity.anchors)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Rows of another entity that a purge would leave, and that refer to the record. `until`: as of a reason."""

    entity: Entity
    rows: int
    until: datetime | None

    def as_dict(self) -> dict[str, Any]:
        return {"entity": self.entity.name, "rows": self.rows, "until": moment(self.until)}


@requires_transaction
def in_force(entity: Entity, data_class: str, *, now: datetime, swept_by: str = CLEANUP) -> Sweep | None:
    """What a purge of this moment would go by; None when nothing says that rows of this class ever go."""
    return sweeps.in_force_for(entity, data_class, now=now, swept_by=swept_by)


@requires_transaction
def is_due(pk: UUID, sweep: Sweep | None, references: list[Reference], *, now: datetime) -> bool:
    """Whether the next purge would take this row."""
    if sweep is None or references or sweep.data_class in holds.held_classes():
        return False
    rows = _due(sweep, now).filter(pk=pk)
    if sweep.entity.erasure == Erasure.SHRED:
        rows = rows.filter(subject_sealed__isnull=False)
    return rows.exists()


@requires_transaction
def kept_references(entity: Entity, pk: UUID, *, now: datetime) -> list[Reference]:
    """What refers to a row and does not go before it."""
    kept = []
    for other, column in REFERRING.get(entity.name, ()):
        found = [_kept(other, name, Q(**{column: pk}), now) for name in other.data_classes()]
        rows = sum(count for count, _ in found)
        if rows:
            ends = [until for count, until in found if count]
            until = None if None in ends else max(end for end in ends if end is not None)
            kept.append(Reference(entity=other, rows=rows, until=until))
    return kept


@requires_transaction
def ends(entity: Entity, data_class: str, moments: Moments, *, now: datetime) -> datetime | None:
    """When a row with these moments has been kept long enough, by what was decided until now: past it, not at it, it
    may go. None: nobody said how long."""
    at = now
    while sweep := in_force(entity, data_class, now=at):
        end = max(moments[sweep.clock] + (at - sweep.before), at if at > now else moments[sweep.clock])
        if sweep.floor_before is not None:
            end = max(end, moments[entity.clock] + (at - sweep.floor_before))
        counts = retention.in_force(data_class, at)
        changes = counts.until if counts else binding(at).next_change(data_class, at)
        if entity.own_expiry or changes is None or end <= changes:
            return end
        at = changes
    return None


@requires_transaction
def free(rows: TenantQuerySet[Any], data_class: str, *, now: datetime) -> TenantQuerySet[Any]:
    """These rows without those that a hold with a scope keeps from the next purge, which ends what it may end first."""
    return predicate.free(rows, data_class, ended_by=now)


@requires_transaction
def covering(entity: Entity, pk: UUID, data_class: str, *, now: datetime) -> list[Hold]:
    """The holds with a scope that keep a row from the next purge, oldest first."""
    found = predicate.covering(entity.queryset().filter(pk=pk), data_class)
    return list(found.exclude(state=HoldState.RELEASING, releases_at__lte=now).select_related("matter"))


def _due(sweep: Sweep, now: datetime) -> TenantQuerySet[Any]:
    # Without looking for references: those that go in the same purge do not count.
    past = sweep.entity.in_class(sweep.data_class).filter(sweeps.is_past(sweep))
    return free(past, sweep.data_class, now=now)


def _kept(entity: Entity, data_class: str, mine: Q, now: datetime) -> tuple[int, datetime | None]:
    """How many rows of one class stay, and until when at most."""
    rows = entity.in_class(data_class).filter(mine)
    sweep = in_force(entity, data_class, now=now)
    if sweep is None or data_class in holds.held_classes():
        return rows.count(), None
    rows = rows.exclude(pk__in=_due(sweep, now).filter(mine).values("pk"))
    count = rows.count()
    dated = free(rows.filter(**{f"{entity.clock}__isnull": False}), data_class, now=now)
    if not count or dated.count() != count:
        return count, None
    last = rows.aggregate(**{column: Max(column) for column in columns(entity)})
    return count, ends(entity, data_class, last, now=now)
