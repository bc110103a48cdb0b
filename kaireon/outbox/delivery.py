"""Sending what is due: claim a batch, send each outside any transaction, settle.

At least once: a crash between the sending and the settling sends again, with the same id.
"""

import logging
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from kaireon.api.breakers import BreakerOpen
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.lib.sealing import CannotOpen
from kaireon.outbox import destinations, payloads, services
from kaireon.outbox.destinations import Endpoint
from kaireon.outbox.models import Destination, Message, Payload
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
    while not budget.spent and (most is None or batches < most):
        batch = _claim(lost_first=batches % LOST_EVERY == 0)
        if not batch.messages:
            break
        batches += 1
        _deliver(batch, total, budget)
    return total


def _claim(*, lost_first: bool) -> _Batch:
    with transaction():
        token, messages = services.claim(now=clock.now(), most=BATCH, lost_first=lost_first)
        found = Payload.objects.in_bulk([m.pk for m in messages]) if messages else {}
        endpoints = {pk: _endpoint(pk) for pk in {m.destination_id for m in messages}}
    return _Batch(token=token, messages=messages, payloads=found, endpoints=endpoints)


def _endpoint(destination_id: UUID) -> Endpoint | Refused:
    try:
        return destinations.endpoint(destination_id)
    except Destination.DoesNotExist:
        return Refused("destination_gone", permanent=True)
    except CannotOpen as e:
        logger.error("destination_sealed", extra={"error_type": type(e).__name__})  # noqa: TRY400  says all there is
        return Refused(type(e).__name__)


def _deliver(batch: _Batch, total: Delivered, budget: Budget) -> None:
    left: list[UUID] = []
    waiting: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for message in batch.messages:
        if message.destination_id in batch.alone:
            waiting[message.destination_id].append(message.pk)
            continue
        stuck = batch.in_a_row[message.destination_id] >= MOST_IN_A_ROW
        if stuck or budget.spent or not batch.time_for_one():
            left.append(message.pk)
            continue
        try:
            _send(batch, message)
        except BreakerOpen as open_:
            # Nothing was sent, so it is no failure of this message.
            batch.alone[message.destination_id] = open_.seconds
            waiting[message.destination_id].append(message.pk)
            logger.info("delivery_waits", extra={"topic": message.topic, "dependency": open_.dependency})
            continue
        except Refused as refusal:
            if not refusal.permanent:
                batch.in_a_row[message.destination_id] += 1
            with transaction():
                dead = services.failed(message=message, refusal=refusal, now=clock.now())
            total.dead += dead
            total.failed += not dead
            logger.warning(
                "delivery_failed", extra={"topic": message.topic, "error_type": refusal.code, "dead": bool(dead)}
            )
            continue
        batch.in_a_row[message.destination_id] = 0
        batch.sent.append(message.pk)
        if time.monotonic() - batch.settled > SETTLE_SECONDS:
            _settle(batch, total)
    _settle(batch, total)
    _give_back(batch, left, PAUSE, total)
    for destination, ids in waiting.items():
        _give_back(batch, ids, timedelta(seconds=batch.alone[destination]), total)


def _give_back(batch: _Batch, ids: list[UUID], pause: timedelta, total: Delivered) -> None:
    if ids:
        with transaction():
            total.released += services.release(lease_token=batch.token, ids=ids, due_at=clock.now() + pause)


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
