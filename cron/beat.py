"""Beat's scheduler. It knows that the schedule's rows are recorded, and sends each scheduled moment under its own name.

django-celery-beat reckons from the last time it sent something, in local time: across a restart or a change of clocks
that doubles or loses runs. Jobs are therefore due by cron/slots.py, and a moment that is sent twice runs once, because
the run's row is unique by job and moment.
"""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from celery.schedules import schedstate
from celery.signals import beat_init
from django.db import InterfaceError, OperationalError, connections
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from cron import beat_rows, signals, states
from cron.jobs import JOBS
from cron.models import JobRun
from cron.slots import between
from cron.tasks import RUN_TASK
from cron.timings import since, timing_of
from cron.work import Missed
from kaireon.lib import clock
from kaireon.tenancy.context import Actor, platform_scope, transaction

logger = logging.getLogger("kaireon.cron")

# Once a minute every job is looked at, whether it began when it should have.
WATCH_EVERY = 60
# A moment older than this when it is sent was missed: no beat was running.
ON_TIME = 90
# Of a schedule whose every moment is made up for, so many at most.
MOST_MADE_UP = 100
# Between two tries to reach a database that is away, in seconds.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 5.0


class Entry(ModelEntry):  # type: ignore[misc]
    """Noting that a row ran is no change of the schedule; disabling it is, and beat does it itself now and then."""

    def _disable(self, model: PeriodicTask) -> None:
        with _as_beat():
            super()._disable(model)

    def _default_now(self) -> datetime:
        return clock.now()

    @property
    def is_job(self) -> bool:
        return self.task == RUN_TASK and self.kwargs.get("job") in JOBS and timing_of(self.model) is not None

    @property
    def begins(self) -> datetime:
        """Moments after this are to be sent: after the last time, and after the schedule became what it is."""
        last: datetime = self.last_run_at
        return max(last, since(self.model) or last)

    def is_due(self) -> Any:
        if self.model.one_off and self.model.enabled and self.model.total_run_count > 0:
            with _as_beat():
                return super().is_due()
        if not self.is_job or not self.model.enabled or self.model.start_time or self.model.expires:
            return super().is_due()
        now, timing = clock.now(), timing_of(self.model)
        assert timing is not None  # noqa: S101  is_job says so
        newest, coming = timing.last(now), timing.next(now)
        wait = (coming - now).total_seconds() if coming else float(WATCH_EVERY)
        return schedstate(newest is not None and newest > self.begins, wait)

    def moments(self, now: datetime) -> list[datetime]:
        """What is to be sent now: the moments since the last time, by the job's policy for what was missed."""
        timing = timing_of(self.model)
        assert timing is not None  # noqa: S101  asked of jobs only
        newest = timing.last(now)
        if newest is None:
            return []
        missed = JOBS[self.kwargs["job"]].missed
        if missed == Missed.ALL:
            return list(between(timing, self.begins, now))[-MOST_MADE_UP:]
        late = (now - newest).total_seconds() > ON_TIME
        return [] if late and missed == Missed.SKIP else [newest]

    def expiry(self, moment: datetime) -> dict[str, datetime]:
        """Until when a worker may begin with it: a while after the next moment, which does as well.

        After a long outage of the workers the queue then holds the newest few, not each minute of it.
        """
        job, timing = JOBS[self.kwargs["job"]], timing_of(self.model)
        following = timing.next(moment) if timing and job.missed != Missed.ALL else None
        return {"expires": following + job.grace} if following else {}


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """Reconciles the rows with cron/schedule.py when it starts, and installs nothing else."""

    Entry = Entry

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._watched_at: datetime | None = None
        self._reported: set[tuple[str, datetime]] = set()
        self._installed = False
        self._pause = FIRST_PAUSE
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """Nothing yet: it is done by the first tick that has a database. Whoever waited here could not be stopped."""

    def install(self) -> None:
        if not self._installed:
            beat_rows.install()
            self._installed = True

    def enabled_models_qs(self) -> Any:
        # The base leaves out whatever is not due within two hours by the clock on the wall: after a longer stop it
        # would not see what was missed.
        return self.Model.objects.enabled()

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        if not isinstance(entry, Entry) or not entry.is_job:
            return super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        result = None
        plain, options = entry.kwargs, entry.options
        try:
            for moment in entry.moments(clock.now()):
                entry.kwargs = {**plain, "slot": clock.rfc3339(moment)}
                entry.options = {**options, **entry.expiry(moment)}
                result = super().apply_async(entry, producer=producer, advance=False, **kwargs)
        finally:
            entry.kwargs, entry.options = plain, options
        return result

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        try:
            self.install()
            answer = self._tick(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
            _wait_for_database(error, pause)
            # It may have been cut off between taking an entry out and putting it back, or before it had read any.
            self._heap = None
            self._initial_read = self._schedule is None
            return pause
        self._pause = FIRST_PAUSE
        return answer

    def _tick(self, *args: Any, **kwargs: Any) -> Any:
        now = clock.now()
        if self._watched_at is None or (now - self._watched_at).total_seconds() >= WATCH_EVERY:
            self._watched_at = now
            self.watch(now)
        return super().tick(*args, **kwargs)

    def watch(self, now: datetime) -> None:
        """Raise job_late for what should have begun and did not, once for each moment."""
        rows = {row.name: row for row in self.Model.objects.select_related("crontab", "interval")}
        for job in JOBS.values():
            row = rows.get(job.name)
            status = states.status_of(job, row, now=now)
            if status.due is None or not states.is_owed(status):
                continue
            overdue = (now - status.due).total_seconds() > ON_TIME
            if overdue and (job.name, status.due) not in self._reported:
                self._reported.add((job.name, status.due))
                signals.job_late.send(sender=JobRun, job=job.name, slot=status.due)


@beat_init.connect
def end_when_told_to(**_: Any) -> None:
    """Celery's handlers write the schedule before they end the process, in whatever it is just doing: in the middle of
    a statement they would wait for its connection for ever. It is written after the loop anyway."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def _end(*_: object) -> None:
    raise SystemExit


def _wait_for_database(error: Exception, seconds: float) -> None:
    """What is due stays due: note the outage, and begin the next look with fresh connections."""
    logger.warning("beat_waits", extra={"error_type": type(error).__name__, "seconds": seconds})
    connections.close_all()


@contextmanager
def _as_beat() -> Iterator[None]:
    with platform_scope(actor=Actor.system("beat")), transaction():
        yield
