"""One run of a job at a time, whoever starts it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DEFAULT_DB_ALIAS, Error, connections


@contextmanager
def only_run(job: str) -> Iterator[bool]:
    """True when nobody else runs the job now; then nobody does until the block ends, or this process does.

    The advisory lock belongs to a transaction that stays open on a connection of its own, so it holds through
    PgBouncer's transaction mode too. It reads and writes nothing and keeps no snapshot, so it is in nobody's way.
    """
    connection = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        connection.set_autocommit(False)
        with connection.cursor() as cursor:
            # The role ends idle transactions after 30 s; this one is idle on purpose.
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('cron:' || %s, 0))", [job])
            taken = cursor.fetchone() == (True,)
        yield taken
        # Given back before anybody hears that the run is over: a closed connection the server notices a moment later.
        # One that was lost has given it back already.
        with suppress(Error):
            connection.rollback()
    finally:
        connection.close()
