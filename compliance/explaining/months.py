"""When a record of a table that is kept by the month goes with its whole month, and when in a batch."""

from datetime import datetime, timedelta

from compliance.explaining import due
from compliance.explaining.due import Moments
from compliance.explaining.explanation import Explanation, Path, Way
from compliance.retention.in_force import InForce
from customers.catalogue import Entity
from kaireon.lib.clock import in_utc
from kaireon.tenancy.context import requires_transaction


@requires_transaction
def cleanup(entity: Entity, said: Explanation, counts: InForce | None, moments: Moments) -> Path:
    """The nightly job drops what goes whole, and then deletes row by row. Other tenants' rows, which are not told, may
    keep a month."""
    clock_at = moments[entity.clock]
    name, whole = f"{in_utc(clock_at):%Y-%m}", None
    if counts is not None and not counts.by_clock:
        does = f"deletes it in a batch: its age counts from another column than its month, {name}"
    elif said.free_at is None:
        does = f"deletes it in a batch, or drops its whole month, {name}"
    else:
        at_the_end = {**moments, entity.clock: _end_of_month(clock_at)}
        ends = due.ends(entity, said.data_class, at_the_end, now=said.at)
        whole = max(said.free_at, ends) if ends else None
        if whole == said.free_at:
            does = f"drops its whole month, {name}, when nothing else in it stays, and deletes it in a batch otherwise"
        else:
            does = f"deletes it in a batch, before its whole month, {name}, is past"
    return Path(way=Way.CLEANUP, does=does, earliest=said.free_at, whole_month=whole)


def _end_of_month(moment: datetime) -> datetime:
    first = in_utc(moment).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)
