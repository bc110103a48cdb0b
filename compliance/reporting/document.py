"""What a report says, whatever it is written as: sections of figures, charts and tables. Knows no framework.

A document holds no personal data of subjects: counts, references, positions in the log.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

ChartKind = Literal["bar", "line", "stacked"]
Cell = str | int | float | None

# The longest that a report is about: a leap year and a day for where the clocks changed.
LONGEST = timedelta(days=367)
# Up to so many days a chart has a point for each day, then one for each month.
_DAYS = 62
# By so much clocks that change make a period longer, and no day is shorter.
_CHANGE = timedelta(hours=3)


class BadDocument(ValueError):
    """A chart or a table whose parts do not fit each other, or a period that is none. `str()` says which."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One point of a chart over a period: `label` is a day (2026-03-01) or a month (2026-03)."""

    label: str
    start: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class Period:
    """From `start` on, up to and without `end`; both in UTC. Raises BadDocument."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.utcoffset() != timedelta(0) or self.end.utcoffset() != timedelta(0):
            raise BadDocument("A period begins and ends at a moment in UTC.")
        if self.end <= self.start:
            raise BadDocument("The period ends before it begins.")
        if self.end - self.start > LONGEST:
            raise BadDocument(f"A report is about {LONGEST.days} days at most.")

    @property
    def is_by_day(self) -> bool:
        """Whether its parts are days; months otherwise."""
        return self.end - self.start <= timedelta(days=_DAYS) + _CHANGE

    def days(self, zone: ZoneInfo) -> tuple[date, date]:
        """The first and the last day that it touches, by the clocks of `zone`."""
        last = self.end - timedelta(microseconds=1)
        return self.start.astimezone(zone).date(), last.astimezone(zone).date()

    def parts(self, zone: ZoneInfo) -> tuple[Part, ...]:
        """Its days or months by the clocks of `zone`, cut off where the period begins and ends, without a gap."""
        return tuple(self._parts(zone))

    def _parts(self, zone: ZoneInfo) -> Iterator[Part]:
        at = self.start
        while at < self.end:
            local = at.astimezone(zone)
            if self.is_by_day:
                label, after = f"{local:%Y-%m-%d}", local.date() + timedelta(days=1)
            else:
                first = local.date().replace(day=1)
                label, after = f"{local:%Y-%m}", (first + timedelta(days=32)).replace(day=1)
            begin = datetime(after.year, after.month, after.day, tzinfo=zone).astimezone(UTC)
            yield Part(label=label, start=at, end=min(begin, self.end))
            at = begin


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number with its unit, as text. None: there is none to be had, which the note explains."""

    label: str
    value: str | None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One value for each label of its chart; None where there is none, which is not 0."""

    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """`unit` says what the numbers count. Raises BadDocument where a series does not fit the labels."""

    kind: ChartKind
    title: str
    unit: str
    labels: tuple[str, ...]
    series: tuple[Series, ...]

    def __post_init__(self) -> None:
        if any(len(one.values) != len(self.labels) for one in self.series):
            raise BadDocument(f"In the chart {self.title[:64]!r} a series has not one value for each label.")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Numbers stay numbers, so that they are aligned and read as such. `truncated`: so many rows more there are."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    truncated: int = 0

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise BadDocument(f"In the table {self.title[:64]!r} a row has not one cell for each column.")


@dataclass(frozen=True, kw_only=True)
class Section:
    """`note` says how it is counted, or that there was nothing."""

    title: str
    note: str = ""
    figures: tuple[Figure, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Document:
    """A report of one template about one tenant and one period. `time_zone` is the IANA name its times are told in."""

    template: str
    title: str
    tenant: str
    period: Period
    generated_at: datetime
    time_zone: str
    summary: str
    sections: tuple[Section, ...]

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last day that the period touches."""
        return self.period.days(self.zone)


def moment(at: datetime, zone: ZoneInfo) -> str:
    """`2026-03-01 09:30 CET`; to the minute."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def day(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d}"


def count(number: int) -> str:
    return f"{number:,}"


def several(number: int, one: str, many: str = "") -> str:
    """`1 record`, `2,000 records`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.1f} %"
