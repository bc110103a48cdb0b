"""Sliding-window limits in Redis. When Redis is away the limited door stays shut (503), never open."""

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import redis

from kaireon import env
from kaireon.api.errors import TooManyRequests

logger = logging.getLogger("kaireon.throttles")

WINDOW_SECONDS = 60

# Drops what left the window, counts the rest, and adds this one only when it fits: one step, so no race slips through.
_TAKE = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1] - ARGV[2])
local count = redis.call('ZCARD', KEYS[1])
if count >= tonumber(ARGV[3]) then
    local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
    return math.ceil(oldest + ARGV[2] - ARGV[1])
end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 0
"""


@dataclass(frozen=True)
class Rate:
    """At most `per_minute` times a minute, or `per_hour` times an hour, for each principal of a tenant."""

    name: str
    per_minute: int = 0
    per_hour: int = 0

    @property
    def most(self) -> int:
        return self.per_minute or self.per_hour

    @property
    def window(self) -> int:
        """In seconds."""
        return WINDOW_SECONDS if self.per_minute else 60 * WINDOW_SECONDS


@dataclass
class Attempt:
    """What may fail only so often. Whoever tries it says whether it did."""

    failed: bool = False


def take(rate: Rate, who: str) -> None:
    """Count one use. Raises TooManyRequests with the seconds to wait."""
    _take(rate, who)


@contextmanager
def attempt(rate: Rate, who: str) -> Iterator[Attempt]:
    """A limit on failures: `with attempt(rate, who) as it: it.failed = not …`. Raises TooManyRequests.

    The place is taken before the trial and given back when it did not fail, so that of many trials at once no more
    fail than may. Those under way count: the last of very many at once is refused though none failed yet.
    """
    place = _take(rate, who)
    trial = Attempt()
    try:
        yield trial
    finally:
        if not trial.failed:
            _give_back(rate, who, place)


def _take(rate: Rate, who: str) -> str:
    place = uuid.uuid4().hex
    wait = _client().eval(_TAKE, 1, _key(rate, who), str(time.time()), str(rate.window), str(rate.most), place)
    if wait:
        raise TooManyRequests(max(1, int(str(wait))))
    return place


def _give_back(rate: Rate, who: str, place: str) -> None:
    try:
        _client().zrem(_key(rate, who), place)
    except redis.RedisError as error:
        # It counts as a failure for a minute then, which is no reason to fail what succeeded.
        logger.warning("throttle_not_given_back", extra={"rate": rate.name, "error_type": type(error).__name__})


def _key(rate: Rate, who: str) -> str:
    return f"rate:{rate.name}:{who}"


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(env.redis_url(1), socket_connect_timeout=2, socket_timeout=5)
