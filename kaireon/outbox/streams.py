"""XADD to a stream of our Redis. The field `id` is what a consumer deduplicates on."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import redis
from redis.exceptions import RedisError, ResponseError

from kaireon import env
from kaireon.outbox.sending import SEND_SECONDS, Outgoing, Refused

# Apart from sessions, cache and broker, which are flushed and evicted by rules of their own.
DATABASE = 3
LONGEST = 100_000  # entries a stream keeps, about


def send(given: Mapping[str, Any], secret: str, message: Outgoing) -> None:
    """Append `{id, topic, body}` to `stream:{tenant}:{stream}`. Raises Refused."""
    fields: dict[Any, Any] = {"id": str(message.id), "topic": message.topic, "body": message.body()}
    try:
        client().xadd(key(message.tenant_id, str(given["stream"])), fields, maxlen=LONGEST, approximate=True)
    except ResponseError as e:
        raise Refused("redis_response") from e
    except (RedisError, OSError) as e:
        raise Refused(type(e).__name__) from e


def key(tenant_id: str, stream: str) -> str:
    return f"stream:{tenant_id}:{stream}"


@cache
def client() -> "redis.Redis":
    return redis.Redis.from_url(env.redis_url(DATABASE), socket_connect_timeout=2, socket_timeout=SEND_SECONDS)
