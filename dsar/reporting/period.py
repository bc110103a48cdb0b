"""The days that a report is about, as people give them."""

import re
from datetime import date

from dsar.reporting.figures import BadPeriod

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def period(since: str, until: str, *, today: date) -> tuple[date, date]:
    """Both ends, as YYYY-MM-DD; without them this calendar year so far. Raises BadPeriod."""
    end = _day(until) if until else today
    return (_day(since) if since else date(end.year, 1, 1)), end


def _day(text: str) -> date:
    # `fromisoformat` takes weeks and other spellings too.
    if not _DAY.fullmatch(text):
        raise BadPeriod("A day is spelled YYYY-MM-DD.")
    try:
        return date.fromisoformat(text)
    except ValueError as e:
        raise BadPeriod("A day is spelled YYYY-MM-DD.") from e
