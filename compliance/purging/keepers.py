"""What keeps rows of a class from a purge, in words: for pages. Whom a hold names is not told."""

from dataclasses import dataclass
from datetime import datetime

from compliance.holding import holds, predicate
from compliance.models import Hold, HoldState, Kind
from customers.catalogue import Entity
from kaireon.tenancy.context import requires_transaction

# More are counted, and not listed.
MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Keeper:
    """One thing that keeps rows. `since`: None for several at once. `new`: it came after the moment asked about."""

    text: str
    since: datetime | None = None
    new: bool = False


@requires_transaction
def of(entity: Entity, data_class: str, *, after: datetime | None = None) -> list[Keeper]:
    """The hold of the class, the holds of matters and the open requests that touch an entity's rows of a class."""
    found = predicate.touching(entity, data_class).select_related("matter")
    matters = list(found.filter(kind=Kind.MATTER).order_by("-placed_at", "-id")[: MOST_NAMED + 1])
    said = [Keeper(text="The whole class is held")] if data_class in holds.held_classes() else []
    said += [_keeper(hold, after) for hold in matters[:MOST_NAMED]]
    if len(matters) > MOST_NAMED:
        more = found.filter(kind=Kind.MATTER).count() - MOST_NAMED
        said.append(Keeper(text=f"{more:,} more holds"))
    if requests := found.filter(kind=Kind.REQUEST).count():
        said.append(Keeper(text="1 open subject request" if requests == 1 else f"{requests:,} open subject requests"))
    return said


def _keeper(hold: Hold, after: datetime | None) -> Keeper:
    name = hold.matter.name if hold.matter else "A hold"
    ends = ""
    if hold.state == HoldState.RELEASING and hold.releases_at:
        ends = f", ends {hold.releases_at:%Y-%m-%d %H:%M} UTC"
    return Keeper(text=f"Hold: {name}{ends}", since=hold.placed_at, new=after is not None and hold.placed_at > after)
