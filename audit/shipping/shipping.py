"""Shipping a log: from a durable cursor, in order, never past what the destination did not confirm.

What is sent and not yet confirmed is sent again after a crash, under the same ids. Several batches go ahead, also of
their acknowledgements where there are some; then the cursor moves behind them. A batch never waits to become full: what
is there is shipped, and what comes later is the next run's.
"""

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import takewhile

from audit.following import cursors
from audit.following.follower import CursorMoved, Following, following
from audit.models import ShippingReceipt, Unshippable
from audit.pruning import beginning
from audit.shipping import events, receipts
from audit.shipping.client import Away, Client
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
AHEAD = 16
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
    events: list[Event]
    receipts: list[ShippingReceipt]
    first: int
    sent: Sent = field(default_factory=Sent)

    @property
    def last(self) -> int:
        return self.first + len(self.events) - 1

    @property
    def all(self) -> list[Event]:
        return [*(receipts.event(row) for row in self.receipts), *self.events]


@without_transaction
def ship(target: Target, *, budget: Budget) -> Shipped:
    """Ship what the active scope's log has for this destination, until it has it all or time is up.

    Opens its own transactions. What goes wrong is noted at the cursor and in `error`, and not raised.
    """
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

    @property
    def _named(self) -> dict[str, str]:
        return {"tenant_id": self._tenant, "destination": self._target.name}

    def _send_ahead(self) -> list[_Batch]:
        """Send some batches, one behind the other; fewer when one is not taken whole."""
        ahead: list[_Batch] = []
        began = time.monotonic()
        while len(ahead) < AHEAD and time.monotonic() - began < AHEAD_SECONDS:
            batch = self._next(may_be_receipts=not ahead)
            if batch is None:
                break
            batch.sent = self._sender.send(batch.all)
            ahead.append(batch)
            if batch.sent.failure is not None:
                break
            for event in batch.events:
                # What is sent need not stay in memory; what is left tells it from others.
                event.text, event.body = b"", None
        return ahead

    def _next(self, *, may_be_receipts: bool) -> _Batch | None:
        """What comes behind what was sent already; None when there is nothing, or no time. Raises Away.

        Receipts go along with records; alone only at the end.
        """
        if self._budget.spent:
            return None
        found: list[Event] = []
        with transaction():
            if not cursors.tenant_is_active():
                return None
            if self._read_to < self._here.until:
                found = self._read()
        if not found and not (self._receipts and may_be_receipts):
            return None
        first_ones = [self._receipts.popleft() for _ in range(min(len(self._receipts), receipts.TOGETHER))]
        batch = _Batch(events=self._sender.fitting(found), receipts=first_ones, first=self._read_to + 1)
        self.total.scanned += len(batch.events)
        self._read_to = batch.last
        return batch

    def _read(self) -> list[Event]:
        def read() -> list[Event]:
            return events.read(
                self._tenant,
                after=self._read_to,
                until=self._here.until,
                most=BATCH,
                as_text=self._sender.format.as_text,
            )

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
        # Retention was faster than shipping: said, and gone on behind it.
        self._note(self._read_to + 1, begins.seq - 1, PRUNED)
        self._here.moved(begins.seq - 1, now=clock.now())
        self._read_to = begins.seq - 1
        return read()

    def _confirm(self, ahead: Sequence[_Batch]) -> None:
        """Move the cursor behind what the destination has of them. Raises Away and BreakerOpen for the rest."""
        done: list[Event] = []
        settled: list[ShippingReceipt] = []
        refused: dict[str, str] = {}
        failure: Away | BreakerOpen | None = None
        for batch in ahead:
            try:
                if batch.sent.acks:
                    self._sender.wait_for(batch.sent.acks)
            except (Away, BreakerOpen) as unsure:
                failure = unsure
                break
            refused |= batch.sent.refused
            done += takewhile(batch.sent.settled, batch.events)
            settled += [row for row in batch.receipts if batch.sent.settled(receipts.event(row))]
            failure = batch.sent.failure
        self._commit(done, settled, refused)
        if failure is not None:
            raise failure

    def _commit(self, done: Sequence[Event], settled: Sequence[ShippingReceipt], codes: Mapping[str, str]) -> None:
        if not done and not settled:
            return
        now = clock.now()
        refused = [event for event in done if event.id in codes]
        confirmed = [event for event in done if event.id not in codes]
        made = None
        with transaction():
            if settled:
                receipts.settle(settled, refused=codes, now=now)
            for event in refused:
                self._note(event.seq, event.seq, codes[event.id])
            if confirmed:
                made = receipts.write(
                    destination=self._target.key,
                    first=done[0].seq,
                    last=done[-1].seq,
                    confirmed=confirmed,
                    refused=[event.seq for event in refused],
                    now=now,
                )
            if done:
                self._here.moved(done[-1].seq, now=now)
        self.total.shipped += len(confirmed)
        self.total.refused += len(refused)
        if made is not None:
            self._receipts.append(made)

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
