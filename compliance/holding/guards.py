"""The migration operation that puts a table under legal hold's guard. The functions are in guards.sql."""

from collections.abc import Iterable

from django.db.migrations.operations import RunSQL

from compliance.holding.scopes import SCOPES

# SQLSTATE of every refusal for a hold: class 23 makes it an IntegrityError, K01 is our own.
LEGAL_HOLD = "23K01"


def guarded(table: str, data_class: str) -> RunSQL:
    """Refuse DELETE on the table, for every role, while the tenant holds `data_class`; refuse TRUNCATE always.

    Partitions that exist are guarded too; later ones copy the triggers. The refusals say "legal hold" and carry the
    SQLSTATE LEGAL_HOLD. A statement on a class that is not held costs one row lock and one indexed look-up; beside
    the class, holds with a scope find their rows among those that went (see scopes.sql).
    """
    return RunSQL(
        f"SELECT public.guard_table('{table}', '{data_class}'); {_scope(table, data_class)}",
        f"SELECT public.unguard_table('{table}')",
    )


def guarded_by_row(table: str, reference: str, *, classes: str, class_column: str) -> RunSQL:
    """The same for a table whose rows take their class from another: `classes`.`class_column`, through `reference`.

    A class that is held cannot be changed in that other table either. Not for partitioned tables.
    """
    return RunSQL(
        f"SELECT public.guard_table_by_row('{table}', '{reference}', '{classes}', '{class_column}');"
        f" {_scope(table, '')}",
        f"SELECT public.unguard_table('{table}'); DROP TRIGGER hold_class ON public.\"{classes}\"",
    )


def guarded_contents(
    table: str, data_class: str, *, emptied: Iterable[str] = (), changed: Iterable[str] = ()
) -> RunSQL:
    """Refuse an UPDATE that erases, for every role, while the tenant holds `data_class`.

    For rows that erasure keeps without the person: `emptied` columns may not lose their value (null, "" or {}),
    `changed` columns stay as they are. Another value in an `emptied` column is an ordinary update. Not for partitioned
    tables.
    """
    lists = ", ".join(_array(columns) for columns in (emptied, changed, SCOPES[table].arguments))
    return RunSQL(
        f"SELECT public.guard_contents('{table}', '{data_class}', {lists})",
        f'DROP TRIGGER hold_contents ON public."{table}"',
    )


def _scope(table: str, data_class: str) -> str:
    scope = SCOPES[table]
    entity, clock, subject, moves = scope.arguments
    return (
        f"SELECT public.scope_table('{table}', '{entity}', '{data_class}', '{clock}', '{subject}', '{moves}',"
        f" {_array(scope.asked)})"
    )


def _array(items: Iterable[str]) -> str:
    return "'{" + ",".join(f'"{item}"' for item in items) + "}'"
