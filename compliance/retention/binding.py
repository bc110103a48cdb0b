"""The laws a tenant is bound by: switched on and off, what they ask of a class, and where policies fall short."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

import audit
from compliance.models import BindingLaw
from compliance.retention import laws
from compliance.retention.laws import Bound
from kaireon.tenancy.context import Actor, requires_transaction

VERB = "retention_law.switch"


class UnknownLaw(ValueError):
    """No law pack has this name. `str()` of it lists those there are."""

    def __init__(self) -> None:
        super().__init__(f"unknown law; known are {', '.join(laws.BY_NAME)}.")


@dataclass(frozen=True, kw_only=True)
class Binding:
    """What bound the active tenant when it was asked: read once, for many classes."""

    names: frozenset[str]
    ends: dict[str, datetime]

    def floor(self, data_class: str, now: datetime) -> Bound | None:
        """The longest that a class must be kept by a law that has started."""
        found = [bound for bound in self.floors(data_class) if bound.starts is None or bound.starts <= now]
        return max(found, key=lambda bound: bound.days, default=None)

    def floors(self, data_class: str) -> list[Bound]:
        return laws.bounds(self.names, data_class)

    def ceilings(self, data_class: str) -> list[Bound]:
        return laws.bounds(self.names, data_class, upper=True)

    def next_change(self, data_class: str, now: datetime) -> datetime | None:
        """When a floor of the class starts or ends by itself."""
        moments = [moment for bound in self.floors(data_class) for moment in (bound.starts, self.ends.get(bound.law))]
        return min((moment for moment in moments if moment and moment > now), default=None)


@requires_transaction
def binding(now: datetime) -> Binding:
    rows = list(BindingLaw.objects.at(now))
    return Binding(
        names=frozenset(row.name for row in rows if row.name in laws.BY_NAME),
        ends={row.name: row.until for row in rows if row.until},
    )


@requires_transaction
def switch(*, name: str, on: bool, actor: Actor, now: datetime) -> BindingLaw | None:
    """Say that a law binds the active tenant, at once, or that it does not, after the cooling-off; None: it never did.

    Its floors count from when it starts, also for policies that are older. Raises UnknownLaw.
    """
    if name not in laws.BY_NAME:
        raise UnknownLaw
    row = BindingLaw.objects.select_for_update().filter(name=name).first()
    binds = row is not None and (row.until is None or row.until > now)
    if on:
        if row is None:
            row = BindingLaw(name=name, since=now)
        elif row.until is None:
            return row
        elif not binds:
            row.since = now
        row.until = None
    else:
        if row is None or row.until is not None:
            return row
        row.until = now + timedelta(hours=settings.RETENTION_COOLING_OFF_HOURS)
    row.switched_by = actor.id
    audit.action(VERB, entity=row)
    row.save()
    return row
