"""Work that somebody waits for: it is given so many seconds, and then given up."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection

from kaireon.tenancy.context import transaction

QUERY_CANCELED = "57014"


class TookTooLong(RuntimeError):
    """A statement was not done in time. What was done beside it is taken back."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Give each statement inside so many seconds. Raises TookTooLong."""
    try:
        with transaction():
            before = _limit(f"{max(1, int(seconds * 1000))}ms")
            yield
            _limit(before)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != QUERY_CANCELED:
            raise
        raise TookTooLong from error


def _limit(wanted: str) -> str:
    """Set the limit of this transaction's statements; gives the one there was."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        before = str(cursor.fetchone()[0])
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [wanted])
    return before
