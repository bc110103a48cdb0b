"""Doing something alone, over all processes and machines, for longer than a transaction may last."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DEFAULT_DB_ALIAS, Error, connections


@contextmanager
def alone(key: str) -> Iterator[bool]:
    """True when nobody else holds `key` now; then nobody does until the block ends, or this process does.

    The advisory lock belongs to a transaction that stays open on a connection of its own, so it holds through
    PgBouncer's transaction mode too. It reads and writes nothing and keeps no snapshot, so it is in nobody's way.
    Whoever loses that connection has lost the lock without hearing of it: what must not be done twice needs a condition
    of its own.
    """
    connection = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        connection.set_autocommit(False)
        with connection.cursor() as cursor:
            # The role ends idle transactions after 30 s; this one is idle on purpose.
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [key])
            taken = cursor.fetchone() == (True,)
        yield taken
        # Given back before anybody hears that it is over: a closed connection the server notices a moment later. One
        # that was lost has given it back already.
        with suppress(Error):
            connection.rollback()
    finally:
        connection.close()
