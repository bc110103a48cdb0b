"""The tree against vectors computed elsewhere, and against the definition of RFC 6962 itself."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.tree import merkle
from audit.tree.merkle import OutsideTree, ProofRefused, leaf_hash, node_hash

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "merkle_rfc6962.json").read_text())
LEAVES = [leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["leaves"]]
MOST = 2000
MANY = [leaf_hash(n.to_bytes(2)) for n in range(MOST)]


def node_of(leaves):
    """Perfect subtrees straight from the leaves; refuses to look beyond them."""

    def node(level, index):
        first, last = index << level, (index + 1) << level
        assert 0 <= first < last <= len(leaves)
        return merkle.perfect(leaves[first:last])

    return node


def mth(leaves):
    """MTH as section 2.1 writes it."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else merkle.EMPTY_ROOT
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(mth(leaves[:k]), mth(leaves[k:]))


def path(m, leaves):
    """PATH as section 2.1.1 writes it."""
    if len(leaves) <= 1:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m, leaves, whole):
    """SUBPROOF as section 2.1.2 writes it."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


@pytest.mark.parametrize(("size", "expected"), VECTORS["roots"].items())
def test_roots_of_the_vectors(size, expected):
    assert merkle.root(int(size), node_of(LEAVES)).hex() == expected


def test_inclusion_proofs_of_the_vectors():
    assert VECTORS["inclusion"]
    for vector in VECTORS["inclusion"]:
        index, size = vector["index"], vector["size"]
        proof = merkle.inclusion(index, size, node_of(LEAVES))
        assert [h.hex() for h in proof] == vector["proof"]
        merkle.check_inclusion(LEAVES[index], index, size, proof, bytes.fromhex(VECTORS["roots"][str(size)]))


def test_consistency_proofs_of_the_vectors():
    assert VECTORS["consistency"]
    for vector in VECTORS["consistency"]:
        first, second = vector["first"], vector["second"]
        proof = merkle.consistency(first, second, node_of(LEAVES))
        assert [h.hex() for h in proof] == vector["proof"]
        roots = [bytes.fromhex(VECTORS["roots"][str(size)]) for size in (first, second)]
        merkle.check_consistency(first=first, second=second, first_root=roots[0], second_root=roots[1], proof=proof)


SIZES = st.integers(0, MOST)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_proofs_agree_with_the_definition(data):
    size = data.draw(st.integers(1, MOST))
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    leaves, node = MANY[:size], node_of(MANY[:size])
    root = mth(leaves)

    assert merkle.root(size, node) == root
    inclusion = merkle.inclusion(index, size, node)
    assert inclusion == path(index, leaves)
    merkle.check_inclusion(leaves[index], index, size, inclusion, root)
    consistency = merkle.consistency(first, size, node)
    assert consistency == subproof(first, leaves, whole=True)
    merkle.check_consistency(
        first=first, second=size, first_root=mth(leaves[:first]), second_root=root, proof=consistency
    )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_span_is_proven_by_what_lies_beside_it(data):
    size = data.draw(st.integers(1, MOST))
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.integers(first + 1, size))
    root = mth(MANY[:size])
    left, right = merkle.span(first, last, size, node_of(MANY[:size]))

    assert len(left) + len(right) <= 2 * size.bit_length()
    found = merkle.check_span(MANY[first:last], first=first, size=size, left=left, right=right, expected_root=root)
    assert found == last - first
    for wrong in (MANY[first : last - 1], MANY[first + 1 : last + 1], [*MANY[first:last][::-1], MANY[0]]):
        with pytest.raises(ProofRefused):
            merkle.check_span(wrong, first=first, size=size, left=left, right=right, expected_root=root)


@given(SIZES)
def test_a_stack_grows_to_the_same_root_and_starts_again_anywhere(size):
    stack = merkle.Stack()
    for leaf in MANY[: size // 2]:
        stack.append(leaf)
    again = merkle.Stack(stack.size, stack.hashes)
    for leaf in MANY[size // 2 : size]:
        again.append(leaf)

    assert again.root() == mth(MANY[:size])
    assert len(again.hashes) == size.bit_count()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_proof_with_anything_changed_is_refused(data):
    size = data.draw(st.integers(2, 300))
    index = data.draw(st.integers(0, size - 1))
    leaves, root = MANY[:size], mth(MANY[:size])
    proof = path(index, leaves)
    place = data.draw(st.integers(0, len(proof) - 1))
    other = bytes([proof[place][0] ^ 1]) + proof[place][1:]
    changed = [
        (leaves[index], index, size, [*proof[:place], other, *proof[place + 1 :]], root),
        (leaves[index], index, size, [*proof[:place], *proof[place + 1 :]], root),
        (leaves[index], index, size, [*proof, root], root),
        (leaves[index], index, size, proof, leaves[0]),
        (MANY[size], index, size, proof, root),
        (leaves[index], size, size, proof, root),
        (leaves[index], -1, size, proof, root),
    ]
    for wrong in changed:
        with pytest.raises(ProofRefused):
            merkle.check_inclusion(*wrong)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_consistency_proof_with_anything_changed_is_refused(data):
    second = data.draw(st.integers(2, 300))
    first = data.draw(st.integers(1, second - 1))
    good = {
        "first": first,
        "second": second,
        "first_root": mth(MANY[:first]),
        "second_root": mth(MANY[:second]),
        "proof": subproof(first, MANY[:second], whole=True),
    }
    place = data.draw(st.integers(0, len(good["proof"]) - 1))
    flipped = bytes([good["proof"][place][0] ^ 1]) + good["proof"][place][1:]
    for wrong in (
        {"proof": [*good["proof"][:place], flipped, *good["proof"][place + 1 :]]},
        {"proof": good["proof"][:-1]},
        {"proof": [*good["proof"], MANY[0]]},
        {"first_root": MANY[0] if first > 1 else MANY[1]},
        {"second_root": MANY[0]},
        {"first": second + 1},
        {"first": -1},
    ):
        with pytest.raises(ProofRefused):
            merkle.check_consistency(**(good | wrong))


@pytest.mark.parametrize(
    "asked",
    [
        lambda node: merkle.inclusion(8, 8, node),
        lambda node: merkle.inclusion(-1, 8, node),
        lambda node: merkle.inclusion(0, 0, node),
        lambda node: merkle.consistency(9, 8, node),
        lambda node: merkle.consistency(-1, 8, node),
        lambda node: merkle.span(3, 3, 8, node),
        lambda node: merkle.span(3, 9, 8, node),
        lambda _: merkle.perfect(LEAVES[:3]),
        lambda _: merkle.perfect([]),
        lambda _: merkle.Stack(3, LEAVES[:1]),
        lambda _: merkle.Stack(1, LEAVES[:1]).append_perfect(1, LEAVES[1]),
    ],
)
def test_it_refuses_what_the_tree_does_not_have(asked):
    with pytest.raises(OutsideTree):
        asked(node_of(LEAVES))


def test_the_empty_tree_begins_every_tree():
    merkle.check_consistency(first=0, second=5, first_root=merkle.EMPTY_ROOT, second_root=mth(MANY[:5]), proof=[])
    with pytest.raises(ProofRefused):
        merkle.check_consistency(first=0, second=5, first_root=MANY[0], second_root=mth(MANY[:5]), proof=[])
    with pytest.raises(ProofRefused):
        merkle.check_consistency(first=5, second=5, first_root=MANY[0], second_root=MANY[1], proof=[])
