"""The bench of proofs says whether they are quick, and whether they stay so as the log grows."""

import pytest

from audit.chain import leaf_hash
from audit.tree import merkle
from tests.bench import biglog
from tests.bench.proof import bench
from tests.bench.proof.checks import CHECKS
from tests.bench.rounds import Contender, Heat, Turn


def heat(p99: float, growth: float, *, floor: tuple[float, ...] = (500.0, 505.0, 495.0)) -> Heat:
    def contender(size: int, rates: tuple[float, ...], ratio: float) -> Contender:
        turns = [Turn(rate=rate, more={"p50_ms": 1000 / rate, "p99_ms": p99}) for rate in rates]
        return Contender(
            name=f"http-inclusion-{size}", title=f"{size:,} records", measure=turns.pop, turns=[*turns], ratios=[ratio]
        )

    others = [contender(100_000, (500.0,), 1.0), contender(1_000_000, (500.0 / growth,) * 3, 1 / growth)]
    return Heat(title="Over HTTP", floor=contender(1_000, floor, 1.0), others=others)


@pytest.mark.parametrize(
    ("p99", "growth", "quick", "slowly"),
    [(19.9, 1.5, "holds", "holds"), (20.0, 1.5, "missed", "holds"), (5.0, 2.1, "holds", "missed")],
)
def test_it_says_which_promise_holds(p99: float, growth: float, quick: str, slowly: str) -> None:
    ((name, said),) = bench.verdicts([heat(p99, growth)]).items()

    assert name == "Over HTTP, 1,000,000 records"
    assert f"(under 20: {quick})" in said
    assert f"2.00 times less deep (at most that: {slowly})" in said


def test_it_settles_nothing_on_a_busy_machine() -> None:
    (said,) = bench.verdicts([heat(5.0, 1.0, floor=(200.0, 500.0, 900.0))]).values()

    assert said.count("not settled") == 2


def test_a_turn_has_its_median_and_its_slowest_hundredth() -> None:
    found = bench.turn([float(n) for n in range(200, 0, -1)])

    assert found.more == {"p50_ms": 101.0, "p99_ms": 199.0}


def test_a_proof_of_something_else_is_no_result() -> None:
    leaves = [merkle.leaf_hash(bytes([n])) for n in range(4)]

    def node(level: int, index: int) -> bytes:
        return merkle.perfect(leaves[index << level : (index + 1) << level])

    said = {
        "leafIndex": 1,
        "treeSize": 4,
        "leafHash": leaves[1].hex(),
        "rootHash": merkle.root(4, node).hex(),
        "hashes": [each.hex() for each in merkle.inclusion(1, 4, node)],
    }
    CHECKS["inclusion"](said)
    with pytest.raises(merkle.ProofRefused):
        CHECKS["inclusion"]({**said, "leafIndex": 2})


def test_the_log_is_chained_and_every_id_is_known() -> None:
    made = list(biglog.records("tenant-9", 9))

    assert [record["prevHash"] for record in made[1:]] == [record["integrityHash"] for record in made[:-1]]
    assert [record["id"] for record in made] == [str(biglog.record_id("tenant-9", seq)) for seq in range(1, 10)]
    assert len({leaf_hash(record) for record in made}) == 9
    assert {record["action"] for record in made} == {"create", "update"}
