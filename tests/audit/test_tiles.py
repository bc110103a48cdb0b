"""Tiles hold the tree: whatever steps it grew in, and whatever is asked of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.tree import merkle, tiles
from audit.tree.merkle import OutsideTree, leaf_hash

# Beyond 256^2, so that there are three levels.
MANY = [leaf_hash(n.to_bytes(4)) for n in range(70_000)]


def grow(store, size, leaves):
    for level, index, hashes in list(tiles.grown(size, leaves, lambda *key: store.get(key, b""))):
        assert hashes.startswith(store.get((level, index), b""))
        store[level, index] = hashes


def stacked(size):
    stack = merkle.Stack()
    for leaf in MANY[:size]:
        stack.append(leaf)
    return stack.root()


@pytest.fixture(scope="module")
def large():
    store = {}
    grow(store, 0, MANY)
    return store


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=6))
def test_it_grows_in_any_steps_to_the_same_tree(steps):
    store, size = {}, 0
    for step in steps:
        grow(store, size, MANY[size : size + step])
        size += step

    node = tiles.node(lambda *key: store.get(key, b""))
    assert merkle.root(size, node) == stacked(size)
    once = {}
    grow(once, 0, MANY[:size])
    assert once == store


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_proofs_from_tiles_prove(large, data):
    size = data.draw(st.integers(1, len(MANY)))
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    node = tiles.node(lambda *key: large.get(key, b""))
    root = stacked(size)

    assert merkle.root(size, node) == root
    merkle.check_inclusion(MANY[index], index, size, merkle.inclusion(index, size, node), root)
    merkle.check_consistency(
        first=first,
        second=size,
        first_root=stacked(first),
        second_root=root,
        proof=merkle.consistency(first, size, node),
    )


def test_a_large_tree_takes_few_rows(large):
    assert sorted(level for level, _ in large) == [0] * 274 + [1] * 2 + [2]


def test_it_looks_at_a_handful_of_tiles_for_a_proof(large):
    seen = set()

    def read(level, index):
        seen.add((level, index))
        return large.get((level, index), b"")

    merkle.inclusion(12_345, len(MANY), tiles.node(read))
    assert len(seen) <= 6


def test_what_root_and_proof_have_in_common_is_worked_out_once(large, monkeypatch):
    worked_out = []
    monkeypatch.setattr(tiles, "perfect", lambda hashes: worked_out.append(tuple(hashes)) or merkle.perfect(hashes))
    node = tiles.node(lambda *key: large.get(key, b""))
    merkle.root(69_999, node)
    merkle.inclusion(12_345, 69_999, node)
    assert len(worked_out) == len(set(worked_out))


def test_it_refuses_a_tile_that_is_not_as_long_as_the_tree():
    with pytest.raises(OutsideTree):
        list(tiles.grown(10, MANY[:1], lambda *_: b"\x00" * 32))
    with pytest.raises(OutsideTree):
        tiles.node(lambda *_: b"")(0, 0)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_it_knows_beforehand_which_tiles_a_proof_needs(large, data):
    size = data.draw(st.integers(1, len(MANY)))
    index = data.draw(st.integers(0, size - 1))
    seen = set()

    def read(level, at):
        seen.add((level, at))
        return large.get((level, at), b"")

    def question(node):
        return merkle.root(size, node), merkle.inclusion(index, size, node), merkle.consistency(index, size, node)

    question(tiles.node(read))
    assert tiles.needed(question) == seen
