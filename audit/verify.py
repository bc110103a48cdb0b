"""The verifier: reads rows, derives everything again, trusts no column. Shares the pure arithmetic with the writer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from django.db import connections
from django.db.backends.utils import CursorWrapper

from audit import checkpoints, merkle, notes, signing
from audit.chain import GENESIS, integrity_hash, leaf_hash, timestamp_text
from kaireon.lib.canonical import loads_exact
from kaireon.tenancy.context import current, requires_transaction

Reason = Literal["hash_mismatch", "chain_link_mismatch", "sequence_gap", "truncated", "checkpoint_mismatch"]

_READ = """
SELECT id::text, seq, action, entity_type, entity_id, entity_name, changes::text, before::text, after::text,
       entity_version, user_id, user_name, actor_type, tenant_id, request_id, "timestamp", integrity_hash, prev_hash,
       leaf_hash
  FROM public.audit_record WHERE tenant_id = %s AND seq > %s ORDER BY seq
"""
_FIELDS = [
    "id",
    "seq",
    "action",
    "entityType",
    "entityId",
    "entityName",
    "changes",
    "before",
    "after",
    "entityVersion",
    "userId",
    "userName",
    "actorType",
    "tenantId",
    "requestId",
    "timestamp",
    "integrityHash",
    "prevHash",
    "leafHash",
]
_CHUNK = 2000


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
def verify(*, limit: int | None = None, against: notes.Note | None = None) -> Verdict:
    """Check the active scope's log, whole or its last `limit` records. Streams; memory does not grow with the log.

    Hashes, links and numbers, and the tree against the newest checkpoint, or `against` one that left the database
    earlier. A fault does not stop the reading: `scanned` counts every record read. Drain the inbox before.
    Raises UnusableCheckpoint for an `against` that none of the log's keys signed.
    """
    tenant = current().tenant_id
    commitment = _newest_commitment(tenant) if against is None else _commitment(tenant, against)
    with connections["default"].cursor() as cursor:
        head = _head(cursor, tenant)
        total = _count(cursor, tenant)
        start = _Link(0, GENESIS) if limit is None else _before_window(cursor, tenant, limit)
    verdict = Verdict(total=total, window=start.seq > 0)
    # Whether records are read that the checkpoint speaks of.
    covered = start.seq < commitment.size
    tree = _tree_before(tenant, start.seq) if covered else None
    last = start
    for record in _stream(tenant, start.seq):
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
    if last.seq < head.seq:
        verdict.broken("truncated", last.record)
    elif head.integrity_hash != last.integrity_hash:
        verdict.broken("hash_mismatch", last.record)
    if commitment.root is None or commitment.size > last.seq or (covered and tree is None):
        verdict.broken("checkpoint_mismatch", last.record)
    return verdict


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


def _stream(tenant: str, after_seq: int) -> Iterator[dict[str, Any]]:
    """Records after `after_seq`, in order of seq, a chunk at a time."""
    connection = connections["default"]
    with connection.chunked_cursor() as cursor:
        cursor.execute(_READ, [tenant, after_seq])
        while rows := cursor.fetchmany(_CHUNK):
            for row in rows:
                record = dict(zip(_FIELDS, row, strict=True))
                for name in ("changes", "before", "after"):
                    record[name] = None if record[name] is None else loads_exact(record[name])
                record["timestamp"] = timestamp_text(record["timestamp"])
                yield record


def _before_window(cursor: CursorWrapper, tenant: str, limit: int) -> _Link:
    """The record right before the last `limit` ones; the log's beginning when there are not more."""
    cursor.execute(
        "SELECT seq, integrity_hash FROM public.audit_record WHERE tenant_id = %s ORDER BY seq DESC OFFSET %s LIMIT 1",
        [tenant, limit],
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
