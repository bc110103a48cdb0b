"""What happens to a message: accepted in the caller's transaction, taken under a lease, settled either way."""

import logging
import random
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection
from django.db.models import F, Max
from kombu.exceptions import KombuError
from kombu.exceptions import OperationalError as BrokerUnavailable
from redis.exceptions import RedisError

from kaireon.outbox import dead_letters, destinations, payloads, shifts, topics
from kaireon.outbox.models import Message, MessageState, Payload, Source
from kaireon.outbox.sending import Refused
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

logger = logging.getLogger("kaireon.outbox")

QUEUE = "outbox"  # the name of its dead letters
TRIES = 3
LEASE = timedelta(seconds=settings.OUTBOX_LEASE_SECONDS)
# A message that takes its worker down again and again is poison.
MOST_LOSSES = 5
WORKER_LOST = "worker_lost"
PAYLOAD_GONE = "payload_gone"
# Delivered messages without a payload are only ids and times; the page of the admin shows them for so long.
KEPT = timedelta(days=30)

LONGEST_KEY = 128

_FRESH = "m.state = 'pending' AND m.due_at <= %(now)s AND m.losses = 0"
# The first of each of these keys: found without looking at all that waits behind them.
_BEHIND = """
m.state = 'pending' AND m.due_at <= %(now)s AND m.losses = 0 AND m.id = ANY(ARRAY(
    SELECT head.id FROM unnest(%(behind)s::text[]) AS freed(key) CROSS JOIN LATERAL (
        SELECT f.id FROM public.outbox_message f
         WHERE f.tenant_id = %(tenant)s AND f.ordering_key = freed.key AND f.state IN ('pending', 'sending')
         ORDER BY f.position LIMIT 1) AS head))
"""
# What lost a worker once goes alone: should it be poison, it takes nothing else with it.
_SUSPECT = """
m.state = 'pending' AND m.due_at <= %(now)s AND m.losses > 0
OR m.state = 'sending' AND m.lease_until <= %(now)s AND m.losses < %(most_losses)s
"""
_CLAIM = """
WITH taken AS (
    UPDATE public.outbox_message
       SET state = 'sending', lease_token = %(token)s, lease_until = %(until)s, attempts = attempts + 1,
           losses = losses + (state = 'sending')::int
     WHERE tenant_id = %(tenant)s AND id = ANY(ARRAY(
           SELECT m.id FROM public.outbox_message m
            WHERE m.tenant_id = %(tenant)s
              AND ({waiting})
              AND m.destination_id IN (SELECT d.id FROM public.outbox_destination d WHERE d.is_enabled)
              AND m.destination_id <> ALL(%(beside)s::uuid[])
              AND (m.ordering_key = '' OR NOT EXISTS (
                   SELECT FROM public.outbox_message e
                    WHERE e.tenant_id = m.tenant_id AND e.ordering_key = m.ordering_key AND e.position < m.position
                      AND e.state IN ('pending', 'sending')))
            ORDER BY m.due_at LIMIT %(most)s FOR UPDATE OF m SKIP LOCKED))
    RETURNING id, topic, destination_id, ordering_key, created_at, due_at, attempts, failures, losses, lease_token
)
SELECT t.id, t.topic, t.destination_id, t.ordering_key, t.created_at, t.attempts, t.failures, t.losses, t.lease_token,
       p.sealed
  FROM taken t LEFT JOIN public.outbox_payload p ON p.tenant_id = %(tenant)s AND p.id = t.id
 ORDER BY t.due_at, t.id
"""


class Claimed(NamedTuple):
    """A message under a lease, as its worker took it. `sealed` is its payload, None once that is erased."""

    pk: UUID
    topic: str
    destination_id: UUID
    ordering_key: str
    created_at: datetime
    attempts: int
    failures: int
    losses: int
    lease_token: UUID
    sealed: bytes | None


class OrderingKeyTooLong(ValueError):
    """An ordering key is an id of at most 128 characters. Of something longer, give its hash."""


_DONE = """
WITH delivered AS (
    UPDATE public.outbox_message
       SET state = 'done', lease_token = NULL, lease_until = NULL, error = '', finished_at = %(now)s
     WHERE tenant_id = %(tenant)s AND id = ANY(%(ids)s) AND state = 'sending' AND lease_token = %(token)s
    RETURNING id, topic
), said AS (
    UPDATE public.outbox_payload SET finished_at = %(now)s
     WHERE tenant_id = %(tenant)s AND id IN (SELECT id FROM delivered)
)
SELECT count(*), array_agg(id) FILTER (WHERE topic = ANY(%(watched)s)),
       array_agg(topic) FILTER (WHERE topic = ANY(%(watched)s))
  FROM delivered
"""


@requires_transaction
def publish(
    *,
    topic: str,
    destination: str,
    payload: Mapping[str, Any],
    now: datetime,
    ordering_key: str = "",
    subject_ref: UUID | None = None,
    ends_at: datetime | None = None,
) -> Message:
    """Write a message down in the caller's transaction: both happen or neither. Call `wake` after the commit.

    Messages of one `ordering_key` (an id, at most 128 characters) are delivered in the order in which their
    transactions published them; publishers of one key wait for each other. `subject_ref` is the customer it is about.
    From `ends_at` on what it says is of no use, and the nightly cleanup deletes it, delivered or not.

    Raises topics.UnknownTopic, topics.PayloadOffSchema, payloads.PayloadTooLarge, destinations.UnknownDestination,
    OrderingKeyTooLong.
    """
    known = topics.get(topic)
    known.validate(payload)
    if len(ordering_key) > LONGEST_KEY:
        raise OrderingKeyTooLong(f"ordering_key: {len(ordering_key)} characters; at most {LONGEST_KEY} are taken.")
    text = payloads.encoded(payload, known.name)
    message = Message.objects.create(
        topic=known.name,
        destination=destinations.find(destination),
        ordering_key=ordering_key,
        position=_next_position(ordering_key) if ordering_key else 0,
        request_id=context.current().request_id[:128],
        size=len(text),
        due_at=now,
        created_at=now,
    )
    payloads.store(ref=message.pk, text=text, subject_ref=subject_ref, ends_at=ends_at)
    return message


def wake(message: Message) -> bool:
    """Tell a worker, after the commit. Best effort: without a broker the sweep finds the message later."""
    return send_wake(str(message.tenant_id))


def send_wake(tenant_id: str) -> bool:
    """False when the broker is away. What many publish at once shares one wake-up."""
    from kaireon.outbox.tasks import CELERY_QUEUE, deliver

    if not shifts.call(tenant_id):
        return True
    try:
        deliver.apply_async(kwargs={"tenant_id": tenant_id}, queue=CELERY_QUEUE)
    except (BrokerUnavailable, KombuError, RedisError, OSError) as error:
        shifts.forget_call(tenant_id)
        logger.warning("wake_failed", extra={"queue": QUEUE, "error_type": type(error).__name__})
        return False
    return True


@requires_transaction
def claim(
    *,
    now: datetime,
    most: int,
    lease_token: UUID | None = None,
    lost_first: bool = False,
    fresh_only: bool = False,
    behind: Collection[str] = (),
    beside: Collection[UUID] = (),
) -> tuple[UUID, list[Claimed]]:
    """Take a lease on what is due, of each ordering key the first only; gives the lease and its messages.

    When nothing else is due, one message whose worker was lost; with `lost_first` that one when there is any, with
    `fresh_only` never. With `behind` of these ordering keys only, and nothing that was lost. Nothing of the
    destinations `beside`.
    """
    token = lease_token or uuid4()
    given: dict[str, Any] = {
        "token": token,
        "until": now + LEASE,
        "now": now,
        "tenant": context.tenant_id(),
        "most_losses": MOST_LOSSES,
        "beside": list(beside),
        "behind": list(behind),
    }
    found: list[Claimed] = []
    with connection.cursor() as cursor:
        kinds = [(_BEHIND if behind else _FRESH, most)]
        if not (fresh_only or behind):
            kinds.append((_SUSPECT, 1))
        for waiting, limit in reversed(kinds) if lost_first else kinds:
            if not found:
                cursor.execute(_CLAIM.format(waiting=waiting), {**given, "most": limit})
                found = [Claimed._make(row) for row in cursor.fetchall()]
    return token, found


@requires_transaction
def done(*, lease_token: UUID, ids: Collection[UUID], now: datetime) -> int:
    """Mark delivered what this lease still holds; how many."""
    with connection.cursor() as cursor:
        given: dict[str, Any] = {"tenant": context.tenant_id(), "token": lease_token, "ids": list(ids), "now": now}
        cursor.execute(_DONE, {**given, "watched": topics.watched()})
        count, watched, names = cursor.fetchone()
    for message_id, topic in zip(watched or (), names or (), strict=True):
        topics.tell(topic, message_id, delivered=True, now=now)
    return int(count)


@requires_transaction
def release(*, lease_token: UUID, ids: Collection[UUID], due_at: datetime | None = None) -> int:
    """Give back what was taken and not tried. Without `due_at` it keeps its place among the others."""
    return (
        Message.objects.held_by(lease_token)
        .filter(pk__in=ids)
        .update(
            state=MessageState.PENDING,
            lease_token=None,
            lease_until=None,
            due_at=due_at or F("due_at"),
            attempts=F("attempts") - 1,
        )
    )


@requires_transaction
def failed(*, message: Claimed, refusal: Refused, now: datetime) -> bool:
    """Note a failure: pending again after a growing pause, or a dead letter. True for the latter; nothing without
    the lease. Where a part was delivered, only the rest is sent from now on.
    """
    held = Message.objects.held_by(message.lease_token).filter(pk=message.pk)
    # The message is locked before its payload, as everywhere: the reaper may be at it too.
    if refusal.rest is not None and held.select_for_update().first() is not None:
        payloads.replace(ref=message.pk, payload=refusal.rest)
    if not refusal.permanent and message.failures + 1 < TRIES:
        wait = max(retry_delay(message.failures + 1), refusal.wait or timedelta(0))
        held.update(
            state=MessageState.PENDING,
            lease_token=None,
            lease_until=None,
            failures=F("failures") + 1,
            error=refusal.code,
            due_at=now + wait,
        )
        return False
    return _bury(message, code=refusal.code, permanent=refusal.permanent, now=now)


@requires_transaction
def reap(*, now: datetime, most: int = 1000) -> tuple[int, int]:
    """What workers left behind: back to pending, or a dead letter when that happened too often. Gives both counts."""
    returned = buried = 0
    for message in Message.objects.stuck(now).select_for_update(skip_locked=True).order_by("lease_until")[:most]:
        if message.losses + 1 >= MOST_LOSSES:
            buried += _bury(message, code=WORKER_LOST, permanent=False, now=now)
        else:
            returned += (
                Message.objects.held_by(message.lease_token)
                .filter(pk=message.pk)
                .update(
                    state=MessageState.PENDING, lease_token=None, lease_until=None, losses=F("losses") + 1, due_at=now
                )
            )
    return returned, buried


@requires_transaction
def replay(message_id: UUID, now: datetime) -> bool:
    """Put a dead message back on its way, with all its tries. False when it or its payload is gone."""
    if not Payload.objects.filter(pk=message_id).update(finished_at=None):
        return False
    return bool(
        Message.objects.filter(pk=message_id, state=MessageState.DEAD).update(
            state=MessageState.PENDING, failures=0, losses=0, due_at=now, finished_at=None
        )
    )


@requires_transaction
def forget(*, now: datetime, most: int = 10_000) -> int:
    """Delete delivered and dead messages whose payload is gone and that nobody looks at any more; how many."""
    over = Message.objects.filter(state__in=[MessageState.DONE, MessageState.DEAD], finished_at__lt=now - KEPT)
    gone = list(over.exclude(pk__in=Payload.objects.values("pk")).values_list("pk", flat=True)[:most])
    return Message.objects.filter(pk__in=gone).delete()[0]


def retry_delay(failures: int) -> timedelta:
    """RETRY_SECONDS, then three times that and so on; times 0.5 to 1.5, so that what failed together comes apart."""
    return timedelta(seconds=settings.RETRY_SECONDS * 3 ** (failures - 1) * random.uniform(0.5, 1.5))  # noqa: S311


def _bury(message: Message | Claimed, *, code: str, permanent: bool, now: datetime) -> bool:
    held = Message.objects.held_by(message.lease_token).filter(pk=message.pk)
    if not held.update(
        state=MessageState.DEAD,
        lease_token=None,
        lease_until=None,
        failures=F("failures") + 1,
        error=code[:64],
        finished_at=now,
    ):
        return False
    topics.tell(message.topic, message.pk, delivered=False, error=code[:64], now=now)
    # Without its payload there is nothing to replay or to archive.
    if Payload.objects.filter(pk=message.pk).update(finished_at=now):
        dead_letters.add(
            source=Source.MESSAGE,
            source_ref=message.pk,
            queue=QUEUE,
            topic=message.topic,
            error_type=code,
            permanent=permanent,
            attempts=message.attempts,
            now=now,
        )
        logger.error("moved_to_dlq", extra={"queue": QUEUE, "topic": message.topic, "error_type": code[:64]})
    return True


def _next_position(ordering_key: str) -> int:
    """Publishers of one key come one after the other, until the end of their transactions."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"outbox:{context.tenant_id()}:{ordering_key}"]
        )
    last = Message.objects.filter(ordering_key=ordering_key).aggregate(last=Max("position"))["last"]
    return (last or 0) + 1


dead_letters.replays(Source.MESSAGE, replay)
