"""What must work before this process may have requests: each check answers in seconds, yes or no."""

import logging
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.migrations.executor import MigrationExecutor
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

_SECONDS = 2.0


def database() -> bool:
    try:
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as e:
        logger.warning("readiness: database: %s", type(e).__name__)
        return False
    return True


def broker() -> bool:
    client = redis.Redis.from_url(
        settings.CELERY_BROKER_URL,
        socket_timeout=_SECONDS,
        socket_connect_timeout=_SECONDS,
        # The client would insist for longer than a probe waits.
        retry=Retry(NoBackoff(), 0),
    )
    try:
        return bool(client.ping())
    except redis.RedisError as e:
        logger.warning("readiness: redis: %s", type(e).__name__)
        return False
    finally:
        client.close()


class MigrationsApplied:
    """Whether the database has every migration of this code. Remembers a yes: neither changes while we run."""

    def __init__(self) -> None:
        self._applied = False

    def __call__(self) -> bool:
        if not self._applied:
            try:
                executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
                missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
            except Error as e:
                logger.warning("readiness: migrations: %s", type(e).__name__)
                return False
            self._applied = not missing
            if missing:
                logger.warning("readiness: %d migrations are not applied; run manage.py migrate", len(missing))
        return self._applied


CHECKS: dict[str, Callable[[], bool]] = {
    "database": database,
    "redis": broker,
    "migrations": MigrationsApplied(),
}
