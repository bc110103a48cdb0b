"""The admin's sessions, in Redis. Django's own store takes a Redis that is away for an empty one: signed out."""

from typing import Any

from django.contrib.sessions.backends.cache import SessionStore as CacheSessionStore


def plain_key(key: str, prefix: str, version: int) -> str:
    """The name in Redis: sessions have a database and a prefix of their own already."""
    return key


class SessionStore(CacheSessionStore):
    cache_key_prefix = "session:"

    def load(self) -> dict[str, Any]:
        """The session's data, empty for one that ended. Raises redis.exceptions.RedisError when Redis is away."""
        data: dict[str, Any] | None = self._cache.get(self.cache_key)  # type: ignore[attr-defined]
        if data is None:
            self._session_key = None
            return {}
        return data
