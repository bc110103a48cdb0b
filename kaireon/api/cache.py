"""The cache: Redis database 1, apart from sessions (0) and the broker (2), so that it can be flushed at any time.

Sessions have rules of the same kind in kaireon/tenancy/admin_sessions.py and the settings.

Every key has a prefix of its kind and a life; nothing over 1 MB goes in. Redis being away is a miss, never an error.
"""

import json
import logging
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import redis

from kaireon import env

logger = logging.getLogger("kaireon.cache")

MOST_BYTES = 1_000_000


class ValueTooLarge(ValueError):
    """More than 1 MB. Keep it in the database or in storage, and cache where it is."""


class LifeRefused(ValueError):
    """A cached value lives at least a second and no longer than its kind allows."""


@dataclass(frozen=True)
class Kind:
    """`seconds` is how long a value lives, and the longest it may."""

    prefix: str
    seconds: int


DECISION = Kind("decision:", 60)
SCORING = Kind("scoring:", 30)
FEATURE = Kind("feature:", 300)
PIPELINE_RESULT = Kind("pipeline:result:", 300)
KINDS = (DECISION, SCORING, FEATURE, PIPELINE_RESULT)


def put(kind: Kind, key: str, value: Any, *, tenant_id: str, seconds: int | None = None) -> bool:
    """Keep a JSON-able value; False when Redis is away. Raises ValueTooLarge, LifeRefused."""
    life = kind.seconds if seconds is None else seconds
    if not 1 <= life <= kind.seconds:
        raise LifeRefused(f"{kind.prefix} lives 1 to {kind.seconds} s, not {life}.")
    data = json.dumps(value, separators=(",", ":")).encode()
    if len(data) > MOST_BYTES:
        raise ValueTooLarge(f"{len(data)} bytes for {kind.prefix}: at most {MOST_BYTES}.")
    try:
        client().set(_name(kind, tenant_id, key), data, ex=life)
    except redis.RedisError as error:
        logger.warning("cache_unavailable", extra={"prefix": kind.prefix, "error_type": type(error).__name__})
        return False
    return True


def get(kind: Kind, key: str, *, tenant_id: str) -> Any | None:
    """The value, or None when there is none, it has expired or Redis is away; a miss is logged as `cache_miss`."""
    try:
        data: Any = client().get(_name(kind, tenant_id, key))
    except redis.RedisError as error:
        logger.warning("cache_unavailable", extra={"prefix": kind.prefix, "error_type": type(error).__name__})
        return None
    if data is None:
        logger.info("cache_miss", extra={"prefix": kind.prefix})
        return None
    return json.loads(data)


def forget(*, tenant_id: str) -> int | None:
    """Drop all that is cached for a tenant; how many, None when Redis is away: then it ends with its life.

    Keys and values may name anybody, in any spelling, and all can be worked out again.
    """
    dropped = 0
    try:
        for kind in KINDS:
            for key in client().scan_iter(match=f"{_literal(_name(kind, tenant_id, ''))}*", count=1000):
                dropped += int(client().unlink(key))
    except redis.RedisError as error:
        logger.warning("cache_unavailable", extra={"prefix": "*", "error_type": type(error).__name__})
        return None
    return dropped


def _literal(text: str) -> str:
    """As a pattern of Redis that means nothing else."""
    return re.sub(r"([\\*?\[\]^])", r"\\\1", text)


def _name(kind: Kind, tenant_id: str, key: str) -> str:
    return f"{kind.prefix}{tenant_id}:{key}"


@cache
def client() -> redis.Redis:
    """Redis database 1. Whoever uses it directly gives each key a life too."""
    return redis.Redis.from_url(env.redis_url(1), socket_connect_timeout=2, socket_timeout=5)
