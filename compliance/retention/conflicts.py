"""Where policies and the laws that bind a tenant do not fit each other."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from compliance.retention.binding import Binding, binding
from compliance.retention.in_force import InForce, all_in_force
from compliance.retention.laws import Bound
from customers.catalogue import DATA_CLASSES
from kaireon.tenancy.context import requires_transaction


class ConflictKind(StrEnum):
    BELOW_FLOOR = "below_floor"  # the floor counts
    ABOVE_CEILING = "above_ceiling"  # the policy counts, until somebody shortens it
    FLOOR_ABOVE_CEILING = "floor_above_ceiling"  # the floor counts


@dataclass(frozen=True, kw_only=True)
class Clash:
    """`starts`: from when on, for a law that is still to come. `other` is the ceiling that the floor is above."""

    kind: ConflictKind
    data_class: str
    bound: Bound
    days: int | None
    other: Bound | None = None

    @property
    def starts(self) -> datetime | None:
        return self.bound.starts


@requires_transaction
def conflicts(now: datetime) -> list[Clash]:
    """Of the active tenant, those of laws to come included."""
    bound_by = binding(now)
    counting = all_in_force(now)
    return [clash for name in DATA_CLASSES for clash in _of_class(name, bound_by, counting.get(name))]


def _of_class(data_class: str, bound_by: Binding, counts: InForce | None) -> list[Clash]:
    floors, ceilings = bound_by.floors(data_class), bound_by.ceilings(data_class)
    days = counts.policy_days if counts else None
    found = []
    for floor in floors:
        if days is not None and days < floor.days:
            found.append(Clash(kind=ConflictKind.BELOW_FLOOR, data_class=data_class, bound=floor, days=days))
        found.extend(
            Clash(
                kind=ConflictKind.FLOOR_ABOVE_CEILING,
                data_class=data_class,
                bound=floor,
                days=floor.days,
                other=ceiling,
            )
            for ceiling in ceilings
            if floor.days > ceiling.days
        )
    found.extend(
        Clash(kind=ConflictKind.ABOVE_CEILING, data_class=data_class, bound=ceiling, days=days)
        for ceiling in ceilings
        if days is not None and days > ceiling.days
    )
    return found
