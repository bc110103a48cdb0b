"""How urgent a request is: the days that are left, and what they mean under its law. Pure.

A request is soon due in the last quarter of the time that its law gives for such a one: the last 7 days of the GDPR's
month, the last 11 of the CCPA's 45 days, the last 5 of its 15 business days.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache

from dsar import deadlines
from dsar.periods import Period

_SHARE = 4
# Days of the calendar, for this alone.
_MONTH, _WEEK, _WORKING_DAYS = 30, 7, 5


class Urgency(StrEnum):
    OVERDUE = "overdue"
    SOON = "soon"
    IN_TIME = "in_time"
    PAUSED = "paused"
    ANSWERED = "answered"


TITLES: dict[Urgency, str] = {
    Urgency.OVERDUE: "Overdue",
    Urgency.SOON: "Soon due",
    Urgency.IN_TIME: "In time",
    Urgency.PAUSED: "The clock stands",
    Urgency.ANSWERED: "Answered",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """`days` to the last day in time: 0 on that day, negative when late, None when nothing runs."""

    urgency: Urgency
    days: int | None
    text: str


@cache
def soon_days(regulation: str, request_type: str) -> int:
    """With so many days left, or fewer, it is soon due. Raises deadlines.UnknownRegulation."""
    terms = deadlines.law_pack(regulation).terms(deadlines.right_of(request_type))
    return max(1, _days_in(terms.respond) // _SHARE)


def standing(
    *, regulation: str, request_type: str, deadline: date | None, answered: date | None, today: date
) -> Standing:
    """Where a request stands on this day, in words that need no colour."""
    if answered is not None:
        late = (answered - deadline).days if deadline is not None else 0
        text = f"answered {_count(late)} late" if late > 0 else "answered in time"
        return Standing(urgency=Urgency.ANSWERED, days=None, text=text)
    if deadline is None:
        return Standing(urgency=Urgency.PAUSED, days=None, text="paused")
    left = (deadline - today).days
    if left < 0:
        return Standing(urgency=Urgency.OVERDUE, days=left, text=f"{_count(-left)} overdue")
    soon = left <= soon_days(regulation, request_type)
    text = "due today" if left == 0 else f"{_count(left)} left"
    return Standing(urgency=Urgency.SOON if soon else Urgency.IN_TIME, days=left, text=text)


def _days_in(period: Period) -> int:
    return period.months * _MONTH + period.days + period.business_days * _WEEK // _WORKING_DAYS


def _count(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"
