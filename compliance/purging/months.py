"""Dropping months whole: the partitions in which no row of any tenant has a reason to stay.

The database decides and leaves the records: months.sql. What is said here is which months there are, and what laws ask.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.db import connection

from compliance.retention import laws
from customers.catalogue import CATALOGUE, CLEANUP, Entity
from customers.partitions import PARTITIONED, months_of
from kaireon.api import metrics
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.lib.ids import uuid7
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, platform_scope, requires_transaction, transaction

logger = logging.getLogger("kaireon.retention")

# What the database says of a month that somebody uses: the rest of its table is for the next time.
BUSY = "busy"


@dataclass(frozen=True, kw_only=True)
class Month:
    """One month of an entity, and what became of it. `kept_by` is the first reason that was found for it to stay; when
    it is empty the month is gone, or would be in a dry run. `rows` by tenant, of one that goes."""

    entity: str
    first: date
    kept_by: str = ""
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.rows.values())

    @property
    def name(self) -> str:
        return f"{self.first:%Y-%m}"


@context.without_transaction
def drop_past(*, now: datetime, actor: Actor, dry_run: bool = False, budget: Budget | None = None) -> list[Month]:
    """Drop every month in which all rows of all tenants are past their time and free, the oldest first.

    Each month is a transaction of its own, with the records of each tenant in it: all of it or nothing. What the
    database keeps, and what there was no time for, goes row by row, by each tenant's purge, as soon as nothing keeps
    it. A dry run goes the same way up to the records.
    """
    looked_at: list[Month] = []
    for entity in kept_by_month():
        for first in _past_months(entity, now):
            if budget is not None and budget.spent:
                return looked_at
            with platform_scope(actor=actor), transaction():
                month = drop(entity, first, now=now, dry_run=dry_run)
            looked_at.append(month)
            if month.kept_by == BUSY:
                break
            if not month.kept_by and not dry_run:
                metrics.ROWS_PURGED.labels(entity.name).inc(month.total)
                logger.info("month_dropped", extra={"entity": entity.name, "month": month.name, "rows": month.total})
    return looked_at


@requires_transaction
def drop(entity: Entity, first: date, *, now: datetime, run: UUID | None = None, dry_run: bool = False) -> Month:
    """Drop the month that begins on this day, unless the database finds a reason to keep it.

    Raises OperationalError in a stricter isolation level than READ COMMITTED.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT public.month_drop(%s, %s, %s::jsonb, %s, %s, %s)",
            [entity.table, first, json.dumps(floors(entity.data_class)), now, run or uuid7(), dry_run],
        )
        (said,) = cursor.fetchone()
    answer: dict[str, Any] = json.loads(said)
    return Month(entity=entity.name, first=first, kept_by=answer["keptBy"] or "", rows=answer.get("tenants", {}))


def floors(data_class: str) -> list[dict[str, Any]]:
    """What each law asks of a class at least. Which of them bind a tenant, and since when, the database knows."""
    return [
        {
            "law": bound.law,
            "days": bound.days,
            "citation": bound.citation,
            "starts": clock.rfc3339(bound.starts) if bound.starts else None,
        }
        for bound in laws.bounds(laws.BY_NAME, data_class)
    ]


def kept_by_month() -> list[Entity]:
    return [entity for entity in CATALOGUE if entity.table in PARTITIONED and CLEANUP in entity.swept_by]


def _past_months(entity: Entity, now: datetime) -> Iterator[date]:
    today = now.astimezone(UTC).date()
    return (first for first in months_of(entity.table) if (first.year, first.month) < (today.year, today.month))
