"""How long a purge keeps rows: each class by its own policy, or all by the shortest one that is not held."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from compliance.holding import holds
from compliance.models import Mode, PolicyVersion
from compliance.retention.binding import Binding, binding
from compliance.retention.in_force import InForce, all_in_force
from customers.catalogue import DSAR_PURGE
from kaireon.tenancy.context import requires_transaction

PER_CLASS = "per_class"
STRICTEST = "strictest"
MODES = (PER_CLASS, STRICTEST)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is in force for a class: so many days, by this version of its policy, lengthened by this law if by any.

    `policy_class` names the class whose policy it is where that is another one.
    """

    days: int
    version: int
    law: str = ""
    policy_class: str = ""


@dataclass(frozen=True, kw_only=True)
class Periods:
    """What counts in the active tenant at a moment, read once for many classes.

    `shortest` is the policy with the fewest days among the classes that are not held; None when there is none.
    `strictest`: it counts for every class, also for one without a policy.
    """

    now: datetime
    counting: Mapping[str, InForce]
    bound_by: Binding
    shortest: InForce | None = None
    strictest: bool = False

    def terms(self, data_class: str) -> Terms | None:
        """None: nobody said how long, so it is kept."""
        own = self.counting.get(data_class)
        short = self.shortest if self.strictest else None
        if short is None or (own is not None and (own.days <= short.days or own.version.mode != Mode.NORMAL)):
            # What may not be shortened just so is not shortened by another class's policy either.
            return None if own is None else terms_of(own)
        floor = self.floor_days(data_class)
        bound = self.bound_by.floor(data_class, self.now) if floor > short.days else short.law
        return Terms(
            days=max(short.days, floor),
            version=short.version.number,
            law=bound.citation if bound else "",
            policy_class=short.data_class,
        )

    def anchor(self, data_class: str) -> str:
        """What the rows' days are counted from: what their own policy says, however many days count."""
        own = self.counting.get(data_class)
        return own.anchor if own else ""

    def floor_days(self, data_class: str) -> int:
        """What a law asks for, whatever the policies say."""
        floor = self.bound_by.floor(data_class, self.now)
        return floor.days if floor else 0


@requires_transaction
def read(now: datetime, *, swept_by: str, only: str | None = None) -> Periods:
    """What counts for a purge of the active tenant; `only` for one class. Take the hold epoch first to act on it."""
    strictest = is_strictest(swept_by)
    if only is not None and not strictest:
        newest = PolicyVersion.objects.filter(data_class=only).newest()
        return Periods(now=now, counting=all_in_force(now, newest), bound_by=binding(now))
    counting = all_in_force(now)
    held = holds.wholly_held()
    free = [counts for data_class, counts in counting.items() if data_class not in held]
    shortest = min(free, key=lambda counts: (counts.days, counts.data_class), default=None)
    return Periods(now=now, counting=counting, bound_by=binding(now), shortest=shortest, strictest=strictest)


def is_strictest(swept_by: str) -> bool:
    """Whether the shortest period counts for all that this job sweeps. What DSAR_PURGE_MODE says wrong, says no."""
    return swept_by == DSAR_PURGE and settings.DSAR_PURGE_MODE == STRICTEST


def terms_of(counts: InForce) -> Terms:
    """Those of a class that goes by its own policy."""
    return Terms(days=counts.days, version=counts.version.number, law=counts.law.citation if counts.law else "")
