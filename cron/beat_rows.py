"""cron/schedule.py as rows of django-celery-beat, which operators may edit."""

import json
from collections import Counter
from collections.abc import Collection
from typing import Any

from django.db import connection
from django.db import transaction as django_transaction
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from cron.schedule import SCHEDULE, Entry
from cron.timings import when
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
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('cron:beat_rows', 0))")
    done = Counter(_install(entry, reset=entry.name in reset) for entry in SCHEDULE)
    for row in PeriodicTask.objects.exclude(name__in={entry.name for entry in SCHEDULE}):
        if SHIPPED in _headers(row):
            row.delete()
            done["removed"] += 1
    return done


def edited(row: PeriodicTask) -> bool:
    """Whether an operator gave it another schedule, paused it, or woke it."""
    return rescheduled(row) or switched(row)


def rescheduled(row: PeriodicTask) -> bool:
    return when(row) != _headers(row).get(SHIPPED)


def switched(row: PeriodicTask) -> bool:
    return bool(row.enabled) is not _headers(row).get(ENABLED, True)


def _install(entry: Entry, *, reset: bool) -> str:
    row = _row(entry.name)
    if row is None:
        row = PeriodicTask(name=entry.name, enabled=entry.enabled)
        put(row, cron=entry.cron, every=entry.every)
        _rest(row, entry)
        row.save()
        return "created"
    before, was_edited = _state(row), edited(row)
    if reset or not rescheduled(row):
        put(row, cron=entry.cron, every=entry.every)
    if reset or not switched(row):
        row.enabled = entry.enabled
    _rest(row, entry)
    if _state(row) != before:
        row.save()
        return "updated"
    return "edited" if was_edited else "unchanged"


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
    row.headers = json.dumps({**_headers(row), SHIPPED: entry.when, ENABLED: entry.enabled})


def _headers(row: PeriodicTask) -> dict[str, Any]:
    found = json.loads(row.headers or "{}")
    return found if isinstance(found, dict) else {}


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
