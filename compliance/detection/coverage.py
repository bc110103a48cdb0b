"""Which time of the active tenant's log was scanned: the ledger behind the promise that no minute is left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from compliance.detection.intervals import Span, gaps
from compliance.detection.rules import LOOK_BACK
from compliance.models import ScanCoverage
from kaireon.tenancy.context import requires_transaction, tenant_id
from kaireon.tenancy.models import Tenant


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What is covered so far, and how far the logs went when they were last read; None: never."""

    spans: tuple[Span, ...] = ()
    through_seq: int | None = None
    platform_seq: int | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a scan at `now` looks at: the last minutes whatever was covered of them, then the gaps, oldest first."""

    recent: Span
    missed: tuple[Span, ...]

    @property
    def spans(self) -> tuple[Span, ...]:
        return (self.recent, *self.missed)


@requires_transaction
def read() -> Ledger:
    rows = list(ScanCoverage.objects.order_by("begins_at"))
    if not rows:
        return Ledger()
    return Ledger(
        spans=tuple(Span(row.begins_at, row.ends_at) for row in rows),
        through_seq=max(row.through_seq for row in rows),
        platform_seq=max(row.platform_seq for row in rows),
    )


@requires_transaction
def plan(ledger: Ledger, *, now: datetime, since: datetime | None = None) -> Plan:
    """What is to be scanned now. `since` is from when on this installation scans: a tenant that was made later is
    looked at from its first moment; where nothing was ever scanned, the look back is all."""
    recent = Span(now - LOOK_BACK, now)
    starts = [span.begins for span in ledger.spans]
    if not starts and since is not None:
        starts = [max(since - LOOK_BACK, Tenant.objects.get(pk=tenant_id()).created_at)]
    begins = min([recent.begins, *starts])
    return Plan(recent=recent, missed=tuple(gaps([*ledger.spans, recent], Span(begins, now))))


@requires_transaction
def alone() -> None:
    """Wait for whoever scans the active tenant's log now, and have others wait until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('scan:' || %s, 0))", [tenant_id()])


@requires_transaction
def cover(span: Span, *, through_seq: int, platform_seq: int, now: datetime) -> None:
    """Note that a span was scanned. Spans that touch become one row. Be `alone` first."""
    rows = list(ScanCoverage.objects.order_by("begins_at"))
    touching = [row for row in rows if row.begins_at <= span.ends and row.ends_at >= span.begins]
    if not touching:
        ScanCoverage.objects.create(
            begins_at=span.begins,
            ends_at=span.ends,
            through_seq=through_seq,
            platform_seq=platform_seq,
            scanned_at=now,
        )
        return
    kept, *others = touching
    kept.begins_at = min(span.begins, *(row.begins_at for row in touching))
    kept.ends_at = max(span.ends, *(row.ends_at for row in touching))
    kept.through_seq = max(through_seq, *(row.through_seq for row in touching))
    kept.platform_seq = max(platform_seq, *(row.platform_seq for row in touching))
    kept.scanned_at = now
    kept.save()
    ScanCoverage.objects.filter(pk__in=[row.pk for row in others]).delete()


@requires_transaction
def missing(*, now: datetime) -> Sequence[Span]:
    """The time since the first scan that none has looked at yet."""
    spans = read().spans
    return gaps(spans, Span(spans[0].begins, now)) if spans and spans[0].begins < now else []
