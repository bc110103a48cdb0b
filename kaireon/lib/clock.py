"""The time, always aware and in UTC, read in one place so that a test can stop it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time

# The day on which `at("09:00")` falls. Any fixed day does; this one is a Thursday, far from a change of clocks.
EXAMPLE_DAY = date(2026, 1, 15)

# The freezes in force, innermost last. For the whole process, not per thread: a frozen test must also hold the threads
# of a live server.
_frozen: list[datetime] = []


class NaiveMoment(ValueError):
    """A moment came without a time zone. Attach one where the moment enters the system."""


def now() -> datetime:
    """The present moment in UTC, or the frozen one inside `freeze`."""
    return _frozen[-1] if _frozen else datetime.now(UTC)


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC. Raises NaiveMoment when it has no time zone."""
    if moment.tzinfo is UTC:
        return moment
    if moment.utcoffset() is None:
        raise NaiveMoment("a moment needs a time zone")
    return moment.astimezone(UTC)


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with exactly six decimals and Z: `2026-01-15T09:00:00.000000Z`.

    One spelling for each moment, because the text is hashed. Raises NaiveMoment when the moment has no time zone.
    """
    return in_utc(moment).isoformat(timespec="microseconds")[:-6] + "Z"


def at(text: str, *, on: date = EXAMPLE_DAY) -> datetime:
    """A moment for tests and examples: `at("09:00")` on a fixed day, or a whole ISO 8601 text; UTC without offset.

    Raises ValueError when the text is neither.
    """
    if len(text) > len("09:00:00.000000"):
        moment = datetime.fromisoformat(text)
    else:
        moment = datetime.combine(on, time.fromisoformat(text))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@contextmanager
def freeze(moment: datetime) -> Iterator[datetime]:
    """Stop the clock at a moment for this whole process: for tests. Nested freezes give back what they found."""
    _frozen.append(in_utc(moment))
    try:
        yield _frozen[-1]
    finally:
        _frozen.pop()
