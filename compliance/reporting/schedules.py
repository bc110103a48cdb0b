"""A tenant's report schedules: made, changed, removed. scheduling.py finds what is due of them."""

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from datetime import datetime, time
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import connection
from django.db.models import Max

import audit
from compliance.models import NotificationProvider, ReportFormat, ReportRun, ReportSchedule
from compliance.reporting import schedule, templates
from compliance.reporting.schedule import Cadence, Span, Terms
from kaireon.flows import schedule as zones
from kaireon.lib.ids import uuid7
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.roles import Permission

LONGEST_NAME = 100
MOST_SCHEDULES = 100
MOST_CHANNELS = 10

# PostgreSQL takes these for abbreviations of one offset, the zone database for zones with summer time: days would end
# at one moment in the period and at another in what is counted.
NOT_OF_THE_DATABASE = frozenset({"CET", "EET", "MET", "WET"})

# Fields of a schedule that people set, and what they are called on the wire.
FIELDS: Mapping[str, str] = {
    "name": "name",
    "template": "template",
    "formats": "formats",
    "span": "period",
    "cadence": "cadence",
    "weekday": "weekday",
    "day": "day",
    "at": "time",
    "time_zone": "timeZone",
    "channels": "channels",
    "is_enabled": "enabled",
}
# With others than these what is due is another matter.
_BEARING = ("span", "cadence", "weekday", "day", "at", "time_zone", "is_enabled")
# Which of the days is said of which cadence, and the last there is.
_DAYS: Mapping[tuple[str, Cadence], int] = {("weekday", Cadence.WEEKLY): 7, ("day", Cadence.MONTHLY): 31}


class ReportRefused(ValueError):
    """It cannot be so. `field` is what is wrong, as on the wire."""

    code = "report_refused"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class ScheduleNotFound(LookupError):
    """There is none of this id, or it was removed."""

    code = "not_found"


class TimeZoneGone(LookupError):
    """The zone database of this server does not know the schedule's time zone any more: choose another."""

    code, field = "report_refused", "timeZone"


@requires_transaction
def create(*, given: Mapping[str, Any], may: Collection[Permission], now: datetime) -> ReportSchedule:
    """Make a schedule of FIELDS; recorded as `report_schedule.create`. It begins with the next moment of its cadence.

    `may` is what its maker may do: a report is only for those who may read what it tells. Raises ReportRefused.
    """
    _one_at_a_time()
    if ReportSchedule.objects.present().count() >= MOST_SCHEDULES:
        raise ReportRefused("name", f"there are {MOST_SCHEDULES} schedules already, the most there can be: remove one.")
    row = ReportSchedule(id=uuid7(), created_at=now, updated_at=now, active_from=now)
    _set(row, given, may)
    audit.action("report_schedule.create", entity=row)
    row.save(force_insert=True)
    return row


@requires_transaction
def change(
    schedule_id: UUID, *, given: Mapping[str, Any], may: Collection[Permission], now: datetime
) -> ReportSchedule:
    """Change what is given; recorded as `report_schedule.update`. Raises ScheduleNotFound, ReportRefused.

    Switched on again, or about other periods, it begins anew. With another time or day no period is lost that was due,
    or would have been next.
    """
    _one_at_a_time()
    row = locked(schedule_id)
    before = copy(row)
    if given.get("template", row.template) != row.template:
        raise ReportRefused("template", "stays what it is, as its history does: make another schedule.")
    _set(row, given, may)
    if any(getattr(row, name) != getattr(before, name) for name in _BEARING):
        row.active_from = _active_from(row, before, now)
    row.updated_at = now
    audit.action("report_schedule.update", entity=row)
    row.save()
    return row


@requires_transaction
def looked_until(row: ReportSchedule, *, now: datetime) -> datetime:
    """The newest moment, until now, for which its periods were looked for."""
    mine = ReportRun.objects.scheduled().filter(schedule=row, slot__lte=now)
    newest: datetime | None = mine.aggregate(newest=Max("slot"))["newest"]
    return max(row.active_from, newest) if newest else row.active_from


@requires_transaction
def remove(schedule_id: UUID, *, now: datetime) -> None:
    """Nothing more is due of it; recorded as `report_schedule.remove`. Its reports stay. Raises ScheduleNotFound."""
    row = locked(schedule_id)
    row.removed_at = row.updated_at = now
    audit.action("report_schedule.remove", entity=row)
    row.save(update_fields=["removed_at", "updated_at"])


@requires_transaction
def locked(schedule_id: UUID) -> ReportSchedule:
    """Raises ScheduleNotFound."""
    row = ReportSchedule.objects.present().select_for_update(no_key=True).filter(pk=schedule_id).first()
    if row is None:
        raise ScheduleNotFound(schedule_id)
    return row


def terms_of(row: ReportSchedule) -> Terms:
    """Raises TimeZoneGone."""
    try:
        zone = ZoneInfo(row.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise TimeZoneGone(row.time_zone) from e
    return Terms(
        span=Span(row.span), cadence=Cadence(row.cadence), at=row.at, zone=zone, weekday=row.weekday, day=row.day
    )


def zone_of(name: str, field: str = "timeZone") -> ZoneInfo:
    """Raises ReportRefused."""
    if name not in zones.zones():
        raise ReportRefused(field, "is a name of the IANA database, such as Europe/Berlin.")
    if name in NOT_OF_THE_DATABASE:
        raise ReportRefused(
            field, f"is a place, such as Europe/Berlin: {name} is winter time all year to the database."
        )
    return ZoneInfo(name)


def template_of(name: str, may: Collection[Permission]) -> templates.Template:
    """Raises ReportRefused, for one that is unknown and for one that whoever asks may not read."""
    try:
        found = templates.get(name)
    except templates.UnknownTemplate as e:
        raise ReportRefused("template", str(e)) from e
    if found.permission not in may:
        raise ReportRefused("template", f"tells what only those with {found.permission} may read.")
    return found


def formats_of(given: Sequence[str]) -> list[str]:
    """Raises ReportRefused."""
    found = list(dict.fromkeys(given))
    if not found or not set(found) <= set(ReportFormat.values):
        raise ReportRefused("formats", f"are one or more of {', '.join(ReportFormat.values)}.")
    return [name for name in ReportFormat.values if name in found]


def _set(row: ReportSchedule, given: Mapping[str, Any], may: Collection[Permission]) -> None:
    for name, value in given.items():
        setattr(row, name, value)
    for name, cadence in _DAYS:
        # That of the cadence before, of which nobody spoke.
        if name not in given and row.cadence != cadence:
            setattr(row, name, None)
    row.name = _name(row)
    template_of(row.template, may)
    row.formats = formats_of(row.formats)
    check_terms(row)
    row.channels = _channels(row.channels)


def _active_from(row: ReportSchedule, before: ReportSchedule, now: datetime) -> datetime:
    if not (row.is_enabled and before.is_enabled):
        return now
    try:
        was = terms_of(before)
    except TimeZoneGone:
        return now
    done = (
        ReportRun.objects.scheduled().filter(schedule=row).order_by("-slot").values_list("period_first", "period_last")
    )
    after = looked_until(before, now=now)
    return schedule.since(terms_of(row), before=was, after=after, now=now, done=set(done[: schedule.MOST_SKIPPED]))


def check_terms(row: ReportSchedule) -> None:
    """Whether its period, days, time and zone can be. Raises ReportRefused."""
    if row.span not in set(Span):
        raise ReportRefused("period", f"is one of {', '.join(Span)}.")
    if row.cadence not in set(Cadence):
        raise ReportRefused("cadence", f"is one of {', '.join(Cadence)}.")
    for (name, cadence), most in _DAYS.items():
        value = getattr(row, name)
        if row.cadence != cadence:
            if value is not None:
                raise ReportRefused(name, f"is of a {cadence} schedule: leave it out.")
        elif value is None or not 1 <= value <= most:
            raise ReportRefused(name, f"is 1 to {most} in a {cadence} schedule.")
    if row.at != time(row.at.hour, row.at.minute):
        raise ReportRefused("time", "is an hour and a minute, such as 08:00.")
    zone_of(row.time_zone)


def _name(row: ReportSchedule) -> str:
    name = row.name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise ReportRefused("name", f"is one line of at most {LONGEST_NAME} characters.")
    if ReportSchedule.objects.present().filter(name=name).exclude(pk=row.pk).exists():
        raise ReportRefused("name", "is taken by another schedule.")
    return name


def _channels(given: Sequence[Any]) -> list[str]:
    """Ids of providers that are there; they stay there until this transaction is over."""
    wanted = list(dict.fromkeys(str(one) for one in given))
    if len(wanted) > MOST_CHANNELS:
        raise ReportRefused("channels", f"are at most {MOST_CHANNELS}.")
    rows = NotificationProvider.objects.present().select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
    if not {str(row.pk) for row in rows}.issuperset(wanted):
        raise ReportRefused("channels", "has an id that is no notification provider.")
    return wanted


def _one_at_a_time() -> None:
    """Of two who take the same name at once, the second finds it taken."""
    with connection.cursor() as cursor:
        key = f"report-schedules:{context.tenant_id()}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
