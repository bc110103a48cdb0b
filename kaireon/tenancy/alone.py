"""Doing something alone, over all processes and machines, for longer than a transaction may last."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DEFAULT_DB_ALIAS, Error, OperationalError, connections
from django.db.backends.utils import CursorWrapper
from psycopg.errors import LockNotAvailable


@contextmanager
def alone(key: str, *, wait: float = 0) -> Iterator[bool]:
    """True when nobody else has this key, now or within `wait` seconds; then nobody does until the block ends, or this
    process does. Who waits comes before whoever asks later.

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
            if wait:
                taken = _waited(cursor, key, wait)
            else:
                cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [key])
                taken = cursor.fetchone() == (True,)
        yield taken
        # Given back before anybody hears that it is over: a closed connection the server notices a moment later.
        # One that was lost has given it back already.
        with suppress(Error):
            connection.rollback()
    finally:
        connection.close()


def _waited(cursor: CursorWrapper, key: str, seconds: float) -> bool:
    try:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{int(seconds * 1000)}ms"])
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            return False
        raise
    return True
