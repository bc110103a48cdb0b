"""Sending what is due: claim a batch, send each outside any transaction, settle.

At least once: a crash between the sending and the settling sends again, with the same id.
"""

import logging
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from queue import SimpleQueue
from threading import Lock
from uuid import UUID

from kaireon.api.breakers import BreakerOpen
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.lib.sealing import CannotOpen
from kaireon.outbox import destinations, payloads, services
from kaireon.outbox.destinations import Endpoint
from kaireon.outbox.models import Destination, Kind, Message, Payload
from kaireon.outbox.sending import SEND_SECONDS, Outgoing, Refused
from kaireon.tenancy import context
from kaireon.tenancy.context import transaction

logger = logging.getLogger("kaireon.outbox")

BATCH = 100
# Of so many batches one is a message whose worker was lost, however much else is due; the first one of each run is.
LOST_EVERY = 10
# What was sent is settled at least so often; a crash repeats at most so much.
SETTLE_SECONDS = 0.5
# After so many failures in a row a destination's other messages wait for the next batch instead of timing out too.
MOST_IN_A_ROW = 3
# Deliveries under way at once: while one receiver thinks, the next is sent to. Of a webhook that took one, as many as
# may fail in a row; of other kinds one after the other: who reads a stream finds first what came first.
AT_ONCE = 8
PAUSE = timedelta(seconds=5)


@dataclass(kw_only=True)
class Delivered:
    """Counts of one run: delivered, to be tried again, dead, given back."""

    sent: int = 0
    failed: int = 0
    dead: int = 0
    released: int = 0


@dataclass(kw_only=True)
class _Batch:
    """Messages under one lease, opened in the transaction that claimed them."""

    token: UUID
    messages: list[Message]
    payloads: dict[UUID, Payload]
    endpoints: dict[UUID, Endpoint | Refused]
    started: float = field(default_factory=time.monotonic)
    settled: float = field(default_factory=time.monotonic)
    sent: list[UUID] = field(default_factory=list)
    in_a_row: Counter[UUID] = field(default_factory=Counter)
    # Destinations that took one.
    well: set[UUID] = field(default_factory=set)
    # Destinations whose breaker is open, and for how many seconds.
    alone: dict[UUID, float] = field(default_factory=dict)

    def time_for_one(self) -> bool:
        """Whether the lease outlives one more delivery, however slow."""
        left = services.LEASE.total_seconds() - (time.monotonic() - self.started)
        return left > SEND_SECONDS + 5


def deliver_due(*, budget: Budget, most: int | None = None) -> Delivered:
    """Deliver what is due in the active tenant until nothing is, the budget is spent or `most` batches are done.

    Runs outside any transaction. What a destination refuses becomes the message's state.
    """
    total = Delivered()
    batches = 0
    ahead: _Batch | None = None
    while not budget.spent and (most is None or batches < most):
        batch = ahead or _claim(lost_first=batches % LOST_EVERY == 0)
        if not batch.messages:
            break
        batches += 1
        # While a full batch is sent the next one is claimed, so that no receiver waits for that. One message whose
        # worker was lost is never claimed beside others, which might take it along again.
        is_more_likely = len(batch.messages) == BATCH and batches % LOST_EVERY and batches != most
        ahead = _Round(batch, total, budget).run(_claim_more if is_more_likely else None)
    if ahead is not None:
        _give_back(ahead, [message.pk for message in ahead.messages], timedelta(0), total)
    return total


def _claim(*, lost_first: bool = False, fresh_only: bool = False) -> _Batch:
    with transaction():
        token, messages = services.claim(now=clock.now(), most=BATCH, lost_first=lost_first, fresh_only=fresh_only)
        found = Payload.objects.in_bulk([m.pk for m in messages]) if messages else {}
        endpoints = {pk: _endpoint(pk) for pk in {m.destination_id for m in messages}}
    return _Batch(token=token, messages=messages, payloads=found, endpoints=endpoints)


def _claim_more() -> _Batch | None:
    """None: nothing is due but what this batch must deliver first, or what was lost once."""
    batch = _claim(fresh_only=True)
    return batch if batch.messages else None


def _endpoint(destination_id: UUID) -> Endpoint | Refused:
    try:
        return destinations.endpoint(destination_id)
    except Destination.DoesNotExist:
        return Refused("destination_gone", permanent=True)
    except CannotOpen as e:
        logger.error("destination_sealed", extra={"error_type": type(e).__name__})  # noqa: TRY400  says all there is
        return Refused(type(e).__name__)


class _Round:
    """The deliveries of one batch: several under way at a time, each settled as it comes back.

    Threads send, one message after the other, and choose the next by themselves; this one hears of each and is alone
    with the database.
    """

    def __init__(self, batch: _Batch, total: Delivered, budget: Budget) -> None:
        self._batch = batch
        self._total = total
        self._budget = budget
        # By destination, in the order in which they are due.
        self._queues: dict[UUID, deque[Message]] = {}
        for message in batch.messages:
            self._queues.setdefault(message.destination_id, deque()).append(message)
        # For all that senders share: the queues, what is under way, and what the batch knows of destinations.
        self._lock = Lock()
        self._under_way: Counter[UUID] = Counter()
        self._started = 0
        self._over = False
        self._outcomes: SimpleQueue[tuple[Message, Exception | None]] = SimpleQueue()
        self._left: list[UUID] = []
        self._waiting: defaultdict[UUID, list[UUID]] = defaultdict(list)

    def run(self, meanwhile: Callable[[], _Batch | None] | None = None) -> _Batch | None:
        """Send all of them; gives what `meanwhile` does, which is called when the first are on their way."""
        heard, found = 0, None
        try:
            with self._lock:
                self._start()
            if meanwhile is not None:
                found = meanwhile()
            # What follows a message is started before its outcome is heard of.
            while heard < self._started:
                self._end(*self._outcomes.get())
                heard += 1
                if time.monotonic() - self._batch.settled > SETTLE_SECONDS:
                    _settle(self._batch, self._total)
        finally:
            self._over = True
        _settle(self._batch, self._total)
        _give_back(self._batch, self._left, PAUSE, self._total)
        for destination, ids in self._waiting.items():
            _give_back(self._batch, ids, timedelta(seconds=self._batch.alone[destination]), self._total)
        return found

    def _start(self) -> None:
        """As many senders more as there is a message for at this moment. Needs the lock."""
        while (message := self._sendable()) is not None:
            _senders().submit(copy_context().run, self._send_on, message)

    def _sendable(self) -> Message | None:
        """The next one to send, counted as under way; none when others must come back first. Needs the lock."""
        batch = self._batch
        while not self._over and (message := self._next()) is not None:
            destination = message.destination_id
            if destination in batch.alone:
                self._waiting[destination].append(message.pk)
            elif batch.in_a_row[destination] >= MOST_IN_A_ROW or self._budget.spent or not batch.time_for_one():
                self._left.append(message.pk)
            else:
                self._under_way[destination] += 1
                self._started += 1
                return message
        return None

    def _next(self) -> Message | None:
        """Taken out of the queue: the next one of a destination that takes one more at this moment."""
        if self._under_way.total() < AT_ONCE:
            for destination, queue in self._queues.items():
                if self._under_way[destination] < self._abreast(destination):
                    message = queue.popleft()
                    # Behind the others, so that each has its turn; gone when it was the last.
                    del self._queues[destination]
                    if queue:
                        self._queues[destination] = queue
                    return message
        return None

    def _abreast(self, destination: UUID) -> int:
        """How many of this destination's may be under way at once."""
        endpoint = self._batch.endpoints[destination]
        if isinstance(endpoint, Refused) or endpoint.kind != Kind.WEBHOOK or destination not in self._batch.well:
            return 1
        return max(1, MOST_IN_A_ROW - self._batch.in_a_row[destination])

    def _send_on(self, message: Message | None) -> None:
        """This message and then others, in a thread that has no connection to the database and needs none.

        Who waits always hears.
        """
        while message is not None:
            following, error = None, self._tried(message)
            try:
                with self._lock:
                    self._came_back(message.destination_id, error)
                    following = self._sendable()
                    # A destination that took its first one takes more at once.
                    self._start()
            except Exception as broken:  # noqa: BLE001  raised where it is waited for
                error = broken
            self._outcomes.put((message, error))
            message = following

    def _tried(self, message: Message) -> Exception | None:
        try:
            _send(self._batch, message)
        except Exception as error:  # noqa: BLE001  raised where it is waited for
            return error
        return None

    def _came_back(self, destination: UUID, error: Exception | None) -> None:
        """What the next choice depends on. Needs the lock."""
        batch = self._batch
        self._under_way[destination] -= 1
        if isinstance(error, BreakerOpen):
            batch.alone[destination] = error.seconds
        elif isinstance(error, Refused):
            batch.in_a_row[destination] += not error.permanent
        elif error is None:
            batch.in_a_row[destination] = 0
            batch.well.add(destination)

    def _end(self, message: Message, error: Exception | None) -> None:
        if isinstance(error, BreakerOpen):
            # Nothing was sent, so it is no failure of this message.
            with self._lock:
                self._waiting[message.destination_id].append(message.pk)
            logger.info("delivery_waits", extra={"topic": message.topic, "dependency": error.dependency})
        elif isinstance(error, Refused):
            self._failed(message, error)
        elif error is not None:
            raise error
        else:
            self._batch.sent.append(message.pk)

    def _failed(self, message: Message, refusal: Refused) -> None:
        with transaction():
            dead = services.failed(message=message, refusal=refusal, now=clock.now())
        self._total.dead += dead
        self._total.failed += not dead
        logger.warning(
            "delivery_failed", extra={"topic": message.topic, "error_type": refusal.code, "dead": bool(dead)}
        )


@cache
def _senders() -> ThreadPoolExecutor:
    """Threads of this process; made by the first delivery, after any fork."""
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="outbox")


def _send(batch: _Batch, message: Message) -> None:
    """Raises Refused, BreakerOpen."""
    endpoint = batch.endpoints[message.destination_id]
    if isinstance(endpoint, Refused):
        raise Refused(endpoint.code, permanent=endpoint.permanent)
    row = batch.payloads.get(message.pk)
    if row is None:
        # Erased since it was published: there is nothing left to say.
        raise Refused(services.PAYLOAD_GONE, permanent=True)
    try:
        payload = payloads.opened(row)
    except CannotOpen as e:
        raise Refused(type(e).__name__, permanent=True) from e
    outgoing = Outgoing(
        id=message.pk,
        tenant_id=context.tenant_id(),
        topic=message.topic,
        created_at=message.created_at,
        payload=payload,
    )
    try:
        endpoint.send(outgoing)
    except (Refused, BreakerOpen):
        raise
    except Exception as e:
        # A defect of ours in one kind of destination must not stop the others; it is logged and tried again.
        logger.exception("delivery_broken", extra={"topic": message.topic, "kind": endpoint.kind})
        raise Refused(type(e).__name__) from e


def _settle(batch: _Batch, total: Delivered) -> None:
    if batch.sent:
        with transaction():
            total.sent += services.done(lease_token=batch.token, ids=batch.sent, now=clock.now())
        batch.sent = []
    batch.settled = time.monotonic()


def _give_back(batch: _Batch, ids: list[UUID], pause: timedelta, total: Delivered) -> None:
    if ids:
        with transaction():
            total.released += services.release(lease_token=batch.token, ids=ids, due_at=clock.now() + pause)
