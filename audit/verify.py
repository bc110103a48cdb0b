"""The verifier: reads rows, derives everything again, trusts no column. Shares the pure arithmetic with the writer."""

from dataclasses import dataclass
from typing import Any, Literal

from django.db import connections
from django.db.backends.utils import CursorWrapper

from audit import checkpoints, merkle, notes, reading, signing
from audit.chain import GENESIS, integrity_hash, leaf_hash
from kaireon.tenancy.context import current, requires_transaction

Reason = Literal["hash_mismatch", "chain_link_mismatch", "sequence_gap", "truncated", "checkpoint_mismatch"]


_LAST = 2**63 - 1


@dataclass
class Verdict:
    """What a verification found. `verified` counts the records before the first fault."""

    total: int
    window: bool
    verified: int = 0
    scanned: int = 0
    broken_at_id: str | None = None
    broken_at_seq: int | None = None
    broken_reason: Reason | None = None

    @property
    def intact(self) -> bool:
        return self.broken_reason is None

    def as_wire(self) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "intact": self.intact,
            "verified": self.verified,
            "total": self.total,
            "scanned": self.scanned,
        }
        if self.window:
            answer["windowOnly"] = True
        if not self.intact:
            answer |= {"brokenAtId": self.broken_at_id, "brokenReason": self.broken_reason}
        return answer

    def broken(self, reason: Reason, record: dict[str, Any] | None) -> None:
        if self.broken_reason is None:
            self.broken_reason = reason
            self.broken_at_id = record["id"] if record else None
            self.broken_at_seq = record["seq"] if record else None


@dataclass
class _Link:
    seq: int
    integrity_hash: str | None  # None: the record before the window is gone, so nothing to compare with.
    record: dict[str, Any] | None = None


class UnusableCheckpoint(ValueError):
    """The checkpoint to verify against is none of this log's. The message says why."""


@dataclass(frozen=True)
class _Commitment:
    """What a checkpoint says of the log; without `root`, that the checkpoint itself was tampered with."""

    size: int
    root: bytes | None


@requires_transaction
def verify(
    *, limit: int | None = None, span: tuple[int, int] | None = None, against: notes.Note | None = None
) -> Verdict:
    """Check the active scope's log: whole, its last `limit` records, or those with seq from `span[0]` to `span[1]`.

    Streams; memory does not grow with the log.

    Hashes, links and numbers, and the tree against the newest checkpoint, or `against` one that left the database
    earlier. A fault does not stop the reading: `scanned` counts every record read. Drain the inbox before.
    Raises UnusableCheckpoint for an `against` that none of the log's keys signed.
    """
    tenant = current().tenant_id
    commitment = _newest_commitment(tenant) if against is None else _commitment(tenant, against)
    with connections["default"].cursor() as cursor:
        head = _head(cursor, tenant)
        total = _count(cursor, tenant)
        start = _start(cursor, tenant, limit, span)
    until = head.seq if span is None else min(span[1], head.seq)
    verdict = Verdict(total=total, window=start.seq > 0 or until < head.seq)
    # Whether records are read that the checkpoint speaks of.
    covered = start.seq < commitment.size
    tree = _tree_before(tenant, start.seq) if covered else None
    last = start
    for record in reading.records(tenant, after=start.seq, until=_LAST if until == head.seq else until):
        verdict.scanned += 1
        leaf = _leaf_of(record)
        if reason := _fault(record, leaf, last):
            verdict.broken(reason, record)
        if tree is not None and tree.size < commitment.size:
            tree.append(leaf)
            if tree.size == commitment.size and tree.root() != commitment.root:
                verdict.broken("checkpoint_mismatch", record)
        if verdict.intact:
            verdict.verified += 1
        last = _Link(record["seq"], record["integrityHash"], record)
    # The head remembers where the log ended; a log that ends earlier lost its tail.
    if last.seq < until:
        verdict.broken("truncated", last.record)
    elif until == head.seq and head.integrity_hash != last.integrity_hash:
        verdict.broken("hash_mismatch", last.record)
    if tree is not None and last.seq == until < commitment.size and until < head.seq:
        tree = _completed(tenant, tree, commitment)
    if commitment.root is None or commitment.size > max(last.seq, head.seq) or (covered and tree is None):
        verdict.broken("checkpoint_mismatch", last.record)
    return verdict


def _completed(tenant: str, tree: merkle.Stack, commitment: _Commitment) -> merkle.Stack | None:
    """The tree with what lies after the window, as the tiles have it; None when its root is not the signed one."""
    node = checkpoints.Tree(tenant).node()
    try:
        for level, index in merkle.cover(tree.size, commitment.size):
            tree.append_perfect(level, node(level, index))
    except merkle.OutsideTree:
        return None
    return tree if tree.root() == commitment.root else None


def _newest_commitment(tenant: str) -> _Commitment:
    """What the newest stored checkpoint says, when its signature holds."""
    stored = checkpoints.newest(tenant)
    if stored is None:
        return _Commitment(0, merkle.EMPTY_ROOT)
    try:
        said = _commitment(tenant, notes.Note.parse(stored.note))
    except (UnusableCheckpoint, notes.BadNote):
        return _Commitment(stored.tree_size, None)
    # The columns are a convenience: what they say beside the signed text is a lie or nothing.
    agrees = said.root is not None and (said.size, said.root.hex()) == (stored.tree_size, stored.root_hash)
    return said if agrees else _Commitment(stored.tree_size, None)


def _commitment(tenant: str, note: notes.Note) -> _Commitment:
    for key in signing.keys(tenant):
        try:
            note.check(signing.public_key(key))
        except (notes.NotSigned, notes.BadNote):
            continue
        checkpoint = notes.Checkpoint.parse(note.text)
        if checkpoint.origin != signing.origin(tenant):
            raise UnusableCheckpoint(f"it is of the log {checkpoint.origin}")
        return _Commitment(checkpoint.size, checkpoint.root)
    raise UnusableCheckpoint("none of the log's keys signed it")


def _tree_before(tenant: str, seq: int) -> merkle.Stack | None:
    """The tree up to where the reading starts, as the tiles have it; None when they lack it."""
    node = checkpoints.Tree(tenant).node()
    try:
        return merkle.Stack(seq, [node(*part) for part in merkle.cover(0, seq)])
    except merkle.OutsideTree:
        return None


def _fault(record: dict[str, Any], leaf: bytes, last: _Link) -> Reason | None:
    if last.integrity_hash is not None and record["prevHash"] != last.integrity_hash:
        # Without anything before it, the log's beginning is missing; else a record came or went in between.
        return "truncated" if last.seq == 0 and record["seq"] > 1 else "chain_link_mismatch"
    if record["seq"] != last.seq + 1:
        return "sequence_gap"
    if record["integrityHash"] != _integrity_of(record) or record["leafHash"] != leaf.hex():
        return "hash_mismatch"
    return None


def _leaf_of(record: dict[str, Any]) -> bytes:
    hashed = {name: value for name, value in record.items() if name != "leafHash"}
    return bytes.fromhex(leaf_hash(hashed))


def _integrity_of(record: dict[str, Any]) -> str:
    return integrity_hash(
        action=record["action"],
        entity_type=record["entityType"],
        entity_id=record["entityId"],
        entity_name=record["entityName"],
        changes=record["changes"],
        user_id=record["userId"],
        user_name=record["userName"],
        tenant_id=record["tenantId"],
        request_id=record["requestId"],
        prev_hash=record["prevHash"],
    )


def _start(cursor: CursorWrapper, tenant: str, limit: int | None, span: tuple[int, int] | None) -> _Link:
    """The record right before the first one to be read; the log's beginning when there is none."""
    if limit is None and span is None:
        return _Link(0, GENESIS)
    place = "seq < %s ORDER BY seq DESC LIMIT 1" if span else "true ORDER BY seq DESC OFFSET %s LIMIT 1"
    cursor.execute(
        f"SELECT seq, integrity_hash FROM public.audit_record WHERE tenant_id = %s AND {place}",  # noqa: S608
        [tenant, span[0] if span else limit],
    )
    found = cursor.fetchone()
    return _Link(found[0], found[1]) if found else _Link(0, GENESIS)


def _head(cursor: CursorWrapper, tenant: str) -> _Link:
    cursor.execute("SELECT seq, integrity_hash FROM public.audit_head WHERE tenant_id = %s", [tenant])
    found = cursor.fetchone()
    return _Link(*found) if found else _Link(0, GENESIS)


def _count(cursor: CursorWrapper, tenant: str) -> int:
    cursor.execute("SELECT count(*) FROM public.audit_record WHERE tenant_id = %s", [tenant])
    return int(cursor.fetchone()[0])
