"""The statement that deletes one batch: it looks for the next rows, deletes them and says which they were, all at once.

The rows never leave the database. To name them to Python and back cost four times what finding and deleting them costs,
and kept other people's writes waiting for a processor. It is composed once and run for every batch.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, cast
from uuid import UUID

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, F, Field, Lookup, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.sql import DeleteQuery
from django.db.models.sql.compiler import SQLCompiler

from compliance.models import RetentionPolicy
from compliance.purging.sweeps import Sweep
from kaireon.tenancy.managers import TenantQuerySet

# The clock and the key of the last row that was looked at.
Place = tuple[datetime, UUID]
_NO_FILES = "NULL"
BEFORE_ALL: Place = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))


class Slot(Enum):
    """What differs from batch to batch."""

    CLOCK = "clock"
    KEY = "key"
    SIZE = "size"


@dataclass(frozen=True, kw_only=True)
class Gone:
    """What a batch found and deleted. `files` are the names of the objects that its rows named."""

    found: int
    deleted: int
    first: datetime
    last: Place
    files: list[str]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """Ready to be run, in any transaction under the same epoch."""

    text: str
    parameters: tuple[Any, ...]

    def run(self, after: Place | None, size: int) -> Gone | None:
        """The next batch behind a place; None when there is nothing. A guard that refuses it raises IntegrityError."""
        clock, key = after or BEFORE_ALL
        filled: dict[Any, Any] = {Slot.CLOCK: clock, Slot.KEY: key, Slot.SIZE: size}
        with connection.cursor() as cursor:
            cursor.execute(self.text, [filled[p] if isinstance(p, Slot) else p for p in self.parameters])
            found, first, last_clock, last_key, deleted, files = cast("tuple[Any, ...]", cursor.fetchone())
        if not found:
            return None
        return Gone(found=found, deleted=deleted, first=first, last=(last_clock, last_key), files=files or [])


class _Chosen(Lookup):
    """`column = ANY(array)`: it keeps its plan where IN (SELECT …) lost it."""

    prepare_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY((SELECT ids FROM chosen)::uuid[])", tuple(parameters)  # noqa: S608 - a column of the model


def compose(sweep: Sweep, due: TenantQuerySet[Any], *, dry: bool) -> Statement:
    """The statement for the rows of a sweep that are `due`; `dry`: it goes the same way and counts them instead.

    Everything that makes a row due stands in the DELETE again, and so does a hold on the class.
    """
    clock = sweep.clock
    next_ones, next_parameters = _next(sweep, due).query.sql_with_params()
    held = RetentionPolicy.objects.held().filter(data_class=sweep.data_class)
    # The range of the clock lets PostgreSQL leave out other months.
    span = {
        f"{clock}__gte": RawSQL("(SELECT first FROM chosen)", []),
        f"{clock}__lte": RawSQL("(SELECT last FROM chosen)", []),
    }
    chosen = due.filter(_Chosen(F("id"), None), ~Exists(held), **span)
    names = _file_names(sweep)
    if dry:
        gone, parameters = chosen.values_list(RawSQL(names, [])).query.sql_with_params()  # noqa: S611 - columns of the model
    else:
        delete = chosen.query.chain(klass=DeleteQuery)
        gone, parameters = delete.get_compiler(connection=connection).as_sql()
        gone += f" RETURNING {names}"
    files = "SELECT array_agg(name) FROM gone, unnest(names) name" if names != _NO_FILES else "NULL"
    text = f"""
WITH found (clock, id) AS MATERIALIZED ({next_ones} LIMIT %s),
     chosen AS MATERIALIZED (
         SELECT array_agg(id) AS ids, min(clock) AS first, max(clock) AS last, count(*) AS rows,
                (array_agg(id ORDER BY clock, id))[count(*)] AS last_id
           FROM found),
     gone (names) AS ({gone})
SELECT rows, first, last, last_id, (SELECT count(*) FROM gone), ({files}) FROM chosen
"""  # noqa: S608 - composed of the ORM's own statements
    return Statement(text=text, parameters=(*next_parameters, Slot.SIZE, *parameters))


def _next(sweep: Sweep, due: TenantQuerySet[Any]) -> QuerySet[Any, Any]:
    """The rows behind the last batch, by clock: what was just deleted is not looked at again."""
    clock = sweep.clock
    here, key = RawSQL("%s::timestamptz", [Slot.CLOCK]), RawSQL("%s::uuid", [Slot.KEY])
    further = Q(**{f"{clock}__gt": here}) | Q(**{clock: here, "pk__gt": key})
    return due.filter(further, **{f"{clock}__gte": here}).order_by(clock, "pk").values_list(clock, "pk")


def _file_names(sweep: Sweep) -> str:
    """The names of a row's objects, as an expression."""
    quote, meta = connection.ops.quote_name, sweep.entity.model_class._meta
    fields = [cast("Field[Any, Any]", meta.get_field(name)) for name in sweep.entity.file_columns()]
    columns = [f"{quote(meta.db_table)}.{quote(str(field.column))}" for field in fields]
    return f"ARRAY[{', '.join(columns)}]::text[]" if columns else _NO_FILES
