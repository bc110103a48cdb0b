"""Every job on one line: how it is doing, when it runs, and who said so."""

from dataclasses import dataclass
from datetime import datetime

from django_celery_beat.models import PeriodicTask

from cron import beat_rows, states
from cron.jobs import JOBS
from cron.models import JobRun
from cron.states import JobState
from cron.timings import when
from cron.work import Job


@dataclass(frozen=True, kw_only=True)
class Line:
    """`origin` of schedule and switch: `default`, `environment`, or `edited` in the row, which wins."""

    job: Job
    state: JobState
    schedule: str | None
    enabled: bool
    origin: str
    reason: str  # why it is not scheduled; empty when it is
    next: datetime | None
    last: JobRun | None

    @property
    def name(self) -> str:
        return self.job.name

    @property
    def when(self) -> str:
        return f"{self.schedule}" if self.enabled else f"not scheduled ({self.reason})"


def lines(*, now: datetime) -> list[Line]:
    """By name."""
    rows = {row.name: row for row in PeriodicTask.objects.select_related("crontab", "interval", "solar", "clocked")}
    return [_line(JOBS[name], rows.get(name), now) for name in sorted(JOBS)]


def _line(job: Job, row: PeriodicTask | None, now: datetime) -> Line:
    status = states.status_of(job, row, now=now)
    return Line(
        job=job,
        state=status.state,
        schedule=when(row) if row else job.schedule,
        enabled=bool(row and row.enabled),
        origin="edited" if row and beat_rows.edited(row) else job.said_by,
        reason="" if row and row.enabled else _reason(job, row),
        next=status.next,
        last=status.last,
    )


def _reason(job: Job, row: PeriodicTask | None) -> str:
    if row is not None:
        return "disabled"
    return job.unscheduled or "not installed: run `manage.py cron install`"
