"""Trees and chains: the vectors, and stretches of trees as the product proves them."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.offline import kaireon_verify
from audit.offline.kaireon_verify import Broken, Tree, cover, leaf_hash
from audit.tree import merkle

VECTORS = Path(__file__).parents[2] / "vectors"
TREES = json.loads((VECTORS / "merkle_rfc6962.json").read_text())
CHAIN = json.loads((VECTORS / "integrity_chain.json").read_text())
LEAVES = [leaf_hash(bytes.fromhex(leaf)) for leaf in TREES["leaves"]]
MANY = [leaf_hash(n.to_bytes(2, "big")) for n in range(700)]


def node_of(leaves):
    return lambda level, index: merkle.perfect(leaves[index << level : (index + 1) << level])


def grown(leaves):
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    return tree


@pytest.mark.parametrize(("size", "root"), TREES["roots"].items())
def test_roots_of_the_vectors(size, root):
    assert grown(LEAVES[: int(size)]).root().hex() == root


@pytest.mark.parametrize("vector", CHAIN, ids=lambda vector: vector["action"])
def test_hashes_of_the_vectors(vector):
    assert hashlib.sha256(kaireon_verify._joined(vector).encode()).hexdigest() == vector["integrityHash"]


@pytest.mark.parametrize("vector", TREES["inclusion"])
def test_single_leaves_of_the_vectors(vector):
    """An inclusion proof holds what a stretch of one leaf needs, folded further."""
    index, size = vector["index"], vector["size"]
    left, right = merkle.span(index, index + 1, size, node_of(LEAVES[:size]))
    tree = Tree()
    kaireon_verify._extend(tree, cover(0, index), [h.hex() for h in left], "left")
    tree.append(LEAVES[index])
    kaireon_verify._extend(tree, cover(index + 1, size), [h.hex() for h in right], "right")

    assert tree.root().hex() == TREES["roots"][str(size)]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_stretches_lead_to_the_root_as_the_product_proves_them(data):
    size = data.draw(st.integers(1, len(MANY)))
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.integers(first + 1, size))
    left, right = merkle.span(first, last, size, node_of(MANY[:size]))
    tree = Tree()
    kaireon_verify._extend(tree, cover(0, first), [h.hex() for h in left], "left")
    for leaf in MANY[first:last]:
        tree.append(leaf)
    kaireon_verify._extend(tree, cover(last, size), [h.hex() for h in right], "right")

    assert (tree.size, tree.root()) == (size, merkle.root(size, node_of(MANY[:size])))
    assert len(tree._ends) == bin(size).count("1")


def test_a_side_with_a_hash_too_many_or_too_few_is_refused():
    for hashes in ([], ["00" * 32] * 3):
        with pytest.raises(Broken, match="needs 2"):
            kaireon_verify._extend(Tree(), cover(0, 6), hashes, "left")
