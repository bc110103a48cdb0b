"""RRULE of RFC 5545, as wall-clock times: its parts checked, its dates found by dateutil."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import DAILY, HOURLY, MINUTELY, MONTHLY, WEEKLY, YEARLY, rrule, rrulestr

MAX_COUNT = 10_000


class RecurrenceInvalid(ValueError):
    """Not an RRULE, or none that can be kept. The message says which part and what it takes."""


_HOUR = timedelta(hours=1)
# How far one recurrence of each frequency is from the next, where that is always the same.
_UNITS = {
    MINUTELY: timedelta(minutes=1),
    HOURLY: timedelta(hours=1),
    DAILY: timedelta(days=1),
    WEEKLY: timedelta(weeks=1),
}
_HORIZONS = {
    MINUTELY: timedelta(days=60),
    HOURLY: timedelta(days=400),
    DAILY: timedelta(days=366 * 5),
    WEEKLY: timedelta(days=366 * 10),
    MONTHLY: timedelta(days=366 * 12),
    YEARLY: timedelta(days=366 * 40),
}


@dataclass(frozen=True)
class Recurrence:
    """An RRULE from a wall-clock `start` on; `until` is a moment."""

    rule: Any
    start: datetime
    counted: bool

    @property
    def by_elapsed_time(self) -> bool:
        unit = _UNITS.get(self.rule._freq, timedelta.max)
        return unit <= _HOUR // self.rule._interval and not self.rule._original_rule.get("byhour")

    @property
    def horizon(self) -> timedelta:
        return _HORIZONS[self.rule._freq]

    def between(self, first: datetime, end: datetime) -> Iterator[datetime]:
        """Raises RecurrenceInvalid: of some rules dateutil finds only when asked for dates that it cannot give any."""
        try:
            # A rule that counts ends itself; dateutil takes one end only.
            for moment in self.rule if self.counted else self.rule.replace(dtstart=self._near(first), until=end):
                if moment >= end:
                    return
                if moment >= first:
                    yield moment
        except (ValueError, TypeError, LookupError, OverflowError) as e:
            raise _no_rrule() from e

    def _near(self, first: datetime) -> datetime:
        """A start that gives the same times from `first` on: a rule of years is not walked through from its beginning.

        Whole steps later is the same rule, unless it counts.
        """
        unit = _UNITS.get(self.rule._freq)
        if unit is None or self.counted or first <= self.start:
            return self.start
        step: timedelta = unit * self.rule._interval
        return self.start + step * max(0, (first - self.start) // step - 1)


def parts_of(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in text.strip(";").split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name in parts:
            raise RecurrenceInvalid(f"{part[:40]!r} is no NAME=VALUE, or comes twice.")
        parts[name] = value
    if parts.get("FREQ") == "SECONDLY" or "BYSECOND" in parts:
        raise RecurrenceInvalid("may not run oftener than every minute.")
    for name, most in (("COUNT", MAX_COUNT), ("INTERVAL", 100_000)):
        value = parts.get(name, "1")
        if not (value.isascii() and value.isdigit() and 1 <= int(value[:12]) <= most):
            raise RecurrenceInvalid(f"{name} must be 1 to {most}.")
    _check_parts(parts)
    return parts


# RFC 5545 has them for these frequencies only; the others would be searched for dates until the year 9999.
_ONLY_WITH = {
    "BYWEEKNO": ("YEARLY",),
    "BYYEARDAY": ("YEARLY",),
    "BYEASTER": (),
    "BYSETPOS": ("YEARLY", "MONTHLY"),
    "BYMONTHDAY": ("YEARLY", "MONTHLY", "DAILY"),
}
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# Least and most of each list of numbers; where the least is negative, 0 is none of them.
_RANGES = {
    "BYHOUR": (0, 23),
    "BYMINUTE": (0, 59),
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (-31, 31),
    "BYYEARDAY": (-366, 366),
    "BYWEEKNO": (-53, 53),
    "BYSETPOS": (-366, 366),
}
_WEEKDAY = re.compile(r"([+-]?[1-9][0-9]?)?(MO|TU|WE|TH|FR|SA|SU)")


def _check_parts(parts: Mapping[str, str]) -> None:
    frequency = parts.get("FREQ", "")
    for name, frequencies in _ONLY_WITH.items():
        if name in parts and frequency not in frequencies:
            raise RecurrenceInvalid(f"{name} does not go with FREQ={frequency[:10]}.")
    numbers = {name: _numbers(name, parts[name]) for name in _RANGES if name in parts}
    for day in parts.get("BYDAY", "MO").split(","):
        found = _WEEKDAY.fullmatch(day)
        if found is None or (found[1] and frequency not in ("YEARLY", "MONTHLY")):
            raise RecurrenceInvalid("BYDAY is a list of MO to SU, with a number only by month or year.")
        if found[1] and abs(int(found[1])) > (5 if frequency == "MONTHLY" or "BYMONTH" in parts else 53):
            raise RecurrenceInvalid("BYDAY counts to 5 in a month and to 53 in a year.")
    months, days = numbers.get("BYMONTH", [1]), [abs(day) for day in numbers.get("BYMONTHDAY", [1])]
    if all(day > _LONGEST[month - 1] for month in months for day in days):
        raise RecurrenceInvalid("never comes.")


def _numbers(name: str, text: str) -> list[int]:
    least, most = _RANGES[name]
    try:
        found = [int(number) for number in text.split(",")]
    except ValueError as e:
        raise RecurrenceInvalid(f"{name} is a list of numbers.") from e
    if not all(least <= number <= most and (number or not least) for number in found):
        said = f"{least} to {most}" if least >= 0 else f"1 to {most} or {least} to -1"
        raise RecurrenceInvalid(f"{name} must be {said}.")
    return found


def until(text: str, zone: ZoneInfo) -> datetime | None:
    if not text:
        return None
    try:
        if len(text) == len("20260115"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=zone).astimezone(UTC)
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError) as e:
        raise RecurrenceInvalid("UNTIL must be a moment such as 20261231T235959Z.") from e


def recurring(parts: Mapping[str, str], start: datetime) -> Recurrence:
    try:
        rule = rrulestr(";".join(f"{name}={value}" for name, value in parts.items()), dtstart=start)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as e:
        raise _no_rrule() from e
    assert isinstance(rule, rrule)  # noqa: S101  one rule gives one
    return Recurrence(rule, start, "COUNT" in parts)


def _no_rrule() -> RecurrenceInvalid:
    return RecurrenceInvalid("is no RRULE of RFC 5545, such as FREQ=WEEKLY;BYDAY=MO;BYHOUR=6.")
