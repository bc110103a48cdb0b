"""cron/schedule.py as rows of django-celery-beat, which operators may edit."""

import json
from collections import Counter
from typing import Any

from django.db import connection
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from cron.schedule import SCHEDULE, Entry
from cron.slots import Cron, Every, Timing
from kaireon.tenancy.context import Actor, platform_scope, transaction

# The header that says a row is ours, and which schedule we gave it last: a row that differs was edited, and stays.
SHIPPED = "kaireon_schedule"


def install() -> Counter[str]:
    """Bring the rows in line with SCHEDULE; counts of `created`, `updated`, `removed`, `edited`, `unchanged`.

    A schedule that an operator changed, and a row they disabled, stay as they are. Rows of ours that are no longer
    in SCHEDULE go. Running it twice, or twice at once, changes nothing more. Opens its own transaction.
    """
    with platform_scope(actor=Actor.system("schedule")), transaction():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('cron:beat_rows', 0))")
        done = Counter(_install(entry) for entry in SCHEDULE)
        names = {entry.name for entry in SCHEDULE}
        for row in PeriodicTask.objects.exclude(name__in=names):
            if SHIPPED in _headers(row):
                row.delete()
                done["removed"] += 1
    return done


def when(row: PeriodicTask) -> str:
    """The row's schedule as `Entry.when` writes it."""
    if row.crontab is not None:
        c = row.crontab
        zone = "" if str(c.timezone) == "UTC" else f" {c.timezone}"
        return f"{c.minute} {c.hour} {c.day_of_month} {c.month_of_year} {c.day_of_week}{zone}"
    if row.interval is not None:
        return f"every {int(row.interval.schedule.run_every.total_seconds())} s"
    return str(row.solar or row.clocked or "never")


def timing_of(row: PeriodicTask) -> Timing | None:
    """When the row is due; None for what has no moments of its own (the sun, a single date)."""
    if row.crontab is not None:
        c = row.crontab
        text = f"{c.minute} {c.hour} {c.day_of_month} {c.month_of_year} {c.day_of_week}"
        return Cron(text, str(c.timezone))
    if row.interval is not None:
        return Every(max(1, int(row.interval.schedule.run_every.total_seconds())))
    return None


def _install(entry: Entry) -> str:
    row = PeriodicTask.objects.select_related("crontab", "interval", "solar", "clocked").filter(name=entry.name).first()
    if row is None:
        row = PeriodicTask(name=entry.name)
        _schedule(row, entry)
        _rest(row, entry)
        row.save()
        return "created"
    edited = when(row) != _headers(row).get(SHIPPED)
    before = _state(row)
    if not edited:
        _schedule(row, entry)
    _rest(row, entry)
    if _state(row) != before:
        row.save()
        return "updated"
    return "edited" if edited else "unchanged"


def _schedule(row: PeriodicTask, entry: Entry) -> None:
    row.crontab = row.interval = row.solar = row.clocked = None
    if entry.cron:
        minute, hour, day, month, weekday = entry.cron.split()
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
        row.interval = _one(IntervalSchedule, every=entry.every, period=IntervalSchedule.SECONDS)


def _one(model: Any, **fields: object) -> Any:
    # These tables have no unique key, so get_or_create could find two.
    return model.objects.filter(**fields).first() or model.objects.create(**fields)


def _rest(row: PeriodicTask, entry: Entry) -> None:
    row.task = entry.task
    row.kwargs = json.dumps(entry.arguments)
    row.queue = entry.queue
    row.expire_seconds = entry.expires
    row.description = entry.help
    row.headers = json.dumps({**_headers(row), SHIPPED: entry.when})


def _headers(row: PeriodicTask) -> dict[str, str]:
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
    )
