"""How each job is doing: new, up, late, down, paused or running, with grace and maximum run time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django_celery_beat.models import PeriodicTask

from cron.models import JobRun, RunState
from cron.timings import since, timing_of
from cron.work import Job


class JobState(StrEnum):
    NEW = "new"  # never ran, and nothing was due long enough
    UP = "up"
    LATE = "late"  # due and not begun, within grace
    DOWN = "down"  # failed, lost, over its time, or due and not begun after grace
    PAUSED = "paused"  # its row is disabled
    RUNNING = "running"


@dataclass(frozen=True, kw_only=True)
class Status:
    state: JobState
    due: datetime | None  # the newest moment at which it should have begun
    next: datetime | None
    last: JobRun | None


def status_of(job: Job, row: PeriodicTask | None, *, now: datetime) -> Status:
    """The job's state at this moment. A job without schedule is as its last run was; a dry run is none."""
    last = JobRun.objects.of(job.name).real().newest_first().first()
    timing = timing_of(row) if row is not None else None
    due = timing.last(now) if timing else None
    if due is not None and row is not None and _is_before(row, due, last):
        due = None
    paused = row is not None and not row.enabled
    coming = timing.next(now) if timing and not paused else None
    return Status(state=_state(job, last, due, now, paused=paused), due=due, next=coming, last=last)


def _is_before(row: PeriodicTask, due: datetime, last: JobRun | None) -> bool:
    """Whether the moment lies before the row had this schedule."""
    begun = since(row)
    if begun is not None:
        return due <= begun
    return last is None and due <= row.date_changed


def is_owed(status: Status) -> bool:
    """Whether the newest scheduled moment has come and no run has begun, or was under way, since then."""
    return status.state != JobState.PAUSED and _is_owed(status.last, status.due)


def owed_moment(job: Job, *, now: datetime) -> datetime | None:
    """The scheduled moment that a run which begins now makes up for, whoever starts it; None when none is owed."""
    row = PeriodicTask.objects.select_related("crontab", "interval").filter(name=job.name).first()
    status = status_of(job, row, now=now)
    taken = JobRun.objects.of(job.name).filter(slot=status.due)
    return status.due if is_owed(status) and not taken.exists() else None


def _is_owed(last: JobRun | None, due: datetime | None) -> bool:
    if due is None or last is None:
        return due is not None
    # A run that was under way at the moment stands for it: the one that was sent was skipped.
    return max(last.started_at, last.slot or last.started_at, last.finished_at or last.started_at) < due


def _state(job: Job, last: JobRun | None, due: datetime | None, now: datetime, *, paused: bool) -> JobState:
    if last is not None and last.state == RunState.RUNNING:
        within = last.running_for(now) <= timedelta(seconds=job.deadline) + job.grace
        return JobState.RUNNING if within else JobState.DOWN
    if paused:
        return JobState.PAUSED
    if last is not None and last.state != RunState.SUCCEEDED:
        return JobState.DOWN
    if due is not None and _is_owed(last, due):
        return JobState.LATE if now <= due + job.grace else JobState.DOWN
    return JobState.UP if last is not None else JobState.NEW
