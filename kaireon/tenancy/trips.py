"""Statements that ask nothing ride along with the next one, instead of taking a trip to PostgreSQL of their own.

What says who acts, by which verb, and whether a commit waits for the disk is a tenth of the trips of a job of many
small statements. While `fewer_trips` is open these wait for the next statement and go before it, in the same message;
each is still a statement of its own, in its order, with a snapshot of its own.

Only what ends with the transaction may be `say`-ed: settings and locks. When no statement follows, nobody would have
seen them. `COPY` does not pass here: let a statement go before it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import ClientCursor

_BACK = "ROLLBACK TO"


class _Riders:
    """Those who wait, on one connection; Django calls it around each statement."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.waiting: list[str] = []
        self._connection = connection

    def __call__(self, execute: Callable[..., Any], sql: Any, values: Any, many: bool, context: dict[str, Any]) -> Any:
        if not self.waiting:
            return execute(sql, values, many, context)
        riders, self.waiting = self.waiting, []
        if str(sql).startswith(_BACK):
            # They were said behind the savepoint: it takes them back.
            return execute(sql, values, many, context)
        first, cursor = "; ".join(riders), context["cursor"].cursor
        if many or not isinstance(sql, str) or not isinstance(cursor, ClientCursor):
            # A cursor on the server, or one statement many times: the riders go ahead.
            with self._connection.wrap_database_errors, self._connection.connection.cursor() as ahead:
                ahead.execute(first)
            return execute(sql, values, many, context)
        if values is not None:
            first = first.replace("%", "%%")
        result = execute(f"{first}; {sql}", values, many, context)
        for _rider in riders:
            cursor.nextset()
        return result


@contextmanager
def fewer_trips() -> Iterator[None]:
    """Until the block ends, what is said on this thread's connection rides along. Nested it changes nothing."""
    connection = connections[DEFAULT_DB_ALIAS]
    if _riders(connection) is not None:
        yield
        return
    riders = _Riders(connection)
    connection.kaireon_riders = riders  # type: ignore[attr-defined]
    try:
        with connection.execute_wrapper(riders):
            yield
    finally:
        connection.kaireon_riders = None  # type: ignore[attr-defined]


def say(connection: BaseDatabaseWrapper, sql: str, values: list[str] | None = None) -> None:
    """Execute a statement of this transaction that asks nothing, now or right before the next one."""
    riders = _riders(connection)
    if riders is None:
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
    else:
        riders.waiting.append(sql if values is None else cast("Any", connection.ops).compose_sql(sql, values))


def forget(connection: BaseDatabaseWrapper) -> None:
    """The transaction ended: what waits in it means nothing any more."""
    riders = _riders(connection)
    if riders is not None:
        riders.waiting.clear()


def _riders(connection: BaseDatabaseWrapper) -> _Riders | None:
    return getattr(connection, "kaireon_riders", None)
