"""Renewing a lease while its job is worked on, from a thread with a database connection of its own."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self

from django.db import InterfaceError, OperationalError, connection, connections

from kaireon.jobs import registry, services
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy.context import Actor, scope, transaction

logger = logging.getLogger("kaireon.jobs")

# Three beats may be missed.
SECONDS = services.LEASE.total_seconds() / 4
# What a handler may take beyond its limit before its lease is left to expire: the worker ends it well before.
GRACE = timedelta(seconds=30)
# So long a thread waits for its worker's next job before it ends.
IDLE_SECONDS = 60.0


class Heartbeat:
    """Renews the job's lease until the block ends; calls `lost`, once, when it is not ours any more.

    Past the job's time limit it is not renewed either: who hangs shall not hold it for ever.
    """

    def __init__(self, job: Job, lost: Callable[[], None], *, every: float = SECONDS) -> None:
        self.due = time.monotonic() + every
        self.over = False
        self._job = job
        self._lost = lost
        self._every = every
        self._until = clock.now() + timedelta(seconds=registry.get(job.type).time_limit) + GRACE
        self._renewing = threading.Lock()

    def __enter__(self) -> Self:
        self._companion = _companion_of_this_thread(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._companion.forget(self)
        # Nothing is renewed behind the back of who has left the block.
        with self._renewing:
            self.over = True

    def beat(self) -> None:
        with self._renewing:
            if self.over:
                return
            if clock.now() <= self._until and self._renew():
                self.due = time.monotonic() + self._every
                return
            self.over = True
        self._lost()

    def _renew(self) -> bool:
        job = self._job
        try:
            with scope(tenant_id=str(job.tenant_id), actor=Actor.job(job.type)), transaction():
                # The handler's last transaction holds the row: that is its end, not a loss.
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL lock_timeout = '2s'")
                return services.heartbeat(job=job, now=clock.now())
        except (OperationalError, InterfaceError) as error:
            # The lease outlives three missed beats; whether it is lost is decided by the row, not by this error.
            logger.warning("heartbeat_missed", extra={"job": str(job.pk), "error_type": type(error).__name__})
            return True
        finally:
            connections.close_all()


class _Companion(threading.Thread):
    """The thread beside one that works on jobs, one after the other; most are done before it has anything to do.

    It looks by itself, before anything begun since its last look can be due: so beginning a job wakes nobody.
    """

    def __init__(self) -> None:
        super().__init__(name=f"heartbeat-{threading.current_thread().name}", daemon=True)
        self._looking = threading.Condition()
        self._watched: list[Heartbeat] = []
        self._looks_at = 0.0
        self._idle_since = time.monotonic()
        self._ended = False

    def watch(self, heartbeat: Heartbeat) -> bool:
        """False when this thread has ended."""
        with self._looking:
            if self._ended:
                return False
            self._watched.append(heartbeat)
            self._idle_since = time.monotonic()
            if heartbeat.due < self._looks_at:
                self._looking.notify()
            return True

    def forget(self, heartbeat: Heartbeat) -> None:
        with self._looking:
            if heartbeat in self._watched:
                self._watched.remove(heartbeat)

    def run(self) -> None:
        while True:
            for heartbeat in self._due():
                heartbeat.beat()
            with self._looking:
                now = time.monotonic()
                self._watched = [heartbeat for heartbeat in self._watched if not heartbeat.over]
                if not self._watched and now - self._idle_since > IDLE_SECONDS:
                    self._ended = True
                    return
                self._looks_at = min((heartbeat.due for heartbeat in self._watched), default=now + SECONDS)
                self._looking.wait(max(0.0, self._looks_at - now))

    def _due(self) -> list[Heartbeat]:
        with self._looking:
            return [heartbeat for heartbeat in self._watched if heartbeat.due <= time.monotonic()]


_own = threading.local()


def _companion_of_this_thread(heartbeat: Heartbeat) -> _Companion:
    """Threads do not survive a fork, nor do locks that they held: a child begins with a companion of its own."""
    found: _Companion | None = getattr(_own, "companion", None)
    if found is None or not found.is_alive() or not found.watch(heartbeat):
        found = _own.companion = _Companion()
        found.watch(heartbeat)
        found.start()
    return found
