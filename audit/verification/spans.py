"""Spans of the log, each checked by itself: hashes, links, numbers and leaves. No span needs another's result.

Spans end where tiles end, so that each gives the perfect subtrees it adds to the tree and whoever joins them keeps
O(log n) hashes. Needs a connection and nothing of Django: other processes check spans too, see checkers.py.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from psycopg import Connection

from audit.tree import merkle, tiles
from audit.verification import rows
from audit.verification.verdict import Fault, Reason

# Records in a span: a whole number of tiles, and well under a second.
LENGTH = 64 * tiles.WIDTH

_BEFORE = """
SELECT seq, integrity_hash, id::text FROM public.audit_record
 WHERE tenant_id = %s AND seq <= %s ORDER BY seq DESC LIMIT 1
"""
_TILES = """
SELECT index, hashes FROM public.audit_tile WHERE tenant_id = %s AND level = %s AND index BETWEEN %s AND %s
"""
_ID = "SELECT id::text FROM public.audit_record WHERE tenant_id = %s AND seq = %s"


class Link(NamedTuple):
    """A record that the next one names. `id` is None for the one before the first."""

    seq: int
    integrity_hash: str
    id: str | None = None


class Span(NamedTuple):
    """Records with `after` < seq <= `until`."""

    after: int
    until: int


class Found(NamedTuple):
    """What checking a span found: records read, those before the first fault, and how it joins its neighbours.

    `subtrees` are the hashes of the perfect subtrees over leaves `before.seq` up to `last.seq`; none after a fault.
    """

    before: Link
    last: Link
    scanned: int
    verified: int
    fault: Fault | None = None
    subtrees: tuple[bytes, ...] = ()


def between(after: int, until: int, *cuts: int) -> Iterator[Span]:
    """The spans that make up `after` to `until`; none goes beyond one of the cuts."""
    while after < until:
        edge = min(after - after % LENGTH + LENGTH, until, *(cut for cut in cuts if cut > after))
        yield Span(after, edge)
        after = edge


def check(
    connection: Connection, tenant_id: str, span: Span, *, before: Link | None, beginning: int, committed: int
) -> Found:
    """Check a span, the tiles that hold its leaves included.

    `before` is the link to the record before it, or None: then it is read. `beginning` is the number that the log's
    first record follows; the tree holds the first `committed` records.
    """
    link = before or _before(connection, tenant_id, span.after, beginning)
    with closing(rows.read(connection, tenant_id, *span)) as read:
        found, leaves = _chained(read, link, beginning)
    if found.fault is not None:
        # Maybe of a value that was left out: what holds only now was too large to be read beside others.
        with closing(rows.read(connection, tenant_id, *span, whole=True)) as read:
            found, leaves = _chained(read, link, beginning)
    if found.fault is not None:
        return found
    wholes = _wholes(link.seq, leaves)
    wrong = _first_wrong(connection, tenant_id, Span(link.seq, min(found.last.seq, committed)), leaves, wholes)
    if wrong is not None:
        at = connection.execute(_ID, [tenant_id, wrong]).fetchone()
        fault = Fault("checkpoint_mismatch", wrong, at[0] if at else None)
        return found._replace(fault=fault, verified=wrong - 1 - link.seq)
    return found._replace(subtrees=tuple(_subtrees(link.seq, leaves, wholes)))


def _before(connection: Connection, tenant_id: str, seq: int, beginning: int) -> Link:
    row = connection.execute(_BEFORE, [tenant_id, seq]).fetchone()
    # Without any record before it, the span cannot link to what it says it follows.
    return Link(*row) if row else Link(beginning, "")


def _chained(read: Iterable[Sequence[rows.Row]], link: Link, beginning: int) -> tuple[Found, list[bytes]]:
    last_seq, last_hash, last_id = link
    leaves: list[bytes] = []
    read = iter(read)
    derive = rows.derive
    for records in read:
        seqs, ids, prev_hashes, integrity_hashes, derived = derive(records)
        names = (last_hash, *integrity_hashes[:-1])
        numbers = range(last_seq + 1, last_seq + 1 + len(records))
        if not all(derived) or prev_hashes != names or seqs != list(numbers):
            place = next(
                place
                for place, leaf in enumerate(derived)
                if leaf is None or prev_hashes[place] != names[place] or seqs[place] != numbers[place]
            )
            follows = Link(numbers[place] - 1, names[place])
            fault = Fault(_reason(seqs[place], prev_hashes[place], follows, beginning), seqs[place], ids[place])
            verified = len(leaves) + place
            scanned = len(leaves) + len(records) + sum(map(len, read))
            return Found(link, link, scanned, verified, fault), []
        leaves += filter(None, derived)
        last_seq, last_hash, last_id = seqs[-1], integrity_hashes[-1], ids[-1]
    return Found(link, Link(last_seq, last_hash, last_id), len(leaves), len(leaves)), leaves


def _reason(seq: int, prev_hash: str, follows: Link, beginning: int) -> Reason:
    if prev_hash != follows.integrity_hash:
        # Without anything before it, the log's beginning is missing; else a record came or went in between.
        return "truncated" if follows.seq == beginning and seq > beginning + 1 else "chain_link_mismatch"
    return "sequence_gap" if seq != follows.seq + 1 else "hash_mismatch"


def _wholes(first: int, leaves: list[bytes]) -> dict[int, bytes]:
    """The root of each whole tile of leaves, by its index."""
    begin, end = -(-first // tiles.WIDTH), (first + len(leaves)) // tiles.WIDTH
    return {
        index: merkle.perfect(leaves[index * tiles.WIDTH - first : (index + 1) * tiles.WIDTH - first])
        for index in range(begin, end)
    }


def _subtrees(first: int, leaves: list[bytes], wholes: dict[int, bytes]) -> Iterator[bytes]:
    for level, index in merkle.cover(first, first + len(leaves)):
        begin, width = index << level, 1 << level
        if level < tiles.HEIGHT:
            yield merkle.perfect(leaves[begin - first : begin - first + width])
        else:
            lowest = begin // tiles.WIDTH
            yield merkle.perfect([wholes[n] for n in range(lowest, lowest + width // tiles.WIDTH)])


def _first_wrong(
    connection: Connection, tenant_id: str, span: Span, leaves: list[bytes], wholes: dict[int, bytes]
) -> int | None:
    """The first record of the span whose hash the tiles do not hold, in the lowest level or in the one above."""
    if span.until <= span.after:
        return None
    lowest = _differs(connection, tenant_id, 0, span.after, leaves[: span.until - span.after])
    above = [(index, root) for index, root in wholes.items() if (index + 1) * tiles.WIDTH <= span.until]
    higher = _differs(connection, tenant_id, 1, above[0][0], [root for _, root in above]) if above else None
    if lowest is not None:
        return lowest + 1
    # The leaves are as they were: what is above them is not.
    return None if higher is None else higher * tiles.WIDTH + 1


def _differs(connection: Connection, tenant_id: str, level: int, first: int, hashes: list[bytes]) -> int | None:
    """The first of these neighbouring hashes, `first` and those after it, that is not the one in its tile."""
    last = first + len(hashes) - 1
    found = connection.execute(_TILES, [tenant_id, level, first // tiles.WIDTH, last // tiles.WIDTH]).fetchall()
    stored = {index: bytes(held) for index, held in found}
    for tile in range(first // tiles.WIDTH, last // tiles.WIDTH + 1):
        begin, end = max(first, tile * tiles.WIDTH), min(last + 1, (tile + 1) * tiles.WIDTH)
        offset = (begin - tile * tiles.WIDTH) * tiles.HASH_BYTES
        held = stored.get(tile, b"")[offset : offset + (end - begin) * tiles.HASH_BYTES]
        expected = hashes[begin - first : end - first]
        if held != b"".join(expected):
            return next(
                begin + place
                for place, hashed in enumerate(expected)
                if held[place * tiles.HASH_BYTES : (place + 1) * tiles.HASH_BYTES] != hashed
            )
    return None
