"""When a report is due and what it covers, right where clocks are changed. Pure: no clock, no database.

A schedule has a cadence, days at a time of the wall clock in a zone of the IANA database, and a span: the day, ISO
week, month or quarter that ended last before such a day. A period is reported once, at the first moment of the cadence
after it ended. A time of the wall clock that does not exist moves by what was left out, and one that comes twice
counts the first time (RFC 5545, section 3.3.5), as with pipelines; so do the midnights at which periods begin and end.
The 31st is the last day of every month, the 30th that of February too.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

# After downtime so many periods are made up for, the newest; those before are skipped, and said to be.
MOST_CAUGHT_UP = 31
# So far back that is said of each: beyond, nobody needs a line for every day.
MOST_SKIPPED = 366

_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)
# Between two days of a cadence, and then some.
_FARTHEST = timedelta(days=70)
# A moment and its wall clock are less than a day apart, and clocks have left out a whole one.
_MARGIN = timedelta(days=2)
# A quarter ends at least so often.
_LONGEST_WAIT = timedelta(days=130)


class Cadence(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class Span(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """`weekday` is 1 (Monday) to 7 and said of a weekly cadence, `day` 1 to 31 and said of a monthly one."""

    span: Span
    cadence: Cadence
    at: time
    zone: ZoneInfo
    weekday: int | None = None
    day: int | None = None


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A moment (UTC) at which a period is due: the days from `first` to `last`, both included."""

    at: datetime
    first: date
    last: date

    @property
    def period(self) -> tuple[date, date]:
        return self.first, self.last


@dataclass(frozen=True, kw_only=True)
class Due:
    """Oldest first."""

    run: tuple[Slot, ...] = ()
    skipped: tuple[Slot, ...] = ()


def due(terms: Terms, *, after: datetime, now: datetime, done: Collection[tuple[date, date]] = ()) -> Due:
    """What became due later than `after` and until `now`, without the periods that are `done` already."""
    found = [slot for slot in slots(terms, after=after, until=now) if slot.period not in done]
    skipped, run = found[:-MOST_CAUGHT_UP], found[-MOST_CAUGHT_UP:]
    return Due(run=tuple(run), skipped=tuple(skipped[-MOST_SKIPPED:]))


def slots(terms: Terms, *, after: datetime, until: datetime) -> Iterator[Slot]:
    """Every moment later than `after` and until `until` at which a period is due, oldest first."""
    if after >= until:
        return
    begin = after.astimezone(terms.zone).date() - _FARTHEST
    end = until.astimezone(terms.zone).date() + _MARGIN
    for before, day in pairwise(_days(terms, begin, end)):
        first, last = covered(terms.span, day)
        at = moment(day, terms.at, terms.zone)
        if covered(terms.span, before) == (first, last) or not after < at <= until:
            continue
        start, end = moments(first, last, terms.zone)
        # A day that the calendar left out has no time.
        if start < end:
            yield Slot(at=at, first=first, last=last)


def following(terms: Terms, *, after: datetime) -> Slot:
    """The next one."""
    return next(slots(terms, after=after, until=after + _LONGEST_WAIT))


def since(
    terms: Terms, *, before: Terms, after: datetime, now: datetime, done: Collection[tuple[date, date]] = ()
) -> datetime:
    """From when `terms` count, which replace others `before`, by which nothing later than `after` was looked for.

    From now on; or earlier, where a period was due and is not made, or would have been next, whose moment by the new
    terms is over already: it would be lost. With another span nothing is.
    """
    if terms.span is not before.span:
        return now
    wanted = (*due(before, after=after, now=now, done=done).run, following(before, after=max(after, now)))
    begin = min(midnight(wanted[0].first, terms.zone), now)
    passed = (slot for slot in slots(terms, after=begin, until=now) if slot.first >= wanted[0].first)
    lost = next((slot for slot in passed if slot.period not in done), None)
    return lost.at - _INSTANT if lost is not None else now


def newest(terms: Terms, *, now: datetime) -> tuple[date, date]:
    """The period of this span that ended last, whether it was due yet or not."""
    return covered(terms.span, now.astimezone(terms.zone).date())


def covered(span: Span, day: date) -> tuple[date, date]:
    """The newest period that is over when `day` begins: its first day and its last."""
    if span is Span.DAY:
        return day - _DAY, day - _DAY
    if span is Span.WEEK:
        monday = day - timedelta(days=day.weekday())
        return monday - timedelta(days=7), monday - _DAY
    months = 3 if span is Span.QUARTER else 1
    number = (day.year * 12 + day.month - 1) // months * months
    return _month(number - months), _month(number) - _DAY


def moments(first: date, last: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When the first day begins and when the last is over (UTC)."""
    return midnight(first, zone), midnight(last + _DAY, zone)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins (UTC)."""
    return moment(day, time(), zone)


def moment(day: date, at: time, zone: ZoneInfo) -> datetime:
    """When the wall clock of the zone shows this (UTC)."""
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)


def _days(terms: Terms, begin: date, end: date) -> Iterator[date]:
    """The days of a cadence, in order."""
    day = begin
    while day <= end:
        if terms.cadence is Cadence.DAILY or _is_of(terms, day):
            yield day
        day += _DAY


def _is_of(terms: Terms, day: date) -> bool:
    if terms.cadence is Cadence.WEEKLY:
        return day.isoweekday() == terms.weekday
    wanted = terms.day or 1
    return day.day == wanted or (day.day < wanted and (day + _DAY).day == 1)


def _month(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)
