"""The moments at which a schedule is due, each with one name: its time in UTC. Pure, right across changes of clocks.

A fixed hour that the clock skips is due once, as much later as was skipped; one that the clock shows twice is due the
first time. Where every hour is meant (`*/15 * * * *`), both are, so nothing is lost or doubled in either direction.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from celery.schedules import ParseException, crontab_parser

# A schedule that is due never, such as 31 February, is found out after so many days: leap days come every eight years.
_FURTHEST = 366 * 9


class BadSchedule(ValueError):
    """Not five fields of cron, or no such time zone."""


@dataclass(frozen=True)
class Every:
    """Due at whole multiples of so many seconds since 1970."""

    seconds: int

    def last(self, until: datetime) -> datetime | None:
        return datetime.fromtimestamp(int(until.timestamp()) // self.seconds * self.seconds, UTC)

    def next(self, after: datetime) -> datetime | None:
        return datetime.fromtimestamp((int(after.timestamp()) // self.seconds + 1) * self.seconds, UTC)


@dataclass(frozen=True)
class Cron:
    """Five fields as celery reads them (day of month and day of week must both fit), in a zone."""

    text: str
    zone: str = "UTC"

    def __post_init__(self) -> None:
        self._fields()

    def last(self, until: datetime) -> datetime | None:
        """The newest moment up to and including `until`; None when it was never due."""
        day = self._day(until) + timedelta(days=1)
        for back in range(_FURTHEST):
            for moment in reversed(self._moments(day - timedelta(days=back))):
                if moment <= until:
                    return moment
        return None

    def next(self, after: datetime) -> datetime | None:
        """The first moment after `after`; None when it is never due again."""
        day = self._day(after) - timedelta(days=1)
        for on in range(_FURTHEST):
            for moment in self._moments(day + timedelta(days=on)):
                if moment > after:
                    return moment
        return None

    def _day(self, moment: datetime) -> date:
        return moment.astimezone(ZoneInfo(self.zone)).date()

    def _moments(self, day: date) -> tuple[datetime, ...]:
        return _moments(self, day)

    def _fields(self) -> tuple[frozenset[int], ...]:
        return _fields(self.text, self.zone)


Timing = Cron | Every


def between(timing: Timing, after: datetime, until: datetime) -> Iterator[datetime]:
    """The moments after the one and up to the other, oldest first."""
    moment = timing.next(after)
    while moment is not None and moment <= until:
        yield moment
        moment = timing.next(moment)


@lru_cache(maxsize=256)
def _fields(text: str, zone: str) -> tuple[frozenset[int], ...]:
    parts = text.split()
    if len(parts) != 5:
        raise BadSchedule(f"{text!r} has not five fields.")
    try:
        ZoneInfo(zone)
        ranges = ((60, 0), (24, 0), (31, 1), (12, 1), (7, 0))
        return tuple(
            frozenset(crontab_parser(most, least).parse(part))
            for part, (most, least) in zip(parts, ranges, strict=True)
        )
    except (ParseException, ValueError, KeyError, OSError) as e:
        raise BadSchedule(f"{text!r} in {zone!r} is no schedule.") from e


@lru_cache(maxsize=4096)
def _moments(cron: Cron, day: date) -> tuple[datetime, ...]:
    minutes, hours, days, months, weekdays = cron._fields()
    if day.month not in months or day.day not in days or day.isoweekday() % 7 not in weekdays:
        return ()
    zone = ZoneInfo(cron.zone)
    found = set()
    for hour in hours:
        for minute in minutes:
            # fold=0 takes a skipped time by the offset before the change, and a doubled one the first time.
            wall = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
            found.add(wall.astimezone(UTC))
            if len(hours) == 24:
                found.add(wall.replace(fold=1).astimezone(UTC) if _is_doubled(wall) else wall.astimezone(UTC))
    return tuple(sorted(found))


def _is_doubled(wall: datetime) -> bool:
    late = wall.replace(fold=1)
    return wall.utcoffset() != late.utcoffset() and late.astimezone(UTC).astimezone(wall.tzinfo) == late
