"""Lengths of time, counted in days of the calendar. Pure."""

from calendar import monthrange
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

_SATURDAY = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """A length of time in one unit."""

    months: int = 0
    days: int = 0
    business_days: int = 0

    def after(self, day: date, holidays: Collection[date] = ()) -> date:
        """The last day of this period when it begins with the day after `day`."""
        if self.business_days:
            return add_business_days(day, self.business_days, holidays)
        return add_months(day, self.months) + timedelta(days=self.days)

    def __str__(self) -> str:
        for count, unit in ((self.months, "month"), (self.business_days, "business day"), (self.days, "day")):
            if count:
                return f"{count} {unit}{'s' if count > 1 else ''}"
        return "no time"


def add_months(day: date, months: int) -> date:
    """The same date so many months later, or that month's last day when there is no such date."""
    year, month0 = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month0 + 1, min(day.day, monthrange(year, month0 + 1)[1]))


def add_business_days(day: date, count: int, holidays: Collection[date] = ()) -> date:
    """The so many-th working day after `day`, which itself is not counted."""
    for _ in range(count):
        day = working_day_from(day + timedelta(days=1), holidays)
    return day


def working_day_from(day: date, holidays: Collection[date] = ()) -> date:
    """The day itself, or the next one that is neither Saturday, Sunday nor holiday."""
    while day.weekday() >= _SATURDAY or day in holidays:
        day += timedelta(days=1)
    return day
