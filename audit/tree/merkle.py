"""The Merkle tree of RFC 6962, section 2.1: roots and proofs. Pure.

A tree is a sequence of leaf hashes. Whoever asks for a root or a proof says how to get the hash of a *perfect subtree*:
`node(level, index)` covers the 2^level leaves from index * 2^level on, so `node(0, n)` is leaf n. Only subtrees that
lie inside the tree are asked for, O(log n) of them for any root or proof: `audit.tree.tiles` keeps them at hand.

Hashes are 32 raw bytes. Sizes and indexes count leaves from 0. Proofs are lists of hashes, from the leaves upwards.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

# (level, index) of a perfect subtree to its hash.
Node = Callable[[int, int], bytes]

EMPTY_ROOT = sha256(b"").digest()


class OutsideTree(ValueError):
    """A leaf or a size that the tree does not have. The message gives the numbers."""


class ProofRefused(ValueError):
    """The proof does not prove it. The message says which step fails."""


def leaf_hash(record: bytes) -> bytes:
    return sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def perfect(hashes: Sequence[bytes]) -> bytes:
    """The hash of a perfect subtree from the hashes of its parts: as many as some power of two."""
    level = list(hashes)
    if len(level) & (len(level) - 1) or not level:
        raise OutsideTree(f"{len(level)} parts make no perfect subtree")
    while len(level) > 1:
        # node_hash, written out: verifying spends a good part of its time here.
        pairs = iter(level)
        level = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
    return level[0]


def root(size: int, node: Node) -> bytes:
    """The root of the first `size` leaves; of none, the hash of nothing. Raises OutsideTree."""
    if size < 0:
        raise OutsideTree(f"no tree has {size} leaves")
    return _joined([node(level, index) for level, index in cover(0, size)]) if size else EMPTY_ROOT


def inclusion(index: int, size: int, node: Node) -> list[bytes]:
    """The proof that leaf `index` is in the tree of `size` leaves (section 2.1.1). Raises OutsideTree."""
    if not 0 <= index < size:
        raise OutsideTree(f"leaf {index} is not in a tree of {size}")
    return [_subtree(low, high, node) for low, high in _siblings(index, 1, size)]


def consistency(first: int, second: int, node: Node) -> list[bytes]:
    """The proof that the tree of `first` leaves begins the tree of `second` (section 2.1.2). Raises OutsideTree.

    Empty when the two are equal, and for an empty first tree, which begins every tree.
    """
    if not 0 <= first <= second:
        raise OutsideTree(f"a tree of {first} leaves does not begin a tree of {second}")
    if first in (0, second):
        return []
    # The largest perfect subtree that ends where the first tree ends, and what lies around it.
    step = first & -first
    around = [_subtree(low, high, node) for low, high in _siblings(first - step, step, second)]
    return around if step == first else [node(step.bit_length() - 1, (first - 1) // step), *around]


def span(first: int, last: int, size: int, node: Node) -> tuple[list[bytes], list[bytes]]:
    """The proof that leaves `first` up to but without `last` are in the tree of `size`: what lies left and right.

    Each side is the hashes of the perfect subtrees that cover it, from left to right: O(log n), however many leaves.
    """
    if not 0 <= first < last <= size:
        raise OutsideTree(f"leaves {first} to {last} are not in a tree of {size}")
    return [node(*part) for part in cover(0, first)], [node(*part) for part in cover(last, size)]


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> None:
    """Raises ProofRefused unless the proof leads from the leaf to the root."""
    hashed = leaf
    for _, _, node in steps(leaf, index, size, proof):
        hashed = node
    if hashed != expected_root:
        raise ProofRefused("the proof leads to another root")


def steps(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool, bytes]]:
    """The way up from a leaf: each sibling, whether it stands on the left, and the node that the two make.

    Raises ProofRefused where the proof is of no such tree.
    """
    if not 0 <= index < size:
        raise ProofRefused(f"leaf {index} is not in a tree of {size}")
    hashed = leaf
    for sibling, is_left in _climb(index, size - 1, proof):
        hashed = node_hash(sibling, hashed) if is_left else node_hash(hashed, sibling)
        yield sibling, is_left, hashed


def check_consistency(
    *, first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> None:
    """Raises ProofRefused unless the first tree begins the second (RFC 9162, section 2.1.4.2)."""
    if not 0 <= first <= second:
        raise ProofRefused(f"a tree of {first} leaves does not begin a tree of {second}")
    if first in (0, second):
        if proof:
            raise ProofRefused("the proof is too long")
        if first_root != (EMPTY_ROOT if first == 0 else second_root):
            raise ProofRefused("the proof leads to another first root")
        return
    # A first tree that is one perfect subtree is where the proof starts: it does not say so again.
    rest = list(proof) if first & (first - 1) else [first_root, *proof]
    if not rest:
        raise ProofRefused("the proof is too short")
    trailing = (first & -first).bit_length() - 1
    old = new = rest[0]
    for sibling, is_left in _climb((first - 1) >> trailing, (second - 1) >> trailing, rest[1:]):
        if is_left:
            old = node_hash(sibling, old)
        new = node_hash(sibling, new) if is_left else node_hash(new, sibling)
    if old != first_root:
        raise ProofRefused("the proof leads to another first root")
    if new != second_root:
        raise ProofRefused("the proof leads to another second root")


def _climb(index: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The siblings on the way up from node `index` of a level whose rightmost node is `last`; whether each is left."""
    for sibling in proof:
        if last == 0:
            raise ProofRefused("the proof is too long")
        is_left = bool(index & 1) or index == last
        yield sibling, is_left
        # The rightmost node moves up alone where it has no sibling.
        while is_left and not index & 1 and index:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    if last:
        raise ProofRefused("the proof is too short")


def check_span(
    leaves: Iterable[bytes],
    *,
    first: int,
    size: int,
    left: Sequence[bytes],
    right: Sequence[bytes],
    expected_root: bytes,
) -> int:
    """Raises ProofRefused unless `leaves` are those of the tree from `first` on; returns how many they are.

    Reads the leaves once and keeps O(log n) hashes.
    """
    stack = Stack()
    _take(stack, left, cover(0, first), "left")
    count = 0
    for leaf in leaves:
        stack.append(leaf)
        count += 1
    if first + count > size:
        raise ProofRefused(f"{count} leaves from {first} on are more than a tree of {size} has")
    _take(stack, right, cover(first + count, size), "right")
    if stack.root() != expected_root:
        raise ProofRefused("the leaves lead to another root")
    return count


class Stack:
    """A tree that grows and remembers only the perfect subtrees it ends in: O(log n) hashes."""

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """`hashes`: those of the perfect subtrees that cover a tree of `size`, from left to right."""
        if len(hashes) != size.bit_count():
            raise OutsideTree(f"a tree of {size} ends in {size.bit_count()} perfect subtrees, not in {len(hashes)}")
        self.size = size
        self._hashes = list(hashes)

    @property
    def hashes(self) -> list[bytes]:
        return list(self._hashes)

    def append(self, leaf: bytes) -> None:
        self.append_perfect(0, leaf)

    def append_perfect(self, level: int, hashed: bytes) -> None:
        """Append 2^level leaves by the hash of their perfect subtree. Raises OutsideTree where none may stand."""
        if self.size & ((1 << level) - 1):
            raise OutsideTree(f"no perfect subtree of level {level} begins at leaf {self.size}")
        carried, place = hashed, self.size >> level
        while place & 1:
            carried = node_hash(self._hashes.pop(), carried)
            place >>= 1
        self._hashes.append(carried)
        self.size += 1 << level

    def root(self) -> bytes:
        return _joined(self._hashes) if self._hashes else EMPTY_ROOT


def _take(stack: Stack, hashes: Sequence[bytes], parts: Iterator[tuple[int, int]], side: str) -> None:
    expected = list(parts)
    if len(hashes) != len(expected):
        raise ProofRefused(f"the {side} side has {len(hashes)} hashes and needs {len(expected)}")
    for (level, _), hashed in zip(expected, hashes, strict=True):
        stack.append_perfect(level, hashed)


def _joined(hashes: Sequence[bytes]) -> bytes:
    """The root over perfect subtrees from left to right, each smaller than the one before."""
    joined = hashes[-1]
    for hashed in reversed(hashes[:-1]):
        joined = node_hash(hashed, joined)
    return joined


def cover(first: int, last: int) -> Iterator[tuple[int, int]]:
    """The fewest perfect subtrees over leaves `first` up to but without `last`, from left to right: (level, index)."""
    while first < last:
        level = (last - first).bit_length() - 1
        if first:
            level = min(level, (first & -first).bit_length() - 1)
        yield level, first >> level
        first += 1 << level


def _subtree(first: int, last: int, node: Node) -> bytes:
    """MTH(D[first:last]) where `first` is where such a subtree of the tree may begin."""
    return _joined([node(*part) for part in cover(first, last)])


def _siblings(begin: int, length: int, size: int) -> list[tuple[int, int]]:
    """Beside the way from the subtree of `length` leaves at `begin` to the root of `size` leaves, upwards."""
    beside: list[tuple[int, int]] = []
    low, high = 0, size
    while high - low > length:
        split = low + (1 << ((high - low - 1).bit_length() - 1))
        if begin < split:
            beside.append((split, high))
            high = split
        else:
            beside.append((low, split))
            low = split
    return beside[::-1]
