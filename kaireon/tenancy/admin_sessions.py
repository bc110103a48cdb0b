"""The admin's sessions, in Redis. Django's own store takes a Redis that is away for an empty one: signed out."""

from typing import Any

from django.contrib.sessions.backends.cache import SessionStore as CacheSessionStore


class SessionStore(CacheSessionStore):
    def load(self) -> dict[str, Any]:
        """The session's data, empty for one that ended. Raises redis.exceptions.RedisError when Redis is away."""
        data: dict[str, Any] | None = self._cache.get(self.cache_key)  # type: ignore[attr-defined]
        if data is None:
            self._session_key = None
            return {}
        return data
