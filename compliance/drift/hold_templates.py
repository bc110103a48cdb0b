"""Templates of holds as a kind of what can be declared, by their names. Holds themselves are not."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from compliance.drift.kinds import Items, Kind, NotAppliable, register
from compliance.holding import matters, templates
from compliance.holding.matters import ScopeRefused, What
from compliance.models import HoldTemplate
from kaireon.tenancy.context import Actor

_COLUMNS = {wire: column for column, wire in templates.FIELDS.items()}
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "about": ((str,), "text"),
    "dataClass": ((str,), "text"),
    "entity": ((str,), "text"),
    "lookBackDays": ((int, type(None)), "a whole number of days, or null"),
    "query": ((list, type(None)), "a list of {field, op, value}, or null"),
}


def actual(now: datetime) -> Items:
    return {
        row.name: {wire: getattr(row, column) for wire, column in _COLUMNS.items()}
        for row in HoldTemplate.objects.all()
    }


def check(name: str, fields: Mapping[str, Any]) -> None:
    """What can be said of a file alone. Raises ValueError."""
    for field, value in fields.items():
        types, said = _TYPES[field]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ValueError(f"{field}: must be {said}.")
    if fields.get("about", "") != fields.get("about", "").strip():
        raise ValueError("about: must not begin or end with space, which is not kept.")
    if fields.get("query") is not None and "entity" not in fields:
        raise ValueError("query: asks for columns of an entity: say it too.")
    what = What(data_class=fields.get("dataClass", ""), entity=fields.get("entity", ""), query=fields.get("query"))
    try:
        kept = matters.checked(what).query
    except ScopeRefused as error:
        raise ValueError(f"{error.field}: {error}") from error
    if kept != what.query:
        raise ValueError(f"query: write its values as they are kept: {kept}")


def put(name: str, fields: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    """Raises NotAppliable."""
    given = {_COLUMNS[wire]: value for wire, value in fields.items()}
    row = HoldTemplate.objects.filter(name=name).first()
    try:
        if row is None:
            templates.create(name=name, given=given, now=now)
        else:
            templates.change(row.pk, name=name, given=given, now=now)
    except ScopeRefused as error:
        raise NotAppliable(f"{error.field} {error}") from error


def remove(name: str, actor: Actor, now: datetime) -> None:
    """Holds that were placed by it stay."""
    row = HoldTemplate.objects.filter(name=name).first()
    if row is not None:
        templates.remove(row.pk)


register(Kind(name="holdTemplates", fields=tuple(_COLUMNS), actual=actual, check=check, put=put, remove=remove))
