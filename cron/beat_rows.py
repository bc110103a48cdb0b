"""cron/schedule.py as rows of django-celery-beat, which operators may edit."""

import json
from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import connection
from django.db import transaction as django_transaction
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from cron.schedule import SCHEDULE, Entry
from cron.slots import BadSchedule, Cron
from cron.tasks import QUEUE, RUN_TASK
from cron.timings import SINCE, headers_of, when
from cron.work import Job
from kaireon.lib import clock
from kaireon.tenancy.context import Actor, platform_scope, transaction

# The header that says a row is ours, and which schedule we gave it last: a row that differs was edited, and stays.
SHIPPED = "kaireon_schedule"
# The same for whether it is enabled.
ENABLED = "kaireon_enabled"


class NoSuchRow(LookupError):
    """No row of ours has this name. `str()` of it lists those there are."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is no row of ours; known are {', '.join(sorted(e.name for e in SCHEDULE))}.")


def install(*, dry_run: bool = False, reset: Collection[str] = ()) -> Counter[str]:
    """Bring the rows in line with SCHEDULE; counts of `created`, `updated`, `removed`, `edited`, `unchanged`.

    What an operator changed in a row, its schedule or whether it is enabled, stays until the row is named in `reset`:
    the row wins over the environment, and that over cron/jobs.py. Rows of ours that are no longer in SCHEDULE go.
    Running it twice, or twice at once, changes nothing more. Opens its own transaction. Raises NoSuchRow.
    """
    for name in reset:
        if name not in {entry.name for entry in SCHEDULE}:
            raise NoSuchRow(name)
    with platform_scope(actor=Actor.system("schedule")), transaction():
        done = _reconcile(frozenset(reset))
        if dry_run:
            django_transaction.set_rollback(True)
    return done


def _reconcile(reset: frozenset[str]) -> Counter[str]:
    _alone()
    now = clock.now()
    done = Counter(_install(entry, now=now, reset=entry.name in reset) for entry in SCHEDULE)
    for row in PeriodicTask.objects.exclude(name__in={entry.name for entry in SCHEDULE}):
        if SHIPPED in headers_of(row):
            row.delete()
            done["removed"] += 1
    return done


def edited(row: PeriodicTask) -> bool:
    """Whether an operator gave it another schedule, paused it, or woke it."""
    return rescheduled(row) or switched(row)


def rescheduled(row: PeriodicTask) -> bool:
    return when(row) != headers_of(row).get(SHIPPED)


def switched(row: PeriodicTask) -> bool:
    return bool(row.enabled) is not headers_of(row).get(ENABLED, True)


def reschedule(job: Job, *, cron: str, enabled: bool, now: datetime) -> None:
    """An operator's word on when a job runs: five fields of cron in UTC. It stays until it is put back.

    In the caller's transaction, under whose actor it is recorded. Raises slots.BadSchedule.
    """
    if Cron(cron).next(now) is None:
        raise BadSchedule(f"{cron!r} is never due.")
    _alone()
    row = _row(job.name) or PeriodicTask(name=job.name, headers="{}")
    if row.pk is None:
        # A job without a schedule of ours: the row is the operator's own, and no installation takes it away.
        row.task, row.kwargs, row.queue, row.description = RUN_TASK, json.dumps({"job": job.name}), QUEUE, job.help
    before = _timed(row)
    put(row, cron=" ".join(cron.split()))
    row.enabled = enabled
    _stamp(row, before, now)
    row.save()


def put_back(job: Job, *, now: datetime) -> None:
    """Give up what an operator changed, in the caller's transaction."""
    _alone()
    entry = next((entry for entry in SCHEDULE if entry.name == job.name), None)
    if entry is not None:
        _install(entry, now=now, reset=True)
    elif row := _row(job.name):
        row.delete()


def _alone() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('cron:beat_rows', 0))")


def _install(entry: Entry, *, now: datetime, reset: bool) -> str:
    row = _row(entry.name)
    if row is None:
        row = PeriodicTask(name=entry.name, enabled=entry.enabled)
        put(row, cron=entry.cron, every=entry.every)
        _rest(row, entry)
        _stamp(row, None, now)
        row.save()
        return "created"
    before, was_edited, timed = _state(row), edited(row), _timed(row)
    if reset or not rescheduled(row):
        put(row, cron=entry.cron, every=entry.every)
    if reset or not switched(row):
        row.enabled = entry.enabled
    _rest(row, entry)
    _stamp(row, timed, now)
    if _state(row) != before:
        row.save()
        return "updated"
    return "edited" if was_edited else "unchanged"


def _timed(row: PeriodicTask) -> tuple[str, bool] | None:
    return (when(row), row.enabled) if row.pk is not None else None


def _stamp(row: PeriodicTask, before: tuple[str, bool] | None, now: datetime) -> None:
    """Another schedule counts from now on: it makes up for nothing that it would have meant before."""
    if _timed(row) != before or row.pk is None:
        row.headers = json.dumps({**headers_of(row), SINCE: clock.rfc3339(now)})


def _row(name: str) -> PeriodicTask | None:
    return PeriodicTask.objects.select_related("crontab", "interval", "solar", "clocked").filter(name=name).first()


def put(row: PeriodicTask, *, cron: str = "", every: int = 0) -> None:
    """Give the row a schedule: five fields of cron in UTC, or so many seconds. Does not save it."""
    row.crontab = row.interval = row.solar = row.clocked = None
    if cron:
        minute, hour, day, month, weekday = cron.split()
        row.crontab = _one(
            CrontabSchedule,
            minute=minute,
            hour=hour,
            day_of_month=day,
            month_of_year=month,
            day_of_week=weekday,
            timezone="UTC",
        )
    else:
        row.interval = _one(IntervalSchedule, every=every, period=IntervalSchedule.SECONDS)


def _one(model: Any, **fields: object) -> Any:
    # These tables have no unique key, so get_or_create could find two.
    return model.objects.filter(**fields).first() or model.objects.create(**fields)


def _rest(row: PeriodicTask, entry: Entry) -> None:
    row.task = entry.task
    row.kwargs = json.dumps(entry.arguments)
    row.queue = entry.queue
    row.expire_seconds = entry.expires
    row.description = entry.help
    row.headers = json.dumps({**headers_of(row), SHIPPED: entry.when, ENABLED: entry.enabled})


def _state(row: PeriodicTask) -> tuple[object, ...]:
    return (
        row.crontab_id,
        row.interval_id,
        row.solar_id,
        row.clocked_id,
        row.task,
        row.kwargs,
        row.queue,
        row.expire_seconds,
        row.description,
        row.headers,
        row.enabled,
    )
