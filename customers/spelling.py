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
from django.db.models import QuerySet

from audit import copied
from kaireon.lib.canonical import SAFE_INTEGER, loads_exact
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

# Before each row. JSON has no line break inside a value.
BEFORE = b",\n"
# Stands before a row in which JSON of others' may hold a number that a double cannot; in no JSON.
_HARD = b"\x02"
# Stands around the name of a section, between its rows and those of the one before.
_BEGINS = b"\x01"
_NAME = "\\x01"
_PLACE = re.compile("%.")
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


def named(rows: QuerySet[Any, Any], **given: object) -> str:
    """The statement of a query that asks for the active tenant and these values, with places for them: `%(tenant)s`.

    It can be kept, and asked for others, where the ORM would make it anew each time. Raises NotSpelled for any other
    value.
    """
    sql, parameters = rows.query.sql_with_params()
    names = {context.tenant_id(): "tenant"} | {value: name for name, value in given.items()}
    if unknown := [value for value in parameters if value not in names]:
        raise NotSpelled(type(unknown[0]).__name__)
    places = iter([f"%({names[value]})s" for value in parameters])
    return _PLACE.sub(lambda found: next(places) if found[0] == "%s" else found[0], sql)


def spelled(sql: str, fields: Mapping[str, "models.Field[Any, Any]"]) -> str:
    """The statement that gives the rows of `sql` as `,\\n{…}` in their order, its columns being these fields."""
    given = ", ".join(f"c{n}" for n in range(len(fields)))
    columns = ", ".join(
        f"{_spelled(f'c{n}', field)} AS {_quoted(name)}" for n, (name, field) in enumerate(fields.items())
    )
    hard = " OR ".join(
        f"pg_column_size(c{n}) > {_HARMLESS_BYTES} AND c{n}::text ~ '{_MANY_DIGITS}'"
        for n, field in enumerate(fields.values())
        if isinstance(field, models.JSONField)
    )
    mark = f"CASE WHEN {hard} THEN E'\\x{_HARD.hex()}' ELSE '' END || " if hard else ""
    # The order is the inner one's: whole objects are not sorted, only rows.
    return (
        f"SELECT E',\\n' || {mark}row_to_json(spelled)::text"  # noqa: S608 - a statement of our own and names of columns
        f" FROM ({sql}) given ({given}), LATERAL (SELECT {columns}) spelled"
    )


@requires_transaction
def sections(selects: Mapping[str, str], given: Mapping[str, object]) -> Generator[tuple[str, bytes]]:
    """The rows of these statements, each made by `spelled`, one after the other: the section's name, and its rows as
    `,\\n{…},\\n{…}`, some at a time. Each section begins with no rows at all.

    They are one statement, so that many small sections take one trip. Read it to its end, or close it: the connection
    is busy until then. Memory does not grow with the rows.
    """
    rows = " UNION ALL ".join(f"SELECT E'{_NAME}{name}{_NAME}' UNION ALL {select}" for name, select in selects.items())
    values = {**given, "tenant": context.tenant_id()}
    with connection.cursor() as cursor:
        # One process brings them in the order in which they are asked for; several would mix them.
        cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        with cursor.copy(f"COPY ({rows}) TO STDOUT (FORMAT binary)", values) as copy:
            name = ""
            for block in copied.texts(copy, size=_BLOCK_BYTES):
                before, *parts = block.split(_BEGINS)
                if before:
                    yield name, _softened(before)
                for title, part in zip(parts[::2], parts[1::2], strict=True):
                    name = title.decode()
                    yield name, _softened(part)


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
    if _HARD not in block:
        return block
    return re.sub(_HARD + b"(.*?)(?=,\n|$)", _soft, block, flags=re.DOTALL)


def _soft(found: "re.Match[bytes]") -> bytes:
    return json.dumps(loads_exact(found[1].decode()), ensure_ascii=False).encode()
