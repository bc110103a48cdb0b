"""Five-field cron expressions, as wall-clock times: which minutes of a day, and which days."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


class CronInvalid(ValueError):
    """Not a cron expression. The message says which field and what it takes."""


@dataclass(frozen=True)
class _Field:
    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()

    def read(self, text: str) -> frozenset[int]:
        found: set[int] = set()
        for part in text.split(","):
            found.update(self._part(part))
        return frozenset(found)

    def _part(self, part: str) -> range:
        span, slash, by = part.partition("/")
        if slash and not (by.isascii() and by.isdigit() and 1 <= int(by) <= self.most + 1):
            raise self._refused(part)
        step = int(by) if slash else 1
        if span == "*":
            return range(self.least, self.most + 1, step)
        first, dash, last = span.partition("-")
        low = self._number(first, part)
        high = self._number(last, part) if dash else (self.most if slash else low)
        if high < low:
            raise self._refused(part)
        return range(low, high + 1, step)

    def _number(self, text: str, part: str) -> int:
        if text.lower() in self.names:
            return self.names.index(text.lower()) + self.least
        if not (text.isascii() and text.isdigit() and len(text) <= 2 and self.least <= int(text) <= self.most):
            raise self._refused(part)
        return int(text)

    def _refused(self, part: str) -> CronInvalid:
        return CronInvalid(f"{part[:20]!r} is no {self.name}: {self.least} to {self.most}, *, lists, ranges, /steps.")


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    # 7 is Sunday too.
    _Field("day of week", 0, 7, _DAYS),
)


@dataclass(frozen=True, kw_only=True)
class Crontab:
    """When both days are restricted, either fits, as in cron. `every_hour`: it leaves no hour out, so it follows
    elapsed time where clocks are changed."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    every_hour: bool

    @classmethod
    def parse(cls, text: str) -> "Crontab":
        """Raises CronInvalid, also for a day that never comes."""
        fields = text.split()
        if len(fields) != len(_FIELDS):
            raise CronInvalid("must have five fields: minute, hour, day of month, month, day of week.")
        minutes, hours, days, months, weekdays = (f.read(t) for f, t in zip(_FIELDS, fields, strict=True))
        made = cls(
            minutes=minutes,
            hours=hours,
            days=days,
            months=months,
            weekdays=frozenset(day % 7 for day in weekdays),
            either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
            every_hour=len(hours) == 24,
        )
        if next(made.days_from(date(2024, 1, 1), date(2032, 1, 1)), None) is None:
            raise CronInvalid("names a day that never comes.")
        return made

    def days_from(self, first: date, end: date) -> Iterator[date]:
        day = first
        while day < end:
            if self._fits(day):
                yield day
            day += timedelta(days=1)

    def times_from(self, first: datetime, end: datetime) -> Iterator[datetime]:
        """Wall-clock times without a zone, in order, from `first` on and before `end`."""
        for day in self.days_from(first.date(), end.date() + timedelta(days=1)):
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    moment = datetime.combine(day, time(hour, minute))
                    if first <= moment < end:
                        yield moment

    def _fits(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.either_day else by_month and by_week
