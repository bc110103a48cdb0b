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
