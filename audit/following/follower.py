"""A follower at work in the active scope's log: alone, behind what is committed, its cursor moved after the work.

At least once and in order: a crash between the work and the moving of the cursor repeats that work, so whoever receives
it must know a second copy by its id. Nothing here reads another tenant's log: the scope says whose it is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from audit import reading, services
from audit.following import cursors
from audit.following.cursors import CursorMoved
from audit.models import Cursor
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.alone import alone
from kaireon.tenancy.context import current, transaction, without_transaction

BATCH = 500


@dataclass(kw_only=True)
class Following:
    """One follower of one log, for as long as it is alone with it. `until` is where the log ended when it began."""

    cursor: Cursor
    until: int

    @property
    def seq(self) -> int:
        """The last record whose work is done."""
        return self.cursor.seq

    def is_due(self, now: datetime) -> bool:
        return cursors.is_due(self.cursor, now)

    def moved(self, to: int, *, now: datetime) -> None:
        """Call it in the transaction that notes the work. Raises CursorMoved."""
        cursors.move(self.cursor, to=to, now=now)

    def failed(self, code: str, *, wait: timedelta | None = None, now: datetime) -> None:
        with transaction():
            cursors.put_off(self.cursor, code=code, wait=wait, now=now)

    def caught_up(self, *, now: datetime) -> None:
        with transaction():
            cursors.catch_up(self.cursor, now=now)


@contextmanager
def following(name: str, *, from_first: bool = False) -> Iterator[Following | None]:
    """Follow the active scope's log as `name`; None when somebody else does just now. Outside any transaction.

    It begins with what is kept of the log, or `from_first` with record 1, whether that is kept or not.

    The log is drained first, so everything that was committed before is in it.
    """
    tenant = current().tenant_id
    with alone(f"follow:{tenant}:{name}") as free:
        if not free:
            yield None
            return
        services.drain(tenant)
        with transaction():
            found = Following(cursor=cursors.opened(name, now=clock.now(), from_first=from_first), until=cursors.head())
        yield found


@without_transaction
def follow(
    name: str, *, work: Callable[[Sequence[Mapping[str, Any]]], object], budget: Budget, batch: int = BATCH
) -> int:
    """Do `work` with each batch of records (as audit.reading gives them), until there are no more or time is up.

    `work` is called in the transaction that moves the cursor: its own rows and the cursor go together. For work outside
    the database use `following`. Returns how many records were done; 0 too when somebody else is at it.
    """
    done = 0
    with following(name) as here:
        while here is not None and here.seq < here.until and not budget.spent:
            with transaction():
                last = min(here.seq + batch, here.until)
                records = list(reading.records(current().tenant_id, after=here.seq, until=last))
                work(records)
                here.moved(last, now=clock.now())
            done += len(records)
        if here is not None and here.seq >= here.until:
            here.caught_up(now=clock.now())
    return done


__all__ = ["CursorMoved", "Following", "follow", "following"]
