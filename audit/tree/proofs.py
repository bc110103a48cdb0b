"""Proofs in the shapes of the contract: that a record is in the log, and that the log only grew."""

from typing import Any

from audit.models import AuditRecord
from audit.tree import checkpoints, merkle


def inclusion(tenant_id: str, row: AuditRecord, size: int) -> dict[str, Any]:
    """That the record is in the tree of `size` records, up to the newest checkpoint's. Raises merkle.OutsideTree."""
    node = checkpoints.Tree(tenant_id).node()
    return {
        "id": str(row.pk),
        "leafIndex": row.seq - 1,
        "treeSize": size,
        "leafHash": row.leaf_hash,
        "rootHash": merkle.root(size, node).hex(),
        "hashes": [h.hex() for h in merkle.inclusion(row.seq - 1, size, node)],
    }


def consistency(tenant_id: str, first: int, second: int) -> dict[str, Any]:
    """That the log of `first` records begins that of `second`. Raises merkle.OutsideTree."""
    node = checkpoints.Tree(tenant_id).node()
    return {
        "first": first,
        "second": second,
        "firstRoot": merkle.root(first, node).hex(),
        "secondRoot": merkle.root(second, node).hex(),
        "hashes": [h.hex() for h in merkle.consistency(first, second, node)],
    }
