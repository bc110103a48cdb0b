"""In which order interactions became visible: the number of the transaction that brought them (`arrival`).

A row's time, and its id, are older than its commit, by an hour when its transaction was open for one: whoever goes by
them passes by what is committed late. A transaction's number is given when it first writes. Of all below the lowest one
that is still under way (the horizon) it is known what became of them: their rows are visible, or never will be. So what
lies between two horizons is a set that nothing is added to.

The numbers are the server's. `interaction_offset()` is added to each, so that they go on rising when a dump was
restored into a server that counts from the start; manage.py export_rebase sets it.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction


class NumbersAhead(RuntimeError):
    """Rows have numbers that this server has not given: it was restored from a dump. Run manage.py export_rebase."""


@dataclass(frozen=True, order=True)
class Place:
    """Behind which row of the order we are."""

    arrival: int
    last_id: UUID


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The rows behind one place up to another; `rows` at the time it was looked at."""

    after: Place
    until: Place
    rows: int


_SETTINGS = """
SELECT set_config(name, value, true)
  FROM (VALUES ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'), ('max_parallel_workers_per_gather', '0'),
               ('timezone', 'UTC')) setting (name, value)
"""
_HORIZON = """
SELECT public.interaction_offset() + pg_snapshot_xmin(now.s)::text::bigint,
       public.interaction_offset() + pg_snapshot_xmax(now.s)::text::bigint,
       (SELECT max(arrival) FROM public.customers_interaction WHERE tenant_id = %s)
  FROM pg_current_snapshot() now (s)
"""
# A whole piece ends here; rows are counted only where there is none.
_END = """
SELECT arrival, id FROM public.customers_interaction
 WHERE tenant_id = %s AND (arrival, id) > (%s, %s) AND arrival < %s
 ORDER BY arrival, id LIMIT 1 OFFSET %s
"""
_PIECE = """
SELECT arrival, id, n
  FROM (SELECT arrival, id, row_number() OVER (ORDER BY arrival, id) n
          FROM (SELECT arrival, id FROM public.customers_interaction
                 WHERE tenant_id = %s AND (arrival, id) > (%s, %s) AND arrival < %s
                 ORDER BY arrival, id LIMIT %s) part) numbered
 ORDER BY n DESC LIMIT 1
"""


@requires_transaction
def read_along_the_index() -> None:
    """For this transaction: a slice looks large enough to the planner to read a whole table for it."""
    with connection.cursor() as cursor:
        cursor.execute(_SETTINGS)


@requires_transaction
def horizon(after: Place) -> tuple[int, bool]:
    """The number below which all is decided, and whether rows lie above it. Ask for rows in a later statement.

    Raises NumbersAhead.
    """
    with connection.cursor() as cursor:
        cursor.execute(_HORIZON, [context.tenant_id()])
        decided, next_one, newest = cursor.fetchone()
    if max(newest or 0, after.arrival) >= next_one:
        raise NumbersAhead
    return decided, newest is not None and newest >= decided


@requires_transaction
def piece(after: Place, *, below: int, most: int) -> Piece | None:
    """The next rows behind a place; None when there are none below the horizon."""
    given = (context.tenant_id(), after.arrival, after.last_id, below)
    with connection.cursor() as cursor:
        cursor.execute(_END, [*given, most - 1])
        if row := cursor.fetchone():
            return Piece(after=after, until=Place(*row), rows=most)
        cursor.execute(_PIECE, [*given, most])
        row = cursor.fetchone()
    return Piece(after=after, until=Place(row[0], row[1]), rows=row[2]) if row else None
