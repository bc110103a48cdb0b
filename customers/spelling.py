"""How PostgreSQL itself spells the rows of a dossier: as JSON objects, one a line, many together.

To make Python's values of them, and JSON of these, costs several times what the database needs to write it down. What
is spelled is what `kaireon.lib.canonical.exact` says: numbers that JSON cannot carry exactly are text, moments are in
UTC with six decimals.
"""

import json
import re
from collections.abc import Generator, Iterator, Mapping
from typing import Any

from django.db import connection, models

from audit import copied
from kaireon.lib.canonical import SAFE_INTEGER, loads_exact
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.managers import TenantQuerySet

# Before each row. JSON has no line break inside a value.
BEFORE = b",\n"
# Stands before a row in which JSON of others' may hold a number that a double cannot; in no JSON.
_HARD = b"\x02"
_MANY_DIGITS = "[0-9.]{16}"
# Less than such a number needs as jsonb.
_HARMLESS_BYTES = 16
# Handled at once: as much as stays near the processor.
_BLOCK_BYTES = 64 * 1024

_AS_IT_IS = (
    models.CharField,
    models.TextField,
    models.UUIDField,
    models.DateField,
    models.BooleanField,
    models.IntegerField,
    models.JSONField,
    models.FileField,
)


class NotSpelled(TypeError):
    """No rule says how a column of this type is written in a dossier."""


@requires_transaction
def blocks(rows: TenantQuerySet[Any], columns: Mapping[str, str]) -> Generator[bytes]:
    """The rows as `,\\n{…},\\n{…}`, some at a time, each block of whole rows. Read it to its end, or close it.

    `columns` has the names in a dossier and the columns they stand for, which may lead over a reference. The connection
    is busy until then. Memory does not grow with the rows.
    """
    fields = {name: field_of(rows.model, path) for name, path in columns.items()}
    sql, parameters = rows.values_list(*columns.values()).query.sql_with_params()
    with connection.cursor() as cursor, cursor.copy(_copy(sql, fields), parameters) as copy:
        for block in copied.texts(copy, size=_BLOCK_BYTES):
            yield _softened(block) if _HARD in block else block


def objects(rows: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """The rows of such blocks."""
    for block in rows:
        for line in block.split(BEFORE)[1:]:
            yield json.loads(line)


def field_of(model: type[models.Model], path: str) -> "models.Field[Any, Any]":
    """The field that a column is, over references too; of a reference, what it refers to."""
    first, _, rest = path.partition("__")
    field: Any = model._meta.get_field(first)
    if rest:
        return field_of(field.related_model, rest)
    return field.target_field if isinstance(field, models.ForeignKey) else field


def _copy(sql: str, fields: Mapping[str, "models.Field[Any, Any]"]) -> str:
    given = ", ".join(f"c{n}" for n in range(len(fields)))
    spelled = ", ".join(
        f"{_spelled(f'c{n}', field)} AS {_quoted(name)}" for n, (name, field) in enumerate(fields.items())
    )
    hard = " OR ".join(
        f"pg_column_size(c{n}) > {_HARMLESS_BYTES} AND c{n}::text ~ '{_MANY_DIGITS}'"
        for n, field in enumerate(fields.values())
        if isinstance(field, models.JSONField)
    )
    mark = f"CASE WHEN {hard} THEN E'\\x{_HARD.hex()}' ELSE '' END || " if hard else ""
    # The order is the inner one's: whole objects are not sorted, only rows.
    return f"""
        COPY (SELECT E',\\n' || {mark}row_to_json(spelled)::text
                FROM ({sql}) given ({given}), LATERAL (SELECT {spelled}) spelled) TO STDOUT (FORMAT binary)
    """  # noqa: S608 - composed of the ORM's own statement and the names of columns


def _spelled(column: str, field: "models.Field[Any, Any]") -> str:
    if isinstance(field, models.DateTimeField):
        return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    if isinstance(field, models.DecimalField):
        return f"{column}::text"
    if isinstance(field, models.BigIntegerField):
        is_safe = f"{column} BETWEEN -{SAFE_INTEGER} AND {SAFE_INTEGER}"
        return f"CASE WHEN {is_safe} THEN to_json({column}) ELSE to_json({column}::text) END"
    if isinstance(field, _AS_IT_IS):
        return column
    raise NotSpelled(type(field).__name__)


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name).replace("%", "%%")


def _softened(block: bytes) -> bytes:
    return re.sub(_HARD + b"(.*?)(?=,\n|$)", _soft, block, flags=re.DOTALL)


def _soft(found: "re.Match[bytes]") -> bytes:
    return json.dumps(loads_exact(found[1].decode()), ensure_ascii=False).encode()
