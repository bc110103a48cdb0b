"""When a pipeline runs: by cron, by interval or by RRULE (RFC 5545), in a time zone, right where clocks are changed.

A wall-clock time that does not exist moves by what was left out; one that comes twice counts the first time (RFC 5545,
3.3.5). What runs every hour or oftener runs whenever clocks show its minute instead, 23, 24 or 25 times a day for
"every hour". Every so many minutes that do not fit into an hour is so many minutes later, whatever clocks show.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from kaireon.flows import recurrence
from kaireon.flows.crontab import CronInvalid, Crontab
from kaireon.flows.recurrence import RecurrenceInvalid
from kaireon.lib import clock

MIN_EVERY = 60
MAX_EVERY = 366 * 24 * 3600
NEXT_SHOWN = 5

# What becomes of slots that passed while nobody looked: the newest is run, all are, or none.
MISSED = ("last", "all", "skip")

_KEYS = {"cron", "every", "rrule", "timeZone", "start", "missed"}
# Clocks change by two hours at most, so a window of wall-clock time this much wider has every moment that counts.
_MARGIN = timedelta(hours=3)


class ScheduleInvalid(ValueError):
    """A schedule that cannot be kept. `field` names the part, the message says what it takes."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Rule(Protocol):
    """What a schedule says without a zone: wall-clock times, or moments."""

    @property
    def by_elapsed_time(self) -> bool: ...

    def between(self, first: datetime, end: datetime) -> Iterator[datetime]: ...

    @property
    def horizon(self) -> timedelta:
        """How far ahead there is a next time, if there is one at all."""


@dataclass(frozen=True)
class CronRule:
    crontab: Crontab
    horizon: timedelta = timedelta(days=366 * 8)

    @property
    def by_elapsed_time(self) -> bool:
        return self.crontab.every_hour

    def between(self, first: datetime, end: datetime) -> Iterator[datetime]:
        return self.crontab.times_from(first, end)


@dataclass(frozen=True)
class EveryRule:
    """Moments, not wall-clock times: `start` plus whole steps."""

    seconds: int
    start: datetime
    by_elapsed_time: bool = True

    @property
    def horizon(self) -> timedelta:
        return max(timedelta(seconds=2 * self.seconds), self.start - datetime(1970, 1, 1, tzinfo=UTC))

    def between(self, first: datetime, end: datetime) -> Iterator[datetime]:
        step = timedelta(seconds=self.seconds)
        moment = self.start + step * max(0, -((self.start - first) // step))
        while moment < end:
            if moment >= first:
                yield moment
            moment += step


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A rule and the zone its wall-clock times are in."""

    kind: str
    text: str
    rule: Rule
    zone: ZoneInfo
    missed: str
    start: str = ""
    until: datetime | None = None

    def between(self, first: datetime, end: datetime) -> Iterator[datetime]:
        """Its moments in UTC, each once and in order, from `first` on and before `end`. Raises ScheduleInvalid."""
        try:
            yield from self._between(first, end)
        except RecurrenceInvalid as e:
            raise ScheduleInvalid("rrule", str(e)) from e

    def _between(self, first: datetime, end: datetime) -> Iterator[datetime]:
        if self.until is not None:
            end = min(end, self.until + timedelta(microseconds=1))
        if isinstance(self.rule, EveryRule):
            yield from self.rule.between(first, end)
            return
        low = (first.astimezone(self.zone) - _MARGIN).replace(tzinfo=None, fold=0)
        high = (end.astimezone(self.zone) + _MARGIN).replace(tzinfo=None, fold=0)
        # In order of the wall clock is not quite in order of time, where clocks go back: what is held back is sorted.
        held: list[datetime] = []
        given: datetime | None = None
        for wall in self.rule.between(low, high):
            held.extend(moment for moment in self._moments(wall) if first <= moment < end)
            settled = wall.replace(tzinfo=self.zone).astimezone(UTC) - _MARGIN
            held.sort()
            while held and held[0] <= settled:
                moment = held.pop(0)
                if moment != given:
                    yield (given := moment)
        for moment in sorted(held):
            if moment != given:
                yield (given := moment)

    def after(self, moment: datetime) -> datetime | None:
        """The next slot later than a moment; None when there is none any more."""
        return next(iter(self.next(moment, count=1)), None)

    def next(self, moment: datetime, *, count: int = NEXT_SHOWN) -> list[datetime]:
        """The next slots later than a moment, at most so many."""
        found: list[datetime] = []
        end = moment + self.rule.horizon
        for slot in self.between(moment + timedelta(microseconds=1), end):
            found.append(slot)
            if len(found) == count:
                break
        return found

    def as_dict(self) -> dict[str, Any]:
        """As `parse` takes it."""
        said: dict[str, Any] = {self.kind: int(self.text) if self.kind == "every" else self.text}
        return {
            **said,
            "timeZone": self.zone.key,
            "missed": self.missed,
            **({"start": self.start} if self.start else {}),
        }

    def _moments(self, wall: datetime) -> list[datetime]:
        """When the clocks of the zone show this time: once, twice or never."""
        first = wall.replace(tzinfo=self.zone).astimezone(UTC)
        second = wall.replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        if not self.rule.by_elapsed_time:
            return [first]
        shown = (m for m in sorted({first, second}) if m.astimezone(self.zone).replace(tzinfo=None, fold=0) == wall)
        return list(shown)


def parse(given: Any, *, now: datetime) -> Schedule:
    """A schedule from `{"cron": "0 2 * * *" | "every": 900 | "rrule": "FREQ=…", "timeZone"?, "start"?, "missed"?}`.

    `every` is in seconds, from `start` on; `start` is where a recurrence counts from, `now` when it is left out.
    Raises ScheduleInvalid, whose `field` is one of these names.
    """
    if not isinstance(given, dict):
        raise ScheduleInvalid("", "must be an object.")
    if unknown := next((key for key in given if key not in _KEYS), None):
        raise ScheduleInvalid(str(unknown)[:64], f"unknown field; known are {', '.join(sorted(_KEYS))}.")
    kinds = [kind for kind in ("cron", "every", "rrule") if given.get(kind) is not None]
    if len(kinds) != 1:
        raise ScheduleInvalid("", "must say exactly one of cron, every, rrule.")
    zone = _zone(given.get("timeZone", "UTC"))
    missed = given.get("missed", "last")
    if missed not in MISSED:
        raise ScheduleInvalid("missed", f"must be one of {', '.join(MISSED)}.")
    return _PARSERS[kinds[0]](given, zone, missed, now)


def _zone(name: Any) -> ZoneInfo:
    if not isinstance(name, str) or name not in zones():
        raise ScheduleInvalid("timeZone", "must be a name of the IANA database, such as Europe/Berlin.")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise ScheduleInvalid("timeZone", "is not known here.") from e


@cache
def zones() -> frozenset[str]:
    """The names of all. Looked up once in a process: it walks through every folder of the zone database."""
    # What this machine's clock is set to is no place.
    return frozenset(available_timezones() - {"localtime"})


def _cron(given: Mapping[str, Any], zone: ZoneInfo, missed: str, now: datetime) -> Schedule:
    text = _text(given, "cron")
    if "start" in given:
        raise ScheduleInvalid("start", "a cron expression has no start.")
    try:
        crontab = Crontab.parse(text)
    except CronInvalid as e:
        raise ScheduleInvalid("cron", str(e)) from e
    return Schedule(kind="cron", text=" ".join(text.split()), rule=CronRule(crontab), zone=zone, missed=missed)


def _every(given: Mapping[str, Any], zone: ZoneInfo, missed: str, now: datetime) -> Schedule:
    seconds = given["every"]
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not MIN_EVERY <= seconds <= MAX_EVERY:
        raise ScheduleInvalid("every", f"must be whole seconds from {MIN_EVERY} to {MAX_EVERY}.")
    start = _start(given, zone, now)
    moment = start.replace(tzinfo=zone).astimezone(UTC)
    rule = EveryRule(seconds, moment)
    return Schedule(
        kind="every", text=str(seconds), rule=rule, zone=zone, missed=missed, start=start.isoformat(timespec="seconds")
    )


def _rrule(given: Mapping[str, Any], zone: ZoneInfo, missed: str, now: datetime) -> Schedule:
    text = _text(given, "rrule").upper().removeprefix("RRULE:")
    start = _start(given, zone, now)
    begin = start.replace(tzinfo=zone).astimezone(UTC)
    try:
        parts = recurrence.parts_of(text)
        until = recurrence.until(parts.pop("UNTIL", ""), zone)
        rule = _elapsing(parts, begin) or recurrence.recurring(parts, start)
    except RecurrenceInvalid as e:
        raise ScheduleInvalid("rrule", str(e)) from e
    found = Schedule(
        kind="rrule",
        text=text,
        rule=rule,
        zone=zone,
        missed=missed,
        start=start.isoformat(timespec="seconds"),
        until=until,
    )
    if not found.next(begin - timedelta(microseconds=1), count=1):
        raise ScheduleInvalid("rrule", "never comes.")
    return found


def _elapsing(parts: Mapping[str, str], begin: datetime) -> EveryRule | None:
    """Every so many minutes, at most 60, that do not fit into an hour: clocks that change would break their pace."""
    minutes = int(parts.get("INTERVAL", "1"))
    plain = parts.keys() <= {"FREQ", "INTERVAL", "WKST"} and parts.get("FREQ") == "MINUTELY"
    return EveryRule(60 * minutes, begin) if plain and minutes < 60 and 60 % minutes else None


_PARSERS = {"cron": _cron, "every": _every, "rrule": _rrule}


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given[name]
    if not isinstance(value, str) or not 1 <= len(value) <= 500 or not value.isprintable():
        raise ScheduleInvalid(name, "must be text of 1 to 500 characters on one line.")
    return value.strip()


def _start(given: Mapping[str, Any], zone: ZoneInfo, now: datetime) -> datetime:
    """Wall-clock time in the zone."""
    text = given.get("start")
    if text is None:
        return clock.in_utc(now).astimezone(zone).replace(second=0, microsecond=0, tzinfo=None, fold=0)
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            found = found.astimezone(zone).replace(tzinfo=None, fold=0)
    except (TypeError, ValueError, OverflowError) as e:
        raise ScheduleInvalid("start", "must be a moment in ISO 8601, such as 2026-01-15T09:00:00.") from e
    if not 2000 <= found.year <= 2100:
        raise ScheduleInvalid("start", "must lie between 2000 and 2100.")
    return found.replace(second=0, microsecond=0)
