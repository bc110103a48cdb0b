"""The CDNOW purchases as rows of ingest, moved in time so that the last of them lies in last week."""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.resources import files

# The last day in the file, a Tuesday.
_LAST_DAY = date(1998, 6, 30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Purchase:
    """One line of cdnow.csv.gz; `line` is its place in the file, `customer` the number in it."""

    line: int
    customer: int
    moment: datetime
    cds: int
    dollars: str


def days_to_move(now: datetime) -> timedelta:
    """Whole weeks, so that weekdays stay: the last Tuesday of the file becomes last week's Tuesday."""
    today = now.astimezone(UTC).date()
    monday = today - timedelta(days=today.weekday())
    return monday - timedelta(days=6) - _LAST_DAY


def purchases(*, now: datetime) -> Iterator[Purchase]:
    """All purchases, in the order of the file. The file has days only: the time of day is made from the line."""
    moved = days_to_move(now)
    for line, (customer, day, cds, dollars) in enumerate(_lines(), start=1):
        # From eight in the morning to ten in the evening, spread by a multiplication without pattern.
        seconds = 8 * 3600 + line * 7919 % (14 * 3600)
        midnight = datetime.combine(day + moved, time(), UTC)
        yield Purchase(
            line=line, customer=customer, moment=midnight + timedelta(seconds=seconds), cds=cds, dollars=dollars
        )


@cache
def _lines() -> list[tuple[int, date, int, str]]:
    packed = files("customers.demo").joinpath("cdnow.csv.gz").read_bytes()
    reader = csv.reader(gzip.decompress(packed).decode("ascii").splitlines())
    next(reader)
    return [(int(c), date.fromisoformat(d), int(cds), dollars) for c, d, cds, dollars in reader]
