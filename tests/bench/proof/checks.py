"""What a proof says, checked by who asked for it."""

from collections.abc import Callable, Mapping
from typing import Any

from audit.tree import merkle

Said = Mapping[str, Any]


def inclusion(said: Said) -> None:
    """Raises merkle.ProofRefused."""
    root, hashes = bytes.fromhex(said["rootHash"]), [bytes.fromhex(each) for each in said["hashes"]]
    merkle.check_inclusion(bytes.fromhex(said["leafHash"]), said["leafIndex"], said["treeSize"], hashes, root)


def consistency(said: Said) -> None:
    """Raises merkle.ProofRefused."""
    merkle.check_consistency(
        first=said["first"],
        second=said["second"],
        first_root=bytes.fromhex(said["firstRoot"]),
        second_root=bytes.fromhex(said["secondRoot"]),
        proof=[bytes.fromhex(each) for each in said["hashes"]],
    )


CHECKS: dict[str, Callable[[Said], None]] = {"inclusion": inclusion, "consistency": consistency}
