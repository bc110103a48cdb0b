"""The way from one record to what was signed: derived again here and now, step by step, for people to look at."""

from dataclasses import dataclass, field
from typing import Any

from audit import chain, reading
from audit.models import AuditRecord, Checkpoint, Publication, SigningKey
from audit.tree import checkpoints, merkle, notes, proofs, signing
from kaireon.tenancy.context import current, requires_transaction


@dataclass(frozen=True, kw_only=True)
class Step:
    """On the way at `level`, 0 being the record's leaf: `node`, and the `sibling` that it is joined with."""

    level: int
    sibling: str
    is_left: bool
    node: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was derived, and whether it is as stored."""

    text: str
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Path:
    """`checkpoint` is None while the record waits for one. `holds`: everything that was looked at is as it must be."""

    leaf: str
    steps: list[Step] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    checkpoint: Checkpoint | None = None
    key: str = ""
    published: Publication | None = None

    @property
    def holds(self) -> bool:
        return all(check.holds for check in self.checks)

    @property
    def downwards(self) -> list[Step]:
        """From below the root to the leaf, as a tree is drawn."""
        return self.steps[::-1]


@requires_transaction
def path(row: AuditRecord) -> Path:
    """From the record's contents to the newest signed checkpoint. What does not hold is among the checks."""
    tenant = current().tenant_id
    leaf = _leaf(row)
    checks = [Check(text="The record's contents give the leaf that is stored.", holds=leaf == row.leaf_hash)]
    newest = checkpoints.newest(tenant)
    if newest is None or newest.tree_size < row.seq:
        return Path(leaf=leaf, checks=checks)
    try:
        proof = proofs.inclusion(tenant, row, newest.tree_size)
        siblings = [bytes.fromhex(sibling) for sibling in proof["hashes"]]
        climbed = list(merkle.steps(bytes.fromhex(leaf), proof["leafIndex"], newest.tree_size, siblings))
    except (merkle.OutsideTree, merkle.ProofRefused):
        climbed = []
        checks.append(Check(text="The tree has what lies between the leaf and the root.", holds=False))
    way = [leaf, *(node.hex() for _, _, node in climbed)]
    steps = [
        Step(level=level, node=way[level], sibling=sibling.hex(), is_left=is_left)
        for level, (sibling, is_left, _) in enumerate(climbed)
    ]
    top = way[-1]
    said, key = _signed(newest)
    count = f"{len(steps)} step{'' if len(steps) == 1 else 's'}"
    checks += [
        Check(
            text=f"{count} lead from the leaf to the root of the checkpoint.", holds=said is not None and top == said
        ),
        Check(text="The checkpoint carries a valid signature of the log's key.", holds=said is not None),
    ]
    published = Publication.objects.filter(tenant_id=tenant, tree_size=newest.tree_size).first()
    return Path(leaf=leaf, steps=steps, checks=checks, checkpoint=newest, key=key, published=published)


@requires_transaction
def document(row: AuditRecord) -> dict[str, Any] | None:
    """Record, proof, checkpoint and key in one, for somebody to check without us; None while there is no checkpoint."""
    tenant = current().tenant_id
    newest = checkpoints.newest(tenant)
    if newest is None or newest.tree_size < row.seq:
        return None
    return {
        "record": _record(row),
        "proof": proofs.inclusion(tenant, row, newest.tree_size),
        "checkpoint": newest.note,
        "publicKey": str(_key(newest)),
    }


def _record(row: AuditRecord) -> dict[str, Any]:
    """Every field of it as it is hashed."""
    [record] = reading.records(current().tenant_id, after=row.seq - 1, until=row.seq)
    return {name: value for name, value in record.items() if name != "leafHash"}


def _leaf(row: AuditRecord) -> str:
    return chain.leaf_hash(_record(row))


def _signed(stored: Checkpoint) -> tuple[str | None, str]:
    """The root that the stored note signs, None unless it signs this size; and whose key it is."""
    try:
        key = _key(stored)
        note = notes.Note.parse(stored.note)
        note.check(key)
        said = notes.Checkpoint.parse(note.text)
    except (SigningKey.DoesNotExist, notes.BadNote, notes.NotSigned):
        return None, ""
    is_ours = said.origin == signing.origin(stored.tenant_id) and said.size == stored.tree_size
    return (said.root.hex() if is_ours else None), key.key_id.hex()


def _key(stored: Checkpoint) -> notes.PublicKey:
    return signing.public_key(SigningKey.objects.get(tenant_id=stored.tenant_id, version=stored.key_version))
