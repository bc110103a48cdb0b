"""How far a destination is behind the active scope's log, and what it refused."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, F, Sum

from audit.following import cursors
from audit.models import Cursor, Unshippable
from kaireon.tenancy.context import current, requires_transaction

# Of ranges that a destination refused: who refuses everything refuses a million.
NAMED = 20


@dataclass(frozen=True, kw_only=True)
class Lag:
    """`records` are sequenced and not confirmed; `since` is when the destination last had everything, None when it has.

    `error` is the code of the last failure, and `due_at` when it is tried again. `refused` are the first and last
    numbers and the code of what it will not take, the first NAMED ranges of `refused_ranges`; `refused_records` counts
    the records of all.
    """

    records: int
    since: datetime | None
    confirmed: int
    moved_at: datetime | None
    error: str
    due_at: datetime | None
    refused: list[tuple[int, int, str]]
    refused_ranges: int
    refused_records: int

    def seconds(self, now: datetime) -> float:
        return max(timedelta(0), now - self.since).total_seconds() if self.since else 0.0


@requires_transaction
def lag(key: str, *, created_at: datetime) -> Lag:
    """Of the destination of this key in the active scope's log; `created_at` counts when nothing was shipped yet."""
    tenant = current().tenant_id
    cursor = Cursor.objects.filter(tenant_id=tenant, follower=f"siem:{key}").first()
    confirmed = cursor.seq if cursor else 0
    behind = max(0, cursors.head() - confirmed)
    since = ((cursor.caught_up_at or cursor.created_at) if cursor else created_at) if behind else None
    rows = Unshippable.objects.filter(tenant_id=tenant, destination=key, resolved_at=None)
    counted = rows.aggregate(ranges=Count("pk"), records=Sum(F("last_seq") - F("first_seq") + 1))
    return Lag(
        records=behind,
        since=since,
        confirmed=confirmed,
        moved_at=cursor.moved_at if cursor else None,
        error=cursor.error if cursor else "",
        due_at=cursor.due_at if cursor else None,
        refused=[(row.first_seq, row.last_seq, row.code) for row in rows.order_by("first_seq")[:NAMED]],
        refused_ranges=counted["ranges"],
        refused_records=counted["records"] or 0,
    )
