"""A follower at work in the active scope's log: alone, behind what is committed, its cursor moved after the work.

At least once and in order: a crash between the work and the moving of the cursor repeats that work, so whoever receives
it must know a second copy by its id. Nothing here reads another tenant's log: the scope says whose it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from audit import services
from audit.following import cursors
from audit.following.cursors import CursorMoved
from audit.models import Cursor
from kaireon.lib import clock
from kaireon.tenancy.alone import alone
from kaireon.tenancy.context import current, transaction


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
def following(name: str) -> Iterator[Following | None]:
    """Follow the active scope's log as `name`; None when somebody else does just now. Outside any transaction.

    The log is drained first, so everything that was committed before is in it.
    """
    tenant = current().tenant_id
    with alone(f"follow:{tenant}:{name}") as free:
        if not free:
            yield None
            return
        services.drain(tenant)
        with transaction():
            found = Following(cursor=cursors.opened(name, now=clock.now()), until=cursors.head())
        yield found


__all__ = ["CursorMoved", "Following", "following"]
