"""Sliding-window limits in Redis. When Redis is away the limited door stays shut (503), never open."""

import time
import uuid
from dataclasses import dataclass
from functools import cache

import redis

from kaireon import env
from kaireon.api.errors import TooManyRequests

WINDOW_SECONDS = 60

# Drops what left the window, counts the rest, and adds this one only when it fits: one step, so no race slips through.
_TAKE = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1] - ARGV[2])
local count = redis.call('ZCARD', KEYS[1])
if count >= tonumber(ARGV[3]) then
    local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
    return math.ceil(oldest + ARGV[2] - ARGV[1])
end
if ARGV[4] ~= '' then
    redis.call('ZADD', KEYS[1], ARGV[1], ARGV[4])
    redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 0
"""


@dataclass(frozen=True)
class Rate:
    """At most `per_minute` times a minute for each principal of a tenant."""

    name: str
    per_minute: int


def take(rate: Rate, who: str) -> None:
    """Count one use. Raises TooManyRequests with the seconds to wait."""
    _run(rate, who, uuid.uuid4().hex)


def check(rate: Rate, who: str) -> None:
    """Raise TooManyRequests when the limit is used up, without counting."""
    _run(rate, who, "")


def _run(rate: Rate, who: str, member: str) -> None:
    key = f"rate:{rate.name}:{who}"
    wait = _client().eval(_TAKE, 1, key, str(time.time()), str(WINDOW_SECONDS), str(rate.per_minute), member)
    if wait:
        raise TooManyRequests(max(1, int(str(wait))))


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(env.redis_url(1), socket_connect_timeout=2, socket_timeout=5)
