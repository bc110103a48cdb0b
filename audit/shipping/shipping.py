"""Shipping a log: from a durable cursor, in order, never past what the destination did not confirm.

What is sent and not yet confirmed is sent again after a crash, under the same ids. Several batches go ahead, also of
their acknowledgements where there are some; then the cursor moves behind them. A batch never waits to become full: what
is there is shipped, and what comes later is the next run's.

Records are composed many together (composing.py); those that cannot be, or were not all taken, go one by one.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import takewhile

from audit.following import cursors
from audit.following.follower import CursorMoved, Following, following
from audit.models import ShippingReceipt, Unshippable
from audit.pruning import beginning
from audit.shipping import events, receipts
from audit.shipping.client import Away, Client
from audit.shipping.composing import Ahead, Parcel
from audit.shipping.destinations import Target
from audit.shipping.events import Event
from audit.shipping.sending import Sender, Sent
from kaireon.api.breakers import BreakerOpen
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import current, transaction, without_transaction

logger = logging.getLogger("kaireon.audit.shipping")

BATCH = 500
# So many batches are sent, for so many seconds, before they are confirmed together: one commit and one receipt. A crash
# repeats no more than that.
AHEAD = 32
AHEAD_SECONDS = 2.0
PRUNED = "pruned"


@dataclass(kw_only=True)
class Shipped:
    """What one run came to: records read and confirmed, and why it stopped, if it did. `is_waiting`: nothing was
    tried, because somebody else is at it or the pause after a failure is not over."""

    scanned: int = 0
    shipped: int = 0
    refused: int = 0
    error: str = ""
    is_waiting: bool = False


@dataclass(kw_only=True)
class _Batch:
    """Records from `first` to `last`, as a parcel or one by one; of a parcel that was not taken whole both."""

    first: int
    last: int
    receipts: list[ShippingReceipt]
    parcel: Parcel | None = None
    events: list[Event] = field(default_factory=list)
    sent: Sent = field(default_factory=Sent)

    @property
    def first_ones(self) -> list[Event]:
        return [receipts.event(row) for row in self.receipts]


@dataclass(kw_only=True)
class _Done:
    """What is settled of batches that were sent: the last record, the leaf hashes of those that the destination has,
    and what it refused, by number."""

    last: int = 0
    leaves: list[str] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    receipts: list[ShippingReceipt] = field(default_factory=list)
    codes: dict[str, str] = field(default_factory=dict)

    def add(self, batch: _Batch) -> None:
        sent = batch.sent
        self.codes |= sent.refused
        self.receipts += [row for row in batch.receipts if sent.settled(receipts.event(row))]
        if batch.parcel is not None and sent.is_whole:
            self.leaves.append(batch.parcel.leaves)
            self.last = batch.last
            return
        for event in takewhile(sent.settled, batch.events):
            self.last = event.seq
            if event.id in sent.refused:
                self.refused[event.seq] = sent.refused[event.id]
            else:
                self.leaves.append(event.hash)


@without_transaction
def ship(target: Target, *, budget: Budget) -> Shipped:
    """Ship what the active scope's log has for this destination, until it has it all or time is up.

    Opens its own transactions. What goes wrong is noted at the cursor and in `error`, and not raised.
    """
    # What was pruned before the destination was first used is told like what is pruned before its cursor came there.
    with following(target.follower) as here:
        if here is None:
            return Shipped(is_waiting=True)
        if not here.is_due(clock.now()):
            return Shipped(error=here.cursor.error, is_waiting=True)
        with Client(allow_private=target.allow_private) as client:
            run = _Run(target, here, Sender(target, client, budget=budget), budget)
            try:
                run.go()
            except (Away, BreakerOpen) as failure:
                run.stop(failure)
            except CursorMoved:
                run.total.error = "cursor_moved"
            finally:
                run.close()
            return run.total


class _Run:
    def __init__(self, target: Target, here: Following, sender: Sender, budget: Budget) -> None:
        self.total = Shipped()
        self._target = target
        self._here = here
        self._sender = sender
        self._budget = budget
        self._read_to = here.seq
        self._tenant = current().tenant_id
        self._composed = Ahead(sender.format, target, until=here.until, most=BATCH)
        with transaction():
            self._receipts = deque(receipts.waiting(target.key))

    def go(self) -> None:
        """Raises Away, BreakerOpen, CursorMoved."""
        while True:
            ahead = self._send_ahead()
            if not ahead:
                break
            self._confirm(ahead)
        if self._here.seq >= self._here.until:
            self._here.caught_up(now=clock.now())

    def stop(self, failure: Away | BreakerOpen) -> None:
        """Note why, and when to try again."""
        code = failure.code if isinstance(failure, Away) else "left_alone"
        wait = failure.wait if isinstance(failure, Away) else timedelta(seconds=failure.seconds)
        self.total.error = code
        logger.warning("siem_not_shipped", extra={**self._named, "reason": code})
        try:
            self._here.failed(code, wait=wait, now=clock.now())
        except CursorMoved:
            self.total.error = "cursor_moved"

    def close(self) -> None:
        self._composed.close()

    @property
    def _named(self) -> dict[str, str]:
        return {"tenant_id": self._tenant, "destination": self._target.name}

    def _send_ahead(self) -> list[_Batch]:
        """Send some batches, one behind the other; fewer when one is not taken to its end."""
        ahead: list[_Batch] = []
        began = time.monotonic()
        with transaction():
            if not cursors.tenant_is_active():
                return ahead
        while len(ahead) < AHEAD and time.monotonic() - began < AHEAD_SECONDS:
            batch = self._next(may_be_receipts=not ahead)
            if batch is None:
                break
            self._send(batch)
            ahead.append(batch)
            if batch.sent.failure is not None:
                break
            # What is sent need not stay in memory; what is left tells it from others.
            if batch.parcel is not None:
                batch.parcel.parts = []
            for event in batch.events:
                event.text, event.body = b"", None
        return ahead

    def _send(self, batch: _Batch) -> None:
        if batch.parcel is None:
            batch.sent = self._sender.send([*batch.first_ones, *batch.events])
            return

        def opened() -> list[Event]:
            after = batch.first - 1
            while after < batch.last:
                with transaction():
                    found = self._records(after=after, until=batch.last)
                if not events.contiguous(found, after) or not found:
                    raise Away("records_missing")
                batch.events += found
                after = found[-1].seq
            return batch.events

        batch.sent = self._sender.send_parcel(batch.first_ones, batch.parcel, opened=opened)

    def _next(self, *, may_be_receipts: bool) -> _Batch | None:
        """What comes behind what was sent already; None when there is nothing, or no time. Raises Away.

        Receipts go along with records; alone only at the end.
        """
        if self._budget.spent:
            return None
        parcel, found = self._composed.take(self._read_to), list[Event]()
        if parcel is None and self._read_to < self._here.until:
            with transaction():
                found = self._sender.fitting(self._read())
        if parcel is None and not found and not (self._receipts and may_be_receipts):
            return None
        first_ones = [self._receipts.popleft() for _ in range(min(len(self._receipts), receipts.TOGETHER))]
        count = parcel.count if parcel is not None else len(found)
        batch = _Batch(
            first=self._read_to + 1, last=self._read_to + count, receipts=first_ones, parcel=parcel, events=found
        )
        self.total.scanned += count
        self._read_to = batch.last
        return batch

    def _records(self, *, after: int, until: int) -> list[Event]:
        as_text = self._sender.format.as_text
        return events.read(self._tenant, after=after, until=until, most=BATCH, as_text=as_text)

    def _read(self) -> list[Event]:
        """Records one by one, up to those that are composed."""

        def read() -> list[Event]:
            until = max(self._composed.until(), self._read_to + 1)
            return self._records(after=self._read_to, until=until)

        found = read()
        if found and events.contiguous(found, self._read_to):
            return found
        if self._read_to != self._here.seq:
            # Once what is under way is confirmed.
            return []
        begins = beginning.kept_from(self._tenant)
        if begins.fault is not None or begins.seq <= self._read_to + 1:
            logger.error("siem_records_missing", extra={**self._named, "seq": self._read_to + 1})
            raise Away("records_missing")
        # Retention was there before shipping: said, and gone on behind it.
        self._note(self._read_to + 1, begins.seq - 1, PRUNED)
        self._here.moved(begins.seq - 1, now=clock.now())
        self._read_to = begins.seq - 1
        return read()

    def _confirm(self, ahead: Sequence[_Batch]) -> None:
        """Move the cursor behind what the destination has of them. Raises Away and BreakerOpen for the rest."""
        done = _Done()
        failure: Away | BreakerOpen | None = None
        for batch in ahead:
            try:
                if batch.sent.acks:
                    self._sender.wait_for(batch.sent.acks)
            except (Away, BreakerOpen) as unsure:
                failure = unsure
                break
            done.add(batch)
            failure = batch.sent.failure
        self._commit(done)
        if failure is not None:
            raise failure

    def _commit(self, done: _Done) -> None:
        if not done.last and not done.receipts:
            return
        now = clock.now()
        leaves = "".join(done.leaves)
        made: list[ShippingReceipt] = []
        with transaction():
            if done.receipts:
                receipts.settle(done.receipts, refused=done.codes, now=now)
            for seq, code in done.refused.items():
                self._note(seq, seq, code)
            if leaves:
                made = receipts.write_some(
                    destination=self._target.key,
                    # It is where the cursor stands.
                    first=self._here.seq + 1,
                    last=done.last,
                    leaves=leaves,
                    refused=list(done.refused),
                    now=now,
                )
            if done.last:
                self._here.moved(done.last, now=now)
        self.total.shipped += len(leaves) // receipts.HASH_DIGITS
        self.total.refused += len(done.refused)
        self._receipts.extend(made)

    def _note(self, first: int, last: int, code: str) -> None:
        """In the transaction that moves the cursor past them."""
        Unshippable.objects.create(
            tenant_id=self._tenant,
            destination=self._target.key,
            first_seq=first,
            last_seq=last,
            code=code,
            noted_at=clock.now(),
        )
        logger.error("siem_record_refused", extra={**self._named, "seq": first, "reason": code})
