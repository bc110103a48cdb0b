"""Columns that the audit log can show whole."""

from typing import Any

from django.db import models


class ExactFloat(models.FloatField):  # type: ignore[type-arg]
    """A float in Python, kept as numeric, of 15 digits: how a double is written down depends on the session's
    settings, and a change smaller than what is shown would bring no record."""

    def db_type(self, connection: Any) -> str:
        return "numeric"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> float | None:
        return None if value is None else float(value)
