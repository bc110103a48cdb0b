"""The verifier: reads rows, derives everything again, trusts no column. Shares the pure arithmetic with the writer."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import connections

from audit.pruning import beginning
from audit.restoring import acknowledging
from audit.tree import checkpoints, merkle, notes, signing, tiles
from audit.verification import checkers, spans
from audit.verification.checkers import Log
from audit.verification.spans import Found, Link, Span
from audit.verification.verdict import Fault, Reason, Verdict
from kaireon.tenancy.context import current, requires_transaction

__all__ = ["Reason", "UnusableCheckpoint", "Verdict", "verify"]

# One statement, so that all of it is of one moment: the sequencer goes on meanwhile.
_ENDS = """
SELECT coalesce(h.seq, 0), coalesce(h.integrity_hash, 'genesis'), r.records, r.first, r.last
  FROM (SELECT count(*) AS records, min(seq) AS first, max(seq) AS last
          FROM public.audit_record WHERE tenant_id = %s) r
  LEFT JOIN public.audit_head h ON h.tenant_id = %s
"""
_LINK = "SELECT seq, integrity_hash, id::text FROM public.audit_record WHERE tenant_id = %s AND "


class UnusableCheckpoint(ValueError):
    """The checkpoint to verify against is none of this log's. The message says why."""


@dataclass(frozen=True)
class Commitment:
    """What a checkpoint says of the log; without `root`, that the checkpoint itself was tampered with."""

    size: int
    root: bytes | None
    note: str = ""


@dataclass
class Examination:
    """A verification under way: what is to be read, how far it is, and what was found so far.

    `last` is the last record that fits and `tree` the tree up to it, from the leaves that were derived; None when the
    checkpoint speaks of none of what is read, or when the tiles lack what lies before.
    """

    tenant_id: str
    verdict: Verdict
    begins: beginning.Beginning
    head: Link
    commitment: Commitment
    last: Link
    tree: merkle.Stack | None
    until: int
    to_the_end: bool
    # How many leaves the tiles say they hold.
    in_tiles: int
    # The lowest and the highest number that any record has, where it lies outside of the log.
    below: int | None = None
    beyond: int | None = None
    # The end of what a signed checkpoint commits to and was found to hold, and the tree there.
    point: tuple[Link, merkle.Stack] | None = None
    covered: bool = field(init=False)

    def __post_init__(self) -> None:
        self.covered = self.last.seq < self.commitment.size
        if self.begins.fault:
            first = _link(self.tenant_id, "seq >= %s ORDER BY seq LIMIT 1", self.begins.seq)
            self.verdict.broken(Fault(self.begins.fault, *((first.seq, first.id) if first else (None, None))))

    @property
    def log(self) -> Log:
        return Log(tenant_id=self.tenant_id, beginning=self.begins.seq - 1, committed=self.in_tiles)

    def wanted(self) -> Iterator[Span]:
        """The spans to check, in order; `take` each."""
        start = self.last.seq
        if self.below is not None:
            yield Span(self.below - 1, start)
        yield from spans.between(start, self.until, self.commitment.size)

    def take(self, found: Found) -> None:
        self.verdict.scanned += found.scanned
        if not self.verdict.intact:
            return
        self.verdict.verified += found.verified
        if found.before[:2] != self.last[:2]:
            # What one process read last and another one found before its own: somebody is at the log right now.
            self.verdict.broken(Fault("chain_link_mismatch", found.last.seq, found.last.id))
        elif found.fault is not None:
            self.verdict.broken(found.fault)
        else:
            self._grow(found)

    def _grow(self, found: Found) -> None:
        self.last = found.last
        if self.tree is None:
            return
        for (level, _), hashed in zip(merkle.cover(found.before.seq, found.last.seq), found.subtrees, strict=True):
            self.tree.append_perfect(level, hashed)
        if self.tree.size != self.commitment.size:
            return
        if self.tree.root() == self.commitment.root:
            self.point = self.last, merkle.Stack(self.tree.size, self.tree.hashes)
        else:
            self.verdict.broken(Fault("checkpoint_mismatch", *self._where()))
            # That record fits by itself, and is not what was committed to.
            self.verdict.verified -= 1

    def finish(self) -> Verdict:
        """What remains when all spans were taken: the ends of the log, and what the tiles alone can tell."""
        if self.to_the_end and self.beyond is not None:
            self._examine_beyond()
        if self.last.seq < self.until:
            # The head remembers where the log ended; a log that ends earlier lost its tail.
            self.verdict.broken(Fault("truncated", *self._where()))
        elif self.to_the_end and self.head.integrity_hash != self.last.integrity_hash:
            self.verdict.broken(Fault("hash_mismatch", *self._where()))
        if not self._holds_what_was_signed():
            self.verdict.broken(Fault("checkpoint_mismatch", *self._where()))
        return self.verdict

    def _examine_beyond(self) -> None:
        """Records that follow the one that the head says is the last."""
        connection = connections["default"].connection
        first = _link(self.tenant_id, "seq > %s ORDER BY seq LIMIT 1", self.head.seq)
        if first is not None:
            found = self.log.check(connection, Span(self.head.seq, first.seq), self.last)
            self.verdict.scanned += found.scanned
            self.verdict.broken(found.fault or Fault("hash_mismatch", first.seq, first.id))

    def _holds_what_was_signed(self) -> bool:
        commitment, tree = self.commitment, self.tree
        if commitment.root is None or commitment.size > max(self.last.seq, self.head.seq):
            return False
        if 0 < commitment.size < self.begins.seq:
            # All that it commits to was removed; the leaf hashes stay.
            before = _tree_before(self.tenant_id, commitment.size)
            return before is not None and before.root() == commitment.root
        if not self.covered:
            return True
        if tree is None:
            return False
        if self.last.seq == self.until < commitment.size and self.until < self.head.seq:
            return self._holds_with_what_follows(tree)
        return not self.verdict.intact or _tiles_fit_above(self.tenant_id, self.in_tiles)

    def _holds_with_what_follows(self, tree: merkle.Stack) -> bool:
        """Whether the tree, with what lies after the window as the tiles have it, has the root that was signed."""
        node = checkpoints.Tree(self.tenant_id).node()
        try:
            for level, index in merkle.cover(tree.size, self.commitment.size):
                tree.append_perfect(level, node(level, index))
        except merkle.OutsideTree:
            return False
        return tree.root() == self.commitment.root

    def _where(self) -> tuple[int | None, str | None]:
        return (self.last.seq, self.last.id) if self.last.id else (None, None)


@requires_transaction
def verify(
    *,
    limit: int | None = None,
    span: tuple[int, int] | None = None,
    against: notes.Note | None = None,
    jobs: int = 1,
) -> Verdict:
    """Check the active scope's log: whole, its last `limit` records, or those with seq from `span[0]` to `span[1]`.

    Hashes, links and numbers, and the tree against the newest checkpoint, or `against` one that left the database
    earlier. What retention removed is vouched for by its tombstones and by the leaf hashes that stay.
    A fault does not stop the reading: `scanned` counts every record read. Drain the inbox before; what is
    sequenced meanwhile is left for the next time. Memory does not grow with the log. With `jobs` above 1 so many other
    processes share the reading of a log that is long enough.
    Raises UnusableCheckpoint for an `against` that none of the log's keys signed.
    """
    while True:
        examination = examine(limit=limit, span=span, against=against)
        length = examination.until - examination.last.seq
        others = jobs if length > checkers.WORTH_A_PROCESS else 1
        for found in checkers.checked(examination.log, examination.wanted(), examination.last, jobs=others):
            examination.take(found)
        verdict = examination.finish()
        if against is not None and verdict.broken_reason == "checkpoint_mismatch":
            said = examination.commitment
            lost = acknowledging.covering(said.size, said.root.hex()) if said.root else None
            verdict.lost_by_restore = lost.number if lost else None
        # A prefix that was pruned while it was read is no fault.
        if verdict.intact or beginning.kept_from(examination.tenant_id) == examination.begins:
            return verdict


@requires_transaction
def examine(
    *,
    limit: int | None = None,
    span: tuple[int, int] | None = None,
    against: notes.Note | None = None,
    resumed: tuple[Link, merkle.Stack] | None = None,
) -> Examination:
    """What `verify` is to read, before any of it is; `resumed`: from this record on, with the tree up to it.

    Raises UnusableCheckpoint.
    """
    tenant = current().tenant_id
    # Before the end of the log: a checkpoint that is made meanwhile would seem to be ahead of it.
    commitment = newest = newest_commitment(tenant)
    if against is not None:
        commitment = commitment_of(tenant, against)
    begins = beginning.kept_from(tenant)
    with connections["default"].cursor() as cursor:
        cursor.execute(_ENDS, [tenant, tenant])
        head_seq, head_hash, total, first, last = cursor.fetchone()
    head = Link(head_seq, head_hash)
    root = Link(begins.seq - 1, begins.prev_hash)
    start = resumed[0] if resumed else _start(tenant, limit, span, head.seq) or root
    to_the_end = span is None or span[1] >= head.seq
    until = head.seq if span is None or to_the_end else span[1]
    is_whole = resumed is not None or start == root
    verdict = Verdict(total=total, window=not is_whole or until < head.seq)
    tree = resumed[1] if resumed else _tree_before(tenant, start.seq)
    return Examination(
        tenant_id=tenant,
        verdict=verdict,
        begins=begins,
        head=head,
        commitment=commitment,
        last=start,
        tree=tree,
        until=max(until, start.seq),
        to_the_end=to_the_end,
        in_tiles=min(newest.size, head.seq),
        below=first if start == root and first is not None and first < begins.seq else None,
        beyond=last if last is not None and last > head.seq else None,
    )


def newest_commitment(tenant: str) -> Commitment:
    """What the newest stored checkpoint says, when its signature holds."""
    stored = checkpoints.newest(tenant)
    if stored is None:
        return Commitment(0, merkle.EMPTY_ROOT)
    try:
        said = commitment_of(tenant, notes.Note.parse(stored.note))
    except (UnusableCheckpoint, notes.BadNote):
        return Commitment(stored.tree_size, None)
    # The columns are a convenience: what they say beside the signed text is a lie or nothing.
    agrees = said.root is not None and (said.size, said.root.hex()) == (stored.tree_size, stored.root_hash)
    return said if agrees else Commitment(stored.tree_size, None)


def commitment_of(tenant: str, note: notes.Note) -> Commitment:
    """What a signed checkpoint of the log says. Raises UnusableCheckpoint."""
    for key in signing.trusted(tenant):
        try:
            note.check(key)
        except (notes.NotSigned, notes.BadNote):
            continue
        checkpoint = notes.Checkpoint.parse(note.text)
        if checkpoint.origin != signing.origin(tenant):
            raise UnusableCheckpoint(f"it is of the log {checkpoint.origin}")
        return Commitment(checkpoint.size, checkpoint.root, str(note))
    raise UnusableCheckpoint("none of the log's keys signed it")


def _tree_before(tenant: str, seq: int) -> merkle.Stack | None:
    """The tree up to where the reading starts, as the tiles have it; None when they lack it."""
    node = checkpoints.Tree(tenant).node()
    try:
        return merkle.Stack(seq, [node(*part) for part in merkle.cover(0, seq)])
    except merkle.OutsideTree:
        return None


def _tiles_fit_above(tenant: str, size: int) -> bool:
    """Whether each tile from the third level on holds the roots of those below. The two lowest are checked by span."""
    node = checkpoints.Tree(tenant).node()
    level = 2 * tiles.HEIGHT
    try:
        while size >> level:
            for index in range(size >> level):
                first = index * tiles.WIDTH
                below = [node(level - tiles.HEIGHT, n) for n in range(first, first + tiles.WIDTH)]
                if node(level, index) != merkle.perfect(below):
                    return False
            level += tiles.HEIGHT
    except merkle.OutsideTree:
        return False
    return True


def _start(tenant: str, limit: int | None, span: tuple[int, int] | None, end: int) -> Link | None:
    """The record right before the first one to be read; None when there is none.

    None that came after `end`, where the log ended when it was asked: the log grows on meanwhile.
    """
    if span is not None:
        return _link(tenant, "seq <= %s ORDER BY seq DESC LIMIT 1", min(span[0] - 1, end))
    if limit is not None:
        return _link(tenant, "seq <= %s ORDER BY seq DESC OFFSET %s LIMIT 1", end, limit)
    return None


def _link(tenant: str, place: str, *numbers: int) -> Link | None:
    with connections["default"].cursor() as cursor:
        cursor.execute(_LINK + place, [tenant, *numbers])
        found = cursor.fetchone()
    return Link(*found) if found else None
