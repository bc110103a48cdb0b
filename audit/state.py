"""How the active scope's log is doing: how much there is, what it committed to, when it was verified, what waits."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from audit.models import AuditHead, AuditRecord, Checkpoint, Publication, VerificationRun, VerificationState
from audit.tree import checkpoints
from kaireon.tenancy.context import current, requires_transaction

# Records that wait longer than this are waiting for a sequencer that does not run.
LATE = timedelta(seconds=60)
# A checkpoint comes every minute in which there is something to commit to.
OVERDUE = timedelta(minutes=5)
# A run that said nothing for so long was interrupted.
SILENT = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The newest verification: of how many records, and what it came to. `is_whole` unless only the last were read."""

    at: datetime
    by: str
    intact: bool
    scanned: int
    is_whole: bool


@dataclass(frozen=True, kw_only=True)
class State:
    """`uncommitted` records came after the newest checkpoint; `running` is a verification under way."""

    records: int
    head_hash: str
    checkpoint: Checkpoint | None
    published: Publication | None
    uncommitted: int
    is_overdue: bool
    verified: Verified | None
    running: VerificationRun | None
    lag: timedelta

    @property
    def is_late(self) -> bool:
        return self.lag > LATE


@requires_transaction
def state(*, now: datetime) -> State:
    """A handful of look-ups by key, whatever the log's size."""
    tenant = current().tenant_id
    head = AuditHead.objects.filter(pk=tenant).first()
    newest = checkpoints.newest(tenant)
    records = head.seq if head else 0
    published = (
        Publication.objects.filter(tenant_id=tenant, tree_size=newest.tree_size).order_by("published_at").first()
        if newest
        else None
    )
    uncommitted = records - (newest.tree_size if newest else 0)
    return State(
        records=records,
        head_hash=head.integrity_hash if head else "",
        checkpoint=newest,
        published=published,
        uncommitted=uncommitted,
        is_overdue=uncommitted > 0 and newest is not None and now - newest.signed_at > OVERDUE,
        verified=_verified(tenant),
        running=VerificationRun.objects.filter(state=VerificationState.RUNNING, updated_at__gt=now - SILENT)
        .newest_first()
        .first(),
        lag=max(timedelta(0), now - _oldest_waiting(now)),
    )


def _verified(tenant: str) -> Verified | None:
    """From the log itself, by an index of its own: every verification is recorded there, whoever asked for it."""
    last = AuditRecord.objects.filter(tenant_id=tenant, action="audit_log.verify").newest_first().first()
    if last is None:
        return None
    found: dict[str, Any] = last.changes or {}
    return Verified(
        at=last.timestamp,
        by=last.user_name,
        intact=bool(found.get("intact")),
        scanned=int(found.get("scanned") or 0),
        is_whole=not found.get("window"),
    )


def _oldest_waiting(now: datetime) -> datetime:
    """Since when the first record waits to be sequenced, of any tenant: one sequencer serves all."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT oldest FROM public.gauge_inbox(1)")
        (oldest,) = cursor.fetchone()
    return oldest or now
