"""The job `disk-projection`: how large the database is, how fast it grows, and in how many days its disk is full.

Each run measures, and is the sample that later runs project from: samples are the results of earlier runs, kept as long
as runs are (JOB_RUN_DAYS).
"""

import logging
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from cron.models import JobRun
from cron.work import DoneInPart, Work
from kaireon.lib import clock

logger = logging.getLogger("kaireon.cron")

JOB = "disk-projection"
# Fewer, or closer together, say nothing about growth.
LEAST_SAMPLES = 3
LEAST_SPAN = timedelta(days=2)
MOST_TABLES = 10
# With fewer days left the run warns.
WARN_DAYS = 30

# A partitioned table is the sum of its months, and has none of its own.
_SIZES = """
SELECT coalesce(parent.relname, c.relname), sum(pg_total_relation_size(c.oid))::bigint
  FROM pg_catalog.pg_class c
  LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
  LEFT JOIN pg_catalog.pg_class parent ON parent.oid = i.inhparent
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
 GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s
"""


@dataclass(frozen=True, kw_only=True)
class Disk:
    """What the database may still take, in bytes; both None when nobody said."""

    capacity: int | None = None
    free: int | None = None


def project(work: Work) -> Mapping[str, Any]:
    """`{measuredAt, databaseBytes, capacityBytes, freeBytes, samples, growthBytesPerDay, daysToFull, fullOn, note,
    warnings, tables: [{table, bytes, growthBytesPerDay}]}`

    Growth is the slope of the line of least squares through the samples; null, with `note` saying why, while there are
    not enough. `daysToFull` is null without growth or capacity. Raises DoneInPart when DISK_PATH cannot be asked.
    """
    size, tables = _measured()
    earlier = _samples(work.now)
    note, growth = "", None
    if (reason := _too_few([*(at for at, _, _ in earlier), work.now])) is not None:
        note = reason
    else:
        growth = slope([*((at, bytes_) for at, bytes_, _ in earlier), (work.now, size)])
    try:
        disk, unknown = _disk(size), ""
    except OSError as error:
        disk, unknown = Disk(), f"DISK_PATH cannot be asked: {type(error).__name__}"
    days = _days_to_full(disk, growth)
    if not note:
        note = _note(disk, growth)
    body = {
        "measuredAt": clock.rfc3339(work.now),
        "databaseBytes": size,
        "capacityBytes": disk.capacity,
        "freeBytes": disk.free,
        "samples": len(earlier) + 1,
        "growthBytesPerDay": None if growth is None else round(growth),
        "daysToFull": None if days is None else round(days, 1),
        "fullOn": None if days is None or days > 36500 else str((work.now + timedelta(days=days)).date()),
        "note": note,
        "warnings": [f"full in {days:.0f} days"] if days is not None and days < WARN_DAYS else [],
        "tables": [
            {"table": name, "bytes": bytes_, "growthBytesPerDay": _growth_of(name, bytes_, earlier, work.now)}
            for name, bytes_ in tables.items()
        ],
    }
    if body["warnings"] and not work.dry_run:
        logger.error("disk_fills", extra={"days": round(days or 0.0, 1), "free": disk.free})
    if unknown:
        raise DoneInPart(unknown, body)
    return body


def newest() -> Mapping[str, Any]:
    """What the newest run said; empty when there was none."""
    run = JobRun.objects.of(JOB).real().exclude(result=None).newest_first().first()
    return (run.result or {}) if run else {}


def slope(samples: Sequence[tuple[datetime, int]]) -> float:
    """Bytes a day, by the line of least squares through samples of different moments."""
    first = samples[0][0]
    days = [(at - first) / timedelta(days=1) for at, _ in samples]
    return statistics.linear_regression(days, [bytes_ for _, bytes_ in samples]).slope


def _measured() -> tuple[int, dict[str, int]]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())::bigint")
        size = int(cursor.fetchone()[0])
        cursor.execute(_SIZES, [MOST_TABLES])
        return size, {name: int(bytes_) for name, bytes_ in cursor.fetchall()}


def _samples(now: datetime) -> list[tuple[datetime, int, dict[str, int]]]:
    """Earlier measurements, oldest first. One dated after now is of a clock that was wrong: it does not count."""
    found = []
    for run in JobRun.objects.of(JOB).real().exclude(result=None).order_by("started_at"):
        result = run.result or {}
        if "databaseBytes" not in result or (at := datetime.fromisoformat(result["measuredAt"])) >= now:
            continue
        found.append((at, int(result["databaseBytes"]), {t["table"]: int(t["bytes"]) for t in result["tables"]}))
    return found


def _too_few(moments: Sequence[datetime]) -> str | None:
    if len(moments) < LEAST_SAMPLES:
        return f"not enough samples: {len(moments)} of {LEAST_SAMPLES}"
    if max(moments) - min(moments) < LEAST_SPAN:
        return f"not enough samples: they span less than {LEAST_SPAN.days} days"
    return None


def _growth_of(
    table: str, size: int, earlier: Sequence[tuple[datetime, int, Mapping[str, int]]], now: datetime
) -> int | None:
    samples = [*((at, tables[table]) for at, _, tables in earlier if table in tables), (now, size)]
    return None if _too_few([at for at, _ in samples]) else round(slope(samples))


def _disk(size: int) -> Disk:
    """Raises OSError when DISK_PATH cannot be asked."""
    if settings.DISK_CAPACITY_BYTES > 0:
        return Disk(capacity=settings.DISK_CAPACITY_BYTES, free=max(0, settings.DISK_CAPACITY_BYTES - size))
    if settings.DISK_PATH:
        asked = os.statvfs(settings.DISK_PATH)
        # What others keep on it is not to be had either, nor what only the superuser may fill.
        return Disk(capacity=asked.f_blocks * asked.f_frsize, free=asked.f_bavail * asked.f_frsize)
    return Disk()


def _days_to_full(disk: Disk, growth: float | None) -> float | None:
    if disk.free == 0:
        return 0.0
    if disk.free is None or growth is None or growth <= 0:
        return None
    return disk.free / growth


def _note(disk: Disk, growth: float | None) -> str:
    if disk.capacity is None:
        return "the disk's size is not known: set DISK_CAPACITY_BYTES or DISK_PATH"
    return "it does not grow" if growth is not None and growth <= 0 else ""
