"""Saved queries of holds: what may be asked, and the condition they make. They ask for facts, never for a person."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from compliance.holding.scopes import SCOPES, Scope

MOST_CONDITIONS = 10
MOST_VALUES = 100
LONGEST_VALUE = 200

_LOOKUPS = {"eq": "exact", "in": "in", "lt": "lt", "lte": "lte", "gt": "gt", "gte": "gte", "contains_key": "has_key"}
OPS = (*_LOOKUPS, "ne")


class QueryRefused(ValueError):
    """A saved query is not one. `str()` says what is wrong with it, without its values."""


def normal(scope: Scope, query: Any) -> list[dict[str, Any]]:
    """The same query, each value in the one spelling that PostgreSQL reads as we do. Raises QueryRefused."""
    if not isinstance(query, list) or not 1 <= len(query) <= MOST_CONDITIONS:
        raise QueryRefused(f"must be a list of 1 to {MOST_CONDITIONS} conditions.")
    checked = []
    for number, part in enumerate(query):
        if not isinstance(part, dict) or set(part) != {"field", "op", "value"}:
            raise QueryRefused(f"condition {number} must have field, op and value, and nothing else.")
        _check_condition(scope, number, part)
        value = _values(scope, part, number)
        plain = [_spelled(item) for item in value] if part["op"] == "in" else _spelled(value)
        checked.append({**part, "value": plain})
    return checked


def condition(scope: Scope, query: Sequence[dict[str, Any]]) -> Q:
    """True of the rows that fulfil every condition of a query that `normal` gave."""
    found = Q()
    for part in query:
        field, value = part["field"], _values(scope, part)
        if part["op"] == "ne":
            # A row without a value is another one.
            found &= ~Q(**{field: value})
        else:
            found &= Q(**{f"{field}__{_LOOKUPS[part['op']]}": value})
    return found


def _check_condition(scope: Scope, number: int, part: dict[str, Any]) -> None:
    field, op, value = part["field"], part["op"], part["value"]
    if field not in scope.asked:
        raise QueryRefused(f"condition {number}: field must be one of {', '.join(scope.asked) or 'none: it has none'}.")
    if op not in OPS:
        raise QueryRefused(f"condition {number}: op must be one of {', '.join(OPS)}.")
    if (op == "contains_key") != (field in scope.documents):
        raise QueryRefused(f"condition {number}: contains_key is for documents, and they take nothing else.")
    given = value if op == "in" else [value]
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_VALUES:
        raise QueryRefused(f"condition {number}: in takes a list of 1 to {MOST_VALUES} values.")
    for item in given:
        if isinstance(item, bool | list | dict) or item is None or not _is_storable(str(item)):
            raise QueryRefused(f"condition {number}: a value is a text or number of up to {LONGEST_VALUE} characters.")


def _is_storable(text: str) -> bool:
    """PostgreSQL takes no NUL, and no half of a surrogate pair, which JSON can say."""
    return len(text) <= LONGEST_VALUE and not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text)


def _values(scope: Scope, part: dict[str, Any], number: int = 0) -> Any:
    if part["op"] == "contains_key":
        return str(part["value"])
    column = _column(scope, part["field"])
    try:
        if part["op"] == "in":
            return [_value(column, item) for item in part["value"]]
        return _value(column, part["value"])
    except (ValidationError, ValueError, TypeError, ArithmeticError) as e:
        raise QueryRefused(f"condition {number}: this is no value of {part['field']}.") from e


def _value(column: "models.Field[Any, Any]", given: Any) -> Any:
    """As the column has it, exactly: PostgreSQL reads the same text."""
    if isinstance(column, models.DateTimeField):
        moment = datetime.fromisoformat(str(given))
        if moment.tzinfo is None:
            raise ValueError
        return moment
    if isinstance(column, models.DecimalField):
        number = Decimal(str(given))
        if not number.is_finite() or abs(number.adjusted()) > LONGEST_VALUE:
            raise ValueError
        return number
    if isinstance(column, models.IntegerField):
        whole = int(str(given))
        if abs(whole) >= 2**63:
            raise ValueError
        return whole
    if isinstance(column, models.ForeignKey | models.UUIDField):
        return UUID(str(given))
    if not isinstance(given, str):
        raise TypeError
    return given


def _spelled(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _column(scope: Scope, name: str) -> "models.Field[Any, Any]":
    table = next(table for table, other in SCOPES.items() if other is scope)
    model = next(m for m in apps.get_models() if m._meta.db_table == table)
    return next(f for f in model._meta.concrete_fields if f.attname == name)
