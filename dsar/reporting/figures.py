"""Volumes, outcomes, on-time rate and days to answer of a period: counted by the database, in one pass.

How it is counted:

- A period is whole days, the first and the last included. What happens falls on the day it had in the time zone that
  the request's clock was begun with: the tenant's.
- `received`: the day of receipt is in the period; duplicates and those that were withdrawn later are received too.
- What ended is counted by the day it ended, whenever it was received: so the figures of a year that is over stay.
  The answer to an erasure that a hold defers is the first one, with the outcome that it has when the report is made.
- `answered` is what was complied with in whole or in part, `no_data` (nothing is held: a truthful answer) and denied.
  Withdrawn and duplicates have no answer of their own: they are counted, and are in no rate, median or mean.
- Days to answer are calendar days from the day of receipt, itself not counted: 0 on the same day. Pauses are not
  taken out. `on_time`: not after the deadline that counted then, extension and pauses included.
- `open_at_end`: received by the last day of the period and not ended by it, withdrawn and duplicates as any other;
  `overdue_at_end`: those whose deadline is over by then, or by today in a period that runs still.

A request that failed and is tried again is one. What retention shreds keeps its dates, and is counted.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from psycopg.types.json import Jsonb

from dsar import deadlines
from dsar.models import RequestType
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

_FIGURES = (Path(__file__).parent / "figures.sql").read_text()
_DENIALS = """
    SELECT regulation, request_type, ground, count(*)
    FROM dsar_dsarrequest, LATERAL (SELECT coalesce(clock_terms ->> 'zone', %(zone)s) AS zone) AS begun_with
    WHERE tenant_id = %(tenant)s AND outcome = 'rejected'
        AND (closed_at AT TIME ZONE zone)::date BETWEEN %(from)s AND %(to)s
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_STATES = """
    SELECT state, count(*)
    FROM dsar_dsarrequest, LATERAL (SELECT coalesce(clock_terms ->> 'zone', %(zone)s) AS zone) AS begun_with
    WHERE tenant_id = %(tenant)s AND (received_at AT TIME ZONE zone)::date BETWEEN %(from)s AND %(to)s
    GROUP BY 1 ORDER BY 1
"""
# What 11 CCR § 7102(a)(1) counts apart, and the kinds of requests that are each.
METRICS: dict[str, Collection[str]] = {
    "delete": (RequestType.DELETE,),
    "correct": (RequestType.RECTIFICATION,),
    "know": (RequestType.EXPORT, RequestType.PORTABILITY),
    "opt_out": (RequestType.OPT_OUT, RequestType.OBJECTION),
    "limit": (RequestType.RESTRICTION,),
}
CCPA = "ccpa"
EARLIEST = date(2000, 1, 1)
# Bits of GROUPING(regulation, request_type, metric): which of them a line is not about.
_BOTH, _METRIC, _LAW, _KIND, _ALL = 0b001, 0b010, 0b011, 0b101, 0b111


class BadPeriod(ValueError):
    """No period: its end is before its beginning, or it begins before the year 2000. `str()` says which."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """One line; `regulation` and `request_type` are empty where it is about all of them."""

    regulation: str = ""
    request_type: str = ""
    received: int = 0
    in_whole: int = 0
    in_part: int = 0
    no_data: int = 0
    denied: int = 0
    withdrawn: int = 0
    duplicates: int = 0
    answered: int = 0
    on_time: int = 0
    extended: int = 0
    median_days: float | None = None
    mean_days: float | None = None
    open_at_end: int = 0
    overdue_at_end: int = 0

    @property
    def on_time_rate(self) -> float | None:
        """In per cent, with one decimal; None when nothing was answered."""
        return round(100 * self.on_time / self.answered, 1) if self.answered else None

    @property
    def complied(self) -> int:
        """In whole or in part."""
        return self.in_whole + self.in_part


@dataclass(frozen=True, kw_only=True, slots=True)
class Denial:
    regulation: str
    request_type: str
    ground: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """`states` are those that the requests received in the period are in now; `metrics` are of the CCPA alone."""

    since: date
    until: date
    zone: str
    total: Figures
    lines: list[Figures]
    by_kind: list[Figures]
    by_law: list[Figures]
    metrics: dict[str, Figures]
    denials: list[Denial]
    states: dict[str, int]

    @property
    def is_empty(self) -> bool:
        return not (self.total.received or self.total.answered or self.total.open_at_end or self.total.withdrawn)

    def denied_on(self, *, regulation: str = "", request_type: str = "") -> dict[str, int]:
        """How many were denied on which ground; empty: under all laws, of all kinds."""
        found: dict[str, int] = {}
        for denial in self.denials:
            if regulation in ("", denial.regulation) and request_type in ("", denial.request_type):
                found[denial.ground] = found.get(denial.ground, 0) + denial.count
        return found


@requires_transaction
def report(*, since: date, until: date, zone: ZoneInfo, now: datetime) -> Report:
    """The figures of these days of the active tenant. Raises BadPeriod."""
    if until < since:
        raise BadPeriod("The period ends before it begins.")
    if since < EARLIEST:
        raise BadPeriod("No request was received before the year 2000.")
    if until.year > date.max.year - 1:
        raise BadPeriod("The period ends after all days.")
    values = {
        "tenant": context.tenant_id(),
        "zone": zone.key,
        "from": since,
        "to": until,
        # A deadline is over when its day is.
        "late": min(until + timedelta(days=1), deadlines.local_date(now, zone)),
        "metrics": Jsonb({kind: metric for metric, kinds in METRICS.items() for kind in kinds}),
    }
    rows = _rows(_FIGURES, values)
    by_metric = {row["metric"]: _line(row) for row in rows if row["left_out"] == _METRIC and row["regulation"] == CCPA}
    return Report(
        since=since,
        until=until,
        zone=zone.key,
        total=_of(rows, _ALL)[0],
        lines=_of(rows, _BOTH),
        by_kind=_of(rows, _KIND),
        by_law=_of(rows, _LAW),
        metrics={name: by_metric.get(name, Figures(regulation=CCPA)) for name in METRICS},
        denials=[
            Denial(regulation=law, request_type=kind, ground=ground, count=count)
            for law, kind, ground, count in _tuples(_DENIALS, values)
        ],
        states=dict(_tuples(_STATES, values)),
    )


def _of(rows: list[dict[str, Any]], left_out: int) -> list[Figures]:
    return [_line(row) for row in rows if row["left_out"] == left_out]


def _line(row: Mapping[str, Any]) -> Figures:
    known = {field.name: row[field.name] for field in fields(Figures)}
    words = {name: value or "" for name, value in known.items() if name in ("regulation", "request_type")}
    numbers = {name: float(value) for name, value in known.items() if isinstance(value, Decimal)}
    return Figures(**{**known, **words, **numbers})


def _rows(sql: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _tuples(sql: str, values: Mapping[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())
