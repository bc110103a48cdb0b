"""The tree's hashes in tiles of 256 (as C2SP tlog-tiles lays them out): one row where single nodes would need 512.

Tile `index` of tile level `level` holds the hashes of up to 256 perfect subtrees of 256^level leaves, side by side. A
tile only ever grows at its end. Every perfect subtree inside the tree can be had from one of them. Pure.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from audit.tree.merkle import OutsideTree, perfect

HEIGHT = 8
WIDTH = 1 << HEIGHT
HASH_BYTES = 32
# Several proofs' worth, and no more than that when somebody walks through a whole tree.
_SUBTREES_KEPT = 1024

# (tile level, index) to the tile's bytes; empty when there is none.
ReadTile = Callable[[int, int], bytes]


def node(read: ReadTile) -> Callable[[int, int], bytes]:
    """How `audit.tree.merkle` gets its perfect subtrees from tiles.

    The last are kept, as a root and a proof have most of theirs in common.
    """

    @lru_cache(_SUBTREES_KEPT)
    def perfect_subtree(level: int, index: int) -> bytes:
        tile_level, rest = divmod(level, HEIGHT)
        tile, place = divmod(index << rest, WIDTH)
        begin, end = place * HASH_BYTES, (place + (1 << rest)) * HASH_BYTES
        hashes = read(tile_level, tile)
        if len(hashes) < end:
            raise OutsideTree(f"tile {tile} of level {tile_level} ends before the subtree of 2^{level} leaves {index}")
        return perfect([hashes[n : n + HASH_BYTES] for n in range(begin, end, HASH_BYTES)])

    return perfect_subtree


def needed(question: Callable[[Callable[[int, int], bytes]], object]) -> set[tuple[int, int]]:
    """The tiles, level and index, in which `question` would look: it is asked of a tree in which every hash is zero."""
    asked: set[tuple[int, int]] = set()

    def perfect_subtree(level: int, index: int) -> bytes:
        tile_level, rest = divmod(level, HEIGHT)
        asked.add((tile_level, index << rest >> HEIGHT))
        return bytes(HASH_BYTES)

    question(perfect_subtree)
    return asked


def grown(size: int, leaves: Sequence[bytes], read: ReadTile) -> Iterator[tuple[int, int, bytes]]:
    """The tiles that change when a tree of `size` gets these leaves: tile level, index, all its bytes.

    Raises OutsideTree when a tile that is to grow is not as long as the tree says.
    """
    level, first, hashes = 0, size, list(leaves)
    while hashes:
        above: list[bytes] = []
        place = 0
        while place < len(hashes):
            index, offset = divmod(first + place, WIDTH)
            taken = hashes[place : place + WIDTH - offset]
            before = read(level, index) if offset else b""
            if len(before) != offset * HASH_BYTES:
                raise OutsideTree(f"tile {index} of level {level} holds {len(before)} bytes, not {offset} hashes")
            whole = before + b"".join(taken)
            yield level, index, whole
            if len(whole) == WIDTH * HASH_BYTES:
                above.append(perfect([whole[n : n + HASH_BYTES] for n in range(0, len(whole), HASH_BYTES)]))
            place += len(taken)
        level, first, hashes = level + 1, first // WIDTH, above
