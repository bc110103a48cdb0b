"""Many jobs at once share their wake-ups: a message brings a worker, who takes along what else is due in the queue.

A message costs more than a small job. So no more of them wait than there may be workers to come for them; each that
comes is followed by whatever is due in its queue, for a moment, and leaves another behind when there is more. That is
for types with the usual time limit, since a message has one limit for all that it brings about; every job of another
type has a message of its own. Should the count be wrong, the sweep finds what nobody came for.
"""

import logging
import random
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import redis
from django.db import connection

from kaireon.api import cache
from kaireon.jobs import pauses, registry
from kaireon.lib import clock

logger = logging.getLogger("kaireon.jobs")

# So many messages wait for a queue's workers before the next job goes without one.
MOST_WAITING = 64
# What is taken along begins within so many seconds of the message's own beginning.
SECONDS = 1
# Asked for at once. At random of these, so that several workers seldom come for the same one.
_TOGETHER = 50

# Messages sent and not yet come for. It begins anew every minute: lost messages are not counted for ever.
_COUNT = "jobs:messages:"
_COUNT_SECONDS = 60
_SENT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
"""
_CAME = """
if tonumber(redis.call('GET', KEYS[1]) or '0') > 0 then redis.call('DECR', KEYS[1]) end
"""

Due = tuple[str, UUID, str, str]  # tenant, job, queue, type


def may_share(type_name: str) -> bool:
    """Whether jobs of this type go along with others. A type of another version does not."""
    try:
        return registry.get(type_name).time_limit == registry.DEFAULT_TIME_LIMIT
    except registry.UnknownJobType:
        return False


def enough_wait(queue: str, type_name: str) -> bool:
    """Whether so many messages wait that one more for a job of this type would bring nobody sooner."""
    if not may_share(type_name):
        return False
    count = _ask(lambda client: client.get(_COUNT + queue))
    return int(count or 0) >= MOST_WAITING


def sent(queue: str, type_name: str) -> None:
    if may_share(type_name):
        _ask(lambda client: client.eval(_SENT, 1, _COUNT + queue, _COUNT_SECONDS))


def came(queue: str) -> None:
    _ask(lambda client: client.eval(_CAME, 1, _COUNT + queue))


def due(*, now: datetime, most: int, queues: list[str] | None) -> list[Due]:
    """Across tenants, by the resolver's function `due_jobs`, which tells ids and nothing else. Paused types wait."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tenant_id, id, queue, type FROM public.due_jobs(%s, %s, %s, %s)",
            [now, most, pauses.here(), queues],
        )
        return [(str(tenant), job_id, str(queue), str(name)) for tenant, job_id, queue, name in cursor.fetchall()]


def take_along(*, queue: str, since: float, work: Callable[[str, UUID], bool], wake: Callable[[Due], object]) -> int:
    """Work on what is due in the queue until nothing is or SECONDS have passed since then; how many were worked on.

    What is left then is woken, so that somebody goes on.
    """
    taken = 0
    while True:
        found = [job for job in due(now=clock.now(), most=_TOGETHER, queues=[queue]) if may_share(job[3])]
        random.shuffle(found)
        before = taken
        for job in found:
            if time.monotonic() - since >= SECONDS:
                wake(job)
                return taken
            taken += work(job[0], job[1])
        if taken == before:
            # There is nothing, others were faster, or it began once already and goes by a message of its own.
            return taken


def _ask(question: Callable[[Any], Any]) -> Any:
    """None when Redis is away: then it has no messages either."""
    try:
        return question(cache.client())
    except redis.RedisError as error:
        logger.warning("messages_not_counted", extra={"error_type": type(error).__name__})
        return None
