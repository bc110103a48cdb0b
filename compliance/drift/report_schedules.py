"""Report schedules as a kind of what can be declared, by their names, with providers by theirs."""

from collections.abc import Mapping
from datetime import datetime, time
from typing import Any

from compliance.drift import channels
from compliance.drift.kinds import Items, Kind, NotAppliable, register
from compliance.models import ReportSchedule
from compliance.reporting import schedules, templates
from compliance.reporting.schedules import ReportRefused
from kaireon.tenancy.context import Actor
from kaireon.tenancy.roles import Permission

# As on the wire.
_COLUMNS = {wire: column for column, wire in schedules.FIELDS.items() if wire != "name"}
_NEEDED = ("template", "formats", "period", "cadence", "time", "timeZone")
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "template": ((str,), "text"),
    "formats": ((list,), "a list of formats"),
    "period": ((str,), "text"),
    "cadence": ((str,), "text"),
    "weekday": ((int, type(None)), "a whole number, 1 (Monday) to 7, or null"),
    "day": ((int, type(None)), "a whole number, 1 to 31, or null"),
    # Without quotes YAML reads 18:30 as the number 1110.
    "time": ((str,), 'text in quotes, such as "08:00"'),
    "timeZone": ((str,), "text"),
    "channels": ((list,), channels.SAID),
    "enabled": ((bool,), "true or false"),
}
# Whoever runs the command may read every report.
_MAY = frozenset(Permission)


def actual(now: datetime) -> Items:
    names = channels.named()
    found = {}
    for row in ReportSchedule.objects.present():
        said = {wire: getattr(row, column) for wire, column in _COLUMNS.items()}
        found[row.name] = {**said, "time": f"{row.at:%H:%M}", "channels": channels.names_of(row.channels, names)}
    return found


def check(name: str, fields: Mapping[str, Any]) -> None:
    """What can be said of a file alone; the rest is checked when it is brought about. Raises ValueError."""
    for field in _NEEDED:
        if field not in fields:
            raise ValueError(f"{field}: must be said.")
    for field, value in fields.items():
        types, said = _TYPES[field]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ValueError(f"{field}: must be {said}.")
    channels.check(fields.get("channels", []))
    try:
        templates.get(fields["template"])
    except templates.UnknownTemplate as error:
        raise ValueError(f"template: {error}") from error
    if not all(isinstance(one, str) for one in fields["formats"]):
        raise ValueError("formats: must be a list of formats.")
    try:
        row = ReportSchedule(**{column: value for column, value in _given(fields).items() if column != "channels"})
        schedules.check_terms(row)
        kept = schedules.formats_of(row.formats)
    except ReportRefused as error:
        raise ValueError(f"{error.field}: {error}") from error
    if kept != fields["formats"]:
        raise ValueError(f"formats: write them as they are kept: {', '.join(kept)}.")


def put(name: str, fields: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    """Raises NotAppliable."""
    given = _given(fields) | {"name": name}
    if "channels" in fields:
        given["channels"] = channels.ids_of(fields["channels"])
    row = ReportSchedule.objects.present().filter(name=name).first()
    try:
        if row is None:
            schedules.create(given=given, may=_MAY, now=now)
        else:
            schedules.change(row.pk, given=given, may=_MAY, now=now)
    except ReportRefused as error:
        raise NotAppliable(f"{error.field} {error}") from error


def remove(name: str, actor: Actor, now: datetime) -> None:
    """Its reports stay."""
    row = ReportSchedule.objects.present().filter(name=name).first()
    if row is not None:
        schedules.remove(row.pk, now=now)


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """By the names that services know."""
    return {_COLUMNS[wire]: value for wire, value in {**fields, "time": _time(fields["time"])}.items()}


def _time(text: str) -> time:
    try:
        found = datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - of a wall clock
    except ValueError:
        found = None
    if found is None or f"{found:%H:%M}" != text:
        raise ValueError('time: must be an hour and a minute, such as "08:00".')
    return found


register(Kind(name="reportSchedules", fields=tuple(_COLUMNS), actual=actual, check=check, put=put, remove=remove))
