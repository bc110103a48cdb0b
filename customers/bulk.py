"""Many rows in one statement: arrays through unnest, because COPY is refused under row-level security.

Django's own bulk_create falls back to one placeholder per value as soon as a table has a JSON column.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection, models

from kaireon.tenancy import context
from kaireon.tenancy.context import WrongTenant, requires_transaction
from kaireon.tenancy.models import TenantModel

CHUNK = 5000


@requires_transaction
def insert(rows: Sequence[TenantModel]) -> int:
    """Insert unsaved rows of one model and of the active tenant. Neither `save` nor signals run.

    Raises WrongTenant for another tenant's row.
    """
    if not rows:
        return 0
    active = context.tenant_id()
    if any(row.tenant_id != active for row in rows):
        raise WrongTenant(f"A row belongs to another tenant than the active {active!r}.")
    model = type(rows[0])
    fields = model._meta.concrete_fields
    columns = ", ".join(_quoted(f) for f in fields)
    arrays = ", ".join(f"%s::{_array_type(f)}" for f in fields)
    statement = f"INSERT INTO public.{model._meta.db_table} ({columns}) SELECT * FROM unnest({arrays})"  # noqa: S608
    with connection.cursor() as cursor:
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            cursor.execute(statement, [[_value(f, row) for row in part] for f in fields])
    return len(rows)


@requires_transaction
def update(rows: Sequence[TenantModel], columns: Sequence[str]) -> int:
    """Write the named fields of saved rows of one model, found by their ids; returns how many were there."""
    if not rows:
        return 0
    model = type(rows[0])
    fields = [model._meta.pk, *(model._meta.get_field(name) for name in columns)]
    arrays = ", ".join(f"%s::{_array_type(f)}" for f in fields)
    names = [_quoted(f) for f in fields]
    written = ", ".join(f"{name} = v.{name}" for name in names[1:])
    statement = (
        f"UPDATE public.{model._meta.db_table} t SET {written}"  # noqa: S608  names from the model
        f" FROM unnest({arrays}) v ({', '.join(names)}) WHERE t.tenant_id = %s AND t.id = v.id"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*([_value(f, row) for row in rows] for f in fields), context.tenant_id()])
        return int(cursor.rowcount)


def _quoted(field: Any) -> str:
    return connection.ops.quote_name(field.column)


def _array_type(field: Any) -> str:
    if isinstance(field, models.ForeignKey):
        return _array_type(field.target_field)
    # Without its length: a text that is too long must be refused, not cut.
    return str(field.db_type(connection)).split("(")[0] + "[]"


def _value(field: Any, row: models.Model) -> Any:
    value = getattr(row, field.attname)
    if isinstance(field, models.JSONField):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    if isinstance(field, models.FileField):
        return str(value)
    return value if not isinstance(value, UUID) else str(value)
