"""What must work before this process may have requests, and what may be worse than it should; both in seconds."""

import logging
import time
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, Error, OperationalError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from redis.backoff import NoBackoff
from redis.retry import Retry

from audit import events
from audit.capture import coverage
from kaireon.api import breakers
from kaireon.jobs import pauses
from kaireon.lib import clock
from kaireon.ops import merged
from kaireon.ops.deadline import Asked, Question, TookTooLong, all_at_once
from kaireon.tenancy import serving

logger = logging.getLogger("kaireon.ops")

_SECONDS = 2.0
# A question's connection may take its time beyond the statement.
LIMIT = 3.0
SEQUENCING_LAG = 60.0
# Of what is amiss with the audit triggers a probe is told so many; `manage.py audit_selftest` names all.
MOST_REASONS = 5
JOBS_LAG = 300.0


def database() -> bool:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT 1")
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
    finally:
        client.close()


class MigrationsApplied:
    """Whether the database has every migration of this code. Remembers a yes: neither changes while we run."""

    def __init__(self) -> None:
        self._applied = False

    def __call__(self) -> bool:
        if not self._applied:
            executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
            missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
            applied = executor.recorder.applied_migrations()
            halfway = merged.halfway(executor.loader.disk_migrations.values(), applied)
            self._applied = not missing and not halfway
            for name, lacking in halfway.items():
                logger.warning("readiness: of %s, the database lacks %s", name, ", ".join(lacking))
            if missing:
                logger.warning("readiness: %d migrations are not applied; run manage.py migrate", len(missing))
        return self._applied


class AuditCoverage:
    """Whether every change still brings its record and the log is append-only, as audit.capture.coverage sees it.

    A yes holds for some seconds: probes come often, and the answer is read from the catalogues. A no is asked anew
    each time, so that a repair is seen at once. While the database is away the last answer stands: `database` says so.
    """

    seconds = 10.0

    def __init__(self) -> None:
        self._good_until = 0.0
        self._is_good = False
        self.reasons: list[str] = []

    def __call__(self) -> bool:
        if time.monotonic() < self._good_until:
            return True
        try:
            self.reasons = [str(fault) for fault in coverage.inspect()]
        except OperationalError:
            return self._is_good
        self._is_good = not self.reasons
        if self.reasons:
            logger.error("audit_coverage", extra={"faults": len(self.reasons), "first": self.reasons[:MOST_REASONS]})
            return False
        self._good_until = time.monotonic() + self.seconds
        return True


def sequencing_lags() -> bool:
    """Records wait to be sequenced: is a sequencer running?"""
    with connection.cursor() as cursor:
        cursor.execute("SELECT oldest FROM public.gauge_inbox(1)")
        (oldest,) = cursor.fetchone()
    return oldest is not None and (clock.now() - oldest).total_seconds() > SEQUENCING_LAG


def audit_events_spooled() -> bool:
    """Events recorded while the database was away are still on this machine's disk."""
    return not events.folder().is_empty()


def audit_events_set_aside() -> bool:
    """Some of them could not be used: somebody must look."""
    return events.folder().aside() > 0


def jobs_lag() -> bool:
    """Jobs are long due: is a worker running, and keeping up?"""
    skipped = pauses.everywhere()
    with connection.cursor() as cursor:
        cursor.execute("SELECT type, first_due FROM public.gauge_jobs() WHERE state = 'queued'")
        due = [first for kind, first in cursor.fetchall() if kind not in skipped]
    return any((clock.now() - first).total_seconds() > JOBS_LAG for first in due)


def job_types_paused() -> bool:
    return bool(pauses.everywhere())


def routes_blocked() -> bool:
    return bool(settings.BLOCKED_ROUTES)


def breaker_open() -> bool:
    return any(breakers.states().values())


def serves() -> bool:
    """Whether the database may be served: not one that is older than what was published of it."""
    return serving.refusal() is None


audit_coverage = AuditCoverage()

CHECKS: dict[str, Callable[[], bool]] = {
    "database": database,
    "redis": broker,
    "migrations": MigrationsApplied(),
    "audit_coverage": audit_coverage,
    "serving": serves,
}
# True is bad, but requests are served: no reason to send them elsewhere.
DEGRADATIONS: dict[str, Callable[[], bool]] = {
    "sequencing_lags": sequencing_lags,
    "audit_events_spooled": audit_events_spooled,
    "audit_events_set_aside": audit_events_set_aside,
    "jobs_lag": jobs_lag,
    "job_types_paused": job_types_paused,
    "routes_blocked": routes_blocked,
    "breaker_open": breaker_open,
}

_CHECKS = {name: Question(name, check, seconds=LIMIT) for name, check in CHECKS.items()}
_DEGRADATIONS = {name: Question(name, look, seconds=LIMIT) for name, look in DEGRADATIONS.items()}


def checked() -> dict[str, bool]:
    """Every check by name, and whether it passed within its time."""
    return {asked.name: bool(_answer(asked)) for asked in all_at_once(_CHECKS.values())}


def reasons() -> dict[str, list[str]]:
    """Why a check failed, where that names tables, triggers and functions and nothing else."""
    found = {"audit_coverage": audit_coverage.reasons[:MOST_REASONS]} if audit_coverage.reasons else {}
    return found | ({"serving": [refused]} if (refused := serving.refusal()) else {})


def degraded() -> list[str]:
    """What is worse than it should be. What cannot be found out is not: the checks say what is away."""
    return [asked.name for asked in all_at_once(_DEGRADATIONS.values()) if _answer(asked)]


def _answer(asked: Asked[bool]) -> bool | None:
    try:
        return asked.answer()
    except (Error, DatabaseError, redis.RedisError, OSError, TookTooLong) as error:
        logger.warning("readiness", extra={"check": asked.name, "error_type": type(error).__name__})
        return None
