"""Proofs in the shapes of the contract: that a record is in the log, and that the log only grew."""

from typing import Any

from audit.models import AuditRecord
from audit.tree import checkpoints, merkle


def inclusion(tenant_id: str, row: AuditRecord, size: int) -> dict[str, Any]:
    """That the record is in the tree of `size` records, up to the newest checkpoint's. Raises merkle.OutsideTree."""
    root, hashes = checkpoints.Tree(tenant_id).answer(
        lambda node: (merkle.root(size, node), merkle.inclusion(row.seq - 1, size, node))
    )
    return {
        "id": str(row.pk),
        "leafIndex": row.seq - 1,
        "treeSize": size,
        "leafHash": row.leaf_hash,
        "rootHash": root.hex(),
        "hashes": [each.hex() for each in hashes],
    }


def consistency(tenant_id: str, first: int, second: int) -> dict[str, Any]:
    """That the log of `first` records begins that of `second`. Raises merkle.OutsideTree."""
    first_root, second_root, hashes = checkpoints.Tree(tenant_id).answer(
        lambda node: (merkle.root(first, node), merkle.root(second, node), merkle.consistency(first, second, node))
    )
    return {
        "first": first,
        "second": second,
        "firstRoot": first_root.hex(),
        "secondRoot": second_root.hex(),
        "hashes": [each.hex() for each in hashes],
    }
