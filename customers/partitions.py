"""The months of the partitioned tables."""

from collections.abc import Iterable
from datetime import UTC, date, datetime

from django.db import connection

from kaireon.tenancy.context import requires_transaction

# Table and the column that decides the month.
PARTITIONED: dict[str, str] = {
    "customers_interaction": "occurred_at",
    "customers_interactionsummary": "period_end",
    "customers_decisiontrace": "decided_at",
}


@requires_transaction
def ensure_months(table: str, moments: Iterable[datetime]) -> int:
    """Create the partitions these moments fall into, where missing; returns how many it created.

    Call it before anything else the transaction writes: creating one waits for writers of the customers it refers to.
    """
    # One number a month, because a set of dates would need a date made for every row.
    months = {moment.year * 12 + moment.month - 1 for moment in (m.astimezone(UTC) for m in moments)}
    if not months:
        return 0
    wanted = [date(number // 12, number % 12 + 1, 1) for number in sorted(months)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM unnest(%s::date[]) month WHERE public.partition_ensure(%s, month)", [wanted, table]
        )
        return int(cursor.fetchone()[0])


def months_of(table: str) -> list[date]:
    """The first days of the months that have a partition, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_date(right(c.relname, 7), 'YYYY_MM') FROM pg_catalog.pg_inherits i"
            " JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = %s::regclass AND c.relname = %s || '_' || right(c.relname, 7) ORDER BY 1",
            [f"public.{table}", table],
        )
        return [first for (first,) in cursor.fetchall()]
