"""Verifications that outlive a process: stored as they go, resumed where they stopped, and what came of them.

A run keeps two places, sealed under the tenant's key: how far it is, and its *verified point*: the last signed
checkpoint that what it read agrees with, and the tree there. Whoever can write to the database but has no key can take
a place away, and more is read again; none can be made up, and an old one put back only means reading more.

A run since the last verified point answers: is what came after it intact, and does it lead from the tree that was
verified then to the root that is signed now? It does not read what lies before again, so what was changed there since
is found by the next run over the whole log.
"""

import json
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from django.db import Error, connection

from audit import services
from audit.models import VerificationKind, VerificationRun, VerificationState
from audit.pruning import beginning
from audit.tree import merkle
from audit.tree.notes import BadNote, Note
from audit.verification import checkers
from audit.verification.spans import Link
from audit.verification.verdict import Fault, Reason, Verdict
from audit.verification.verify import Commitment, Examination, UnusableCheckpoint, commitment_of, examine
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.lib.ids import uuid7
from kaireon.lib.sealing import CannotOpen
from kaireon.tenancy.context import PLATFORM, current, requires_transaction, transaction, without_transaction
from kaireon.tenancy.keyring import open_text, seal_text

# How long a run may be silent before it counts as interrupted, and how often it says how far it is.
LEASE = timedelta(seconds=30)
SAVE_SECONDS = 5.0
# The nightly run reads the whole log when the last one that did is older.
WHOLE_EVERY = timedelta(days=7)
KEPT_DAYS = 90

_COLUMNS = [f.attname for f in VerificationRun._meta.concrete_fields]
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM public.audit_verificationrun WHERE tenant_id = %s"  # noqa: S608
_BEGIN = """
INSERT INTO public.audit_verificationrun
    (id, tenant_id, kind, state, asked_by, started_at, updated_at, first_seq, until_seq, reached_seq, total, scanned,
     verified, checkpoint_size, checkpoint_note)
VALUES (%s, %s, %s, 'running', %s, %s, %s, 1, 0, 0, 0, 0, 0, 0, '')
ON CONFLICT DO NOTHING
"""
_MOVE = """
UPDATE public.audit_verificationrun
   SET updated_at = %s, first_seq = %s, until_seq = %s, reached_seq = %s, total = %s, scanned = %s, verified = %s,
       checkpoint_size = %s, checkpoint_note = %s, point_sealed = %s,
       state = %s, finished_at = %s, broken_reason = %s, broken_at_seq = %s, broken_at_id = %s
 WHERE tenant_id = %s AND id = %s AND state = 'running' AND updated_at = %s
"""
_FORGET = """
DELETE FROM public.audit_verificationrun r WHERE tenant_id = %s AND finished_at < %s
   AND EXISTS (SELECT FROM public.audit_verificationrun n WHERE n.tenant_id = r.tenant_id AND n.kind = r.kind
                  AND n.state = 'intact' AND n.started_at > r.started_at)
"""


class AlreadyRunning(RuntimeError):
    """Another process verifies this log right now, or took this run over. Look at its row; try again when it ended."""


@dataclass(frozen=True)
class Place:
    """A record, and the tree up to it."""

    link: Link
    tree: merkle.Stack

    def copied(self) -> tuple[Link, merkle.Stack]:
        """For somebody who lets the tree grow."""
        return self.link, merkle.Stack(self.tree.size, self.tree.hashes)

    def as_json(self) -> dict[str, Any]:
        return {"link": list(self.link), "tree": [h.hex() for h in self.tree.hashes]}

    @classmethod
    def of(cls, said: dict[str, Any]) -> "Place":
        link = Link(*said["link"])
        return cls(link, merkle.Stack(link.seq, [bytes.fromhex(h) for h in said["tree"]]))


@dataclass
class _Run:
    """A run in this process. `row` is its row as this process wrote it last."""

    row: VerificationRun
    reached: Place | None = None
    point: Place | None = None
    # The note that `point` agrees with.
    note: str = ""
    scanned: int = 0
    verified: int = 0
    saved: float = field(default_factory=time.monotonic)

    @property
    def tenant_id(self) -> str:
        return str(self.row.tenant_id)

    @property
    def context(self) -> str:
        """What its places are sealed for: no other run's, and no other log's."""
        return f"audit-verification:{self.tenant_id}:{self.row.pk}"


@without_transaction
def run(
    kind: VerificationKind,
    *,
    jobs: int = 1,
    budget: Budget | None = None,
    moved: Callable[[int, int], object] = lambda _done, _whole: None,
) -> VerificationRun:
    """Verify the active scope's log, going on where a run of this kind was interrupted; drain the inbox before.

    Without a verified point a run since the last one becomes one over the whole log. When the budget is spent the run
    is left `running` for the next call. A finished one is recorded in the log. `moved` hears how many of how many
    records were read. Raises AlreadyRunning.
    """
    with transaction():
        this = _taken_up(kind) or _begun(kind)
    try:
        while not _went_through(this, jobs=jobs, budget=budget, moved=moved):
            pass
    except BaseException:
        # Whoever comes next need not wait for the lease to run out.
        with suppress(Error, AlreadyRunning), transaction():
            _move(this, at=this.row.updated_at - LEASE)
        raise
    return this.row


def _went_through(this: _Run, *, jobs: int, budget: Budget | None, moved: Callable[[int, int], object]) -> bool:
    """Read what is to be read, or as much as the budget allows; False when a prune came in between."""
    with transaction():
        examination = _examination(this)
        _move(this)
    length = examination.until - examination.last.seq
    others = jobs if length > checkers.WORTH_A_PROCESS else 1
    spans = checkers.checked(examination.log, examination.wanted(), examination.last, jobs=others, within=transaction)
    with closing(spans):
        for found in spans:
            examination.take(found)
            _look(this, examination)
            moved(examination.verdict.scanned, examination.verdict.scanned + examination.until - found.last.seq)
            if budget is not None and budget.spent and examination.verdict.intact:
                with transaction():
                    _move(this, at=this.row.updated_at - LEASE)
                return True
            if time.monotonic() - this.saved >= SAVE_SECONDS:
                with transaction():
                    _move(this)
    with transaction():
        verdict = examination.finish()
        if not verdict.intact and beginning.kept_from(examination.tenant_id) != examination.begins:
            # A prefix was pruned while it was read: that is no fault. From the new beginning on once more.
            this.reached = this.point = None
            this.scanned = this.verified = 0
            return False
        _look(this, examination)
        _finish(this, verdict)
    return True


def _examination(this: _Run) -> Examination:
    """What is left to read."""
    row = this.row
    examination = examine(resumed=this.reached.copied() if this.reached else None)
    if this.reached is None:
        row.first_seq = examination.last.seq + 1
    row.until_seq, row.total = examination.until, examination.verdict.total
    examination.verdict.scanned, examination.verdict.verified = this.scanned, this.verified
    if this.reached is not None and examination.begins.seq > this.reached.link.seq + 1:
        # All that was read is pruned.
        this.reached = this.point = None
        return _examination(this)
    if this.point is not None and not _leads_on(this.point, examination.commitment):
        examination.verdict.broken(Fault("checkpoint_mismatch", this.point.link.seq, this.point.link.id))
    return examination


def _leads_on(point: Place, commitment: Commitment) -> bool:
    """Whether the newest checkpoint can follow from a verified one; between the two the leaves will tell."""
    if commitment.size == point.tree.size:
        return commitment.root == point.tree.root()
    return commitment.size > point.tree.size


def _look(this: _Run, examination: Examination) -> None:
    verdict = examination.verdict
    this.scanned, this.verified = verdict.scanned, verdict.verified
    if verdict.intact and examination.tree is not None:
        this.reached = Place(examination.last, merkle.Stack(examination.tree.size, examination.tree.hashes))
    if examination.point is not None:
        this.point, this.note = Place(*examination.point), examination.commitment.note
    this.row.reached_seq = examination.last.seq


def _finish(this: _Run, verdict: Verdict) -> None:
    row, now = this.row, clock.now()
    row.state = VerificationState.INTACT if verdict.intact else VerificationState.BROKEN
    row.finished_at = now
    row.broken_reason, row.broken_at_seq = verdict.broken_reason, verdict.broken_at_seq
    row.broken_at_id = verdict.broken_at_id
    row.total = verdict.total
    _move(this)
    changes: dict[str, object] = {
        "intact": verdict.intact,
        "scanned": verdict.scanned,
        "window": row.kind != VerificationKind.FULL,
        "run": str(row.pk),
    }
    if not verdict.intact:
        changes |= {"reason": verdict.broken_reason, "seq": verdict.broken_at_seq}
    services.record(
        action="audit_log.verify",
        entity_type="AuditLog",
        entity_id=this.tenant_id,
        changes=changes,
        platform=this.tenant_id == PLATFORM,
    )
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [this.tenant_id, now - timedelta(days=KEPT_DAYS)])


def verdict_of(row: VerificationRun) -> Verdict:
    """What a finished run found."""
    return Verdict(
        total=row.total,
        window=row.kind != VerificationKind.FULL,
        verified=row.verified,
        scanned=row.scanned,
        broken_at_id=row.broken_at_id,
        broken_at_seq=row.broken_at_seq,
        broken_reason=cast("Reason | None", row.broken_reason),
    )


@requires_transaction
def length() -> int:
    """How many records the active scope's log has, as its head says."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT seq FROM public.audit_head WHERE tenant_id = %s", [current().tenant_id])
        row = cursor.fetchone()
    return int(row[0]) if row else 0


@requires_transaction
def newest(*, kind: VerificationKind | None = None, finished: bool = True) -> VerificationRun | None:
    """The active scope's newest run, of any kind or of one; `finished` leaves out what is under way."""
    where = " AND state IN ('intact', 'broken')" if finished else ""
    where += " AND kind = %s" if kind else ""
    return _one(f"{where} ORDER BY started_at DESC LIMIT 1", *([kind] if kind else []))


@requires_transaction
def nightly_kind(now: datetime) -> VerificationKind:
    """Whole once a week, when such a run was interrupted, and as long as the last one found a fault."""
    under_way, last = _one(" AND state = 'running'"), newest()
    whole = newest(kind=VerificationKind.FULL)
    if under_way is not None:
        return VerificationKind(under_way.kind)
    if last is None or whole is None or VerificationState.BROKEN in (last.state, whole.state):
        return VerificationKind.FULL
    is_due = whole.finished_at is None or whole.finished_at < now - WHOLE_EVERY
    return VerificationKind.FULL if is_due else VerificationKind.SINCE_LAST


def _taken_up(kind: VerificationKind) -> _Run | None:
    """The run of this kind that was interrupted. One of another kind is given up for this one."""
    row = _one(" AND state = 'running' FOR UPDATE")
    if row is None:
        return None
    if row.updated_at > clock.now() - LEASE:
        raise AlreadyRunning(f"The log is being verified since {clock.rfc3339(row.started_at)}, by {row.asked_by}.")
    this = _Run(row)
    asked_for = row.kind == kind or (kind == VerificationKind.SINCE_LAST and _point() is None)
    if asked_for and _remembered(this):
        return this
    row.state, row.finished_at = VerificationState.ABANDONED, clock.now()
    _move(this)
    return None


def _begun(kind: VerificationKind) -> _Run:
    here, now = current(), clock.now()
    start = _point() if kind == VerificationKind.SINCE_LAST else None
    if start is None:
        kind = VerificationKind.FULL
    with connection.cursor() as cursor:
        pk = uuid7()
        cursor.execute(_BEGIN, [pk, here.tenant_id, kind, here.actor.name, now, now])
        if not cursor.rowcount:
            raise AlreadyRunning("The log is being verified since a moment ago.")
    this = _Run(_required(" AND id = %s", pk))
    if start is not None:
        this.reached = this.point = start.point
        this.note = start.note
        this.row.first_seq = this.point.link.seq + 1 if this.point else 1
    return this


def _point() -> _Run | None:
    """The newest intact run whose verified point can be opened and holds."""
    row = _one(" AND state = 'intact' ORDER BY started_at DESC LIMIT 1")
    if row is None:
        return None
    found = _Run(row)
    return found if _remembered(found) and found.point is not None else None


def _remembered(this: _Run) -> bool:
    """Open what the run sealed; False when it cannot be, or when the point is none that the log signed."""
    row = this.row
    if row.point_sealed is None:
        return row.state == VerificationState.RUNNING
    try:
        said = json.loads(open_text(bytes(row.point_sealed), context=this.context))
        this.reached = Place.of(said["reached"]) if said["reached"] else None
        this.point = Place.of(said["point"]) if said["point"] else None
        this.note, this.scanned, this.verified = said["note"], said["scanned"], said["verified"]
        if this.point is None:
            return True
        signed = commitment_of(this.tenant_id, Note.parse(this.note))
    except (CannotOpen, UnusableCheckpoint, BadNote):
        return False
    return (signed.size, signed.root) == (this.point.tree.size, this.point.tree.root())


def _move(this: _Run, *, at: datetime | None = None) -> None:
    """Write the row. Raises AlreadyRunning when another process took the run over."""
    row, before = this.row, this.row.updated_at
    row.updated_at = at or max(clock.now(), before + timedelta(microseconds=1))
    row.scanned, row.verified = this.scanned, this.verified
    row.checkpoint_size, row.checkpoint_note = (this.point.tree.size, this.note) if this.point else (0, "")
    said = {
        "reached": this.reached and this.reached.as_json(),
        "point": this.point and this.point.as_json(),
        "note": this.note,
        "scanned": this.scanned,
        "verified": this.verified,
    }
    row.point_sealed = seal_text(json.dumps(said), context=this.context)
    with connection.cursor() as cursor:
        cursor.execute(
            _MOVE,
            [
                *(row.updated_at, row.first_seq, row.until_seq, row.reached_seq, row.total, row.scanned, row.verified),
                *(row.checkpoint_size, row.checkpoint_note, row.point_sealed),
                *(row.state, row.finished_at, row.broken_reason, row.broken_at_seq, row.broken_at_id),
                *(this.tenant_id, row.pk, before),
            ],
        )
        if cursor.rowcount != 1:
            raise AlreadyRunning("Another process took this verification over.")
    this.saved = time.monotonic()


def _one(where: str, *parameters: str | UUID) -> VerificationRun | None:
    """In SQL: the log of no tenant has runs too, and the manager knows tenants only."""
    with connection.cursor() as cursor:
        cursor.execute(_SELECT + where, [current().tenant_id, *parameters])
        row = cursor.fetchone()
    return VerificationRun(**dict(zip(_COLUMNS, row, strict=True))) if row else None


def _required(where: str, *parameters: str | UUID) -> VerificationRun:
    row = _one(where, *parameters)
    if row is None:
        raise RuntimeError("The row that was just written is not there.")
    return row
