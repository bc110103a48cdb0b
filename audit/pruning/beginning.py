"""Where a kept log begins: at record 1, or right behind the prefix that signed tombstones say was removed.

Trusts no column: a tombstone counts when one of the log's keys signed it, it says what its row says, it begins where
the one before it ends, and its root is that of the tree's leaf hashes, which stay. The first kept record links to it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from audit.chain import GENESIS
from audit.models import Tombstone
from audit.pruning import tombstones
from audit.tree import checkpoints, merkle, signing
from audit.tree.statements import NotAStatement
from kaireon.lib import clock
from kaireon.tenancy.context import requires_transaction


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """The first record that must be there, what it links to, and the tombstone that vouches for what came before.

    `fault` is set when a tombstone does not hold; `seq` and `prev_hash` are then those of the last one that does.
    """

    seq: int = 1
    prev_hash: str = GENESIS
    tombstone: Tombstone | None = None
    fault: Literal["truncated", "checkpoint_mismatch"] | None = None


class BeganEarlier(ValueError):
    """The range begins among records that were removed. The message names the archive and what is kept."""


@requires_transaction
def kept_from(tenant_id: str) -> Beginning:
    """Where the log of the active scope begins."""
    begins = Beginning()
    keys = signing.trusted(tenant_id)
    node = checkpoints.Tree(tenant_id).node()
    for stone in Tombstone.objects.filter(tenant_id=tenant_id).order_by("last_seq"):
        try:
            said = tombstones.parse(stone.note, keys)
            fits = said == as_said(stone, said) and stone.first_seq == begins.seq
            fits = fits and stone.records == stone.last_seq - stone.first_seq + 1 > 0
        except (NotAStatement, ValueError, TypeError, KeyError):
            fits = False
        if not fits:
            return _faulty(begins, "truncated")
        try:
            root = merkle.root(stone.last_seq, node)
        except merkle.OutsideTree:
            root = b""
        if root.hex() != stone.root_hash:
            return _faulty(begins, "checkpoint_mismatch")
        begins = Beginning(seq=stone.last_seq + 1, prev_hash=stone.last_integrity_hash, tombstone=stone)
    return begins


@requires_transaction
def require_kept(tenant_id: str, since: datetime | None) -> None:
    """Raises BeganEarlier when records from this moment on were removed. No moment means whatever is kept."""
    removed = Tombstone.objects.filter(tenant_id=tenant_id)
    stone = removed.filter(newest__gte=since).order_by("last_seq").first() if since else None
    if stone is not None:
        raise BeganEarlier(
            f"is before the log's beginning: records up to {clock.rfc3339(stone.newest)} were removed by retention and"
            f" lie in {stone.archive_name}. Leave it out for all that is kept, or name a later moment."
        )


@requires_transaction
def hint(tenant_id: str) -> str:
    """For whoever asks for a record that is not there: where it may be. Empty when nothing was ever removed."""
    stone = Tombstone.objects.filter(tenant_id=tenant_id).order_by("-last_seq").first()
    if stone is None:
        return ""
    return (
        f"No such record is kept. Those up to {clock.rfc3339(stone.newest)} were removed by retention and lie in the"
        f" archives up to {stone.archive_name}."
    )


def as_said(stone: Tombstone, said: dict[str, Any]) -> dict[str, Any]:
    """What the note must say, from the columns; what has none is taken over. Raises KeyError and the like."""
    return {
        "tenantId": stone.tenant_id,
        "origin": signing.origin(stone.tenant_id),
        "firstSeq": stone.first_seq,
        "lastSeq": stone.last_seq,
        "records": stone.records,
        "rootHash": stone.root_hash,
        "lastIntegrityHash": stone.last_integrity_hash,
        "oldest": clock.rfc3339(stone.oldest),
        "newest": clock.rfc3339(stone.newest),
        "policy": stone.policy,
        "approval": stone.approval | {"id": str(stone.approval_id)},
        "archive": {"name": stone.archive_name, "sha256": stone.archive_sha256, "bytes": said["archive"]["bytes"]},
        "prunedAt": clock.rfc3339(stone.pruned_at),
    }


def _faulty(begins: Beginning, fault: Literal["truncated", "checkpoint_mismatch"]) -> Beginning:
    return Beginning(seq=begins.seq, prev_hash=begins.prev_hash, tombstone=begins.tombstone, fault=fault)
