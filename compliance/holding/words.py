"""What a hold covers, as one says it. It names no customer."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from compliance.models import Hold
from customers.catalogue import CATALOGUE, DERIVED

# Those that can be held row by row, by their wire names.
TITLES: dict[str, str] = {entity.name: entity.title for entity in (*CATALOGUE, *DERIVED)}

OPS: dict[str, str] = {
    "eq": "is",
    "ne": "is not",
    "in": "is one of",
    "lt": "is less than",
    "lte": "is at most",
    "gt": "is more than",
    "gte": "is at least",
    "contains_key": "has the key",
}


def scope(hold: Hold, named: int) -> str:
    """Such as “interactions of 3 customers from 2026-01-01”; `named`: how many the hold names."""
    return " ".join(part for part in (_what(hold), _of_whom(hold, named), _when(hold), _where(hold.query)) if part)


def entity(name: str) -> str:
    return TITLES.get(name, name)


def moment(at: datetime, *, is_end: bool = False) -> str:
    """A day where it is a whole one, as an end the last one that counts; else to the second. In UTC."""
    in_utc = at.astimezone(UTC)
    if in_utc.time() != time():
        return f"{in_utc:%Y-%m-%d %H:%M:%S} UTC"
    return f"{in_utc - timedelta(days=is_end):%Y-%m-%d}"


def _what(hold: Hold) -> str:
    if hold.entity:
        title = entity(hold.entity)
        return f"{title[0].lower()}{title[1:]}" + (f" in the class {hold.data_class}" if hold.data_class else "")
    return hold.data_class or "everything"


def _of_whom(hold: Hold, named: int) -> str:
    if not hold.of_subjects:
        return "of everybody"
    return "of 1 customer" if named == 1 else f"of {named:,} customers"


def _when(hold: Hold) -> str:
    begins = f"from {moment(hold.from_at)}" if hold.from_at else ""
    ends = f"to {moment(hold.until_at, is_end=True)}" if hold.until_at else ""
    return " ".join(part for part in (begins, ends) if part)


def _where(query: list[dict[str, Any]] | None) -> str:
    if not query:
        return ""
    return "where " + " and ".join(_condition(part) for part in query)


def _condition(part: dict[str, Any]) -> str:
    value = ", ".join(part["value"]) if part["op"] == "in" else part["value"]
    return f"{part['field'].replace('_', ' ')} {OPS[part['op']]} {value}"
