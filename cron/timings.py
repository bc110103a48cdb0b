"""What a row of beat says about when: as text, and as moments."""

import json
from datetime import datetime
from typing import Any

from django_celery_beat.models import PeriodicTask

from cron.slots import Cron, Every, Timing

# The header that says since when the row has the schedule it has. What it would have meant before is nobody's debt.
SINCE = "kaireon_since"


def when(row: PeriodicTask) -> str:
    """The row's schedule as `schedule.Entry.when` writes it."""
    if row.crontab is not None:
        zone = "" if str(row.crontab.timezone) == "UTC" else f" {row.crontab.timezone}"
        return f"{_fields(row)}{zone}"
    if row.interval is not None:
        return f"every {int(row.interval.schedule.run_every.total_seconds())} s"
    return str(row.solar or row.clocked or "never")


def timing_of(row: PeriodicTask) -> Timing | None:
    """When the row is due; None for what has no moments of its own (the sun, a single date)."""
    if row.crontab is not None:
        return Cron(_fields(row), str(row.crontab.timezone))
    if row.interval is not None:
        return Every(max(1, int(row.interval.schedule.run_every.total_seconds())))
    return None


def headers_of(row: PeriodicTask) -> dict[str, Any]:
    found = json.loads(row.headers or "{}")
    return found if isinstance(found, dict) else {}


def since(row: PeriodicTask) -> datetime | None:
    """None for a row that somebody made without us."""
    text = headers_of(row).get(SINCE)
    return datetime.fromisoformat(text) if text else None


def _fields(row: PeriodicTask) -> str:
    c = row.crontab
    return f"{c.minute} {c.hour} {c.day_of_month} {c.month_of_year} {c.day_of_week}"
