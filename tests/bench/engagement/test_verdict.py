"""The bench of engagement says whether the promise holds."""

from tests.bench.engagement import bench
from tests.bench.rounds import Contender, Heat, Turn


def heat(shares: list[float]) -> Heat:
    def contender(name: str, ratios: list[float]) -> Contender:
        turns = [Turn(rate=ratio, more={"seconds": 1 / ratio, "lookedAt": 7.0}) for ratio in ratios]
        return Contender(name=name, title=name, measure=turns.pop, turns=[*turns], ratios=ratios)

    return Heat(
        title="a day",
        floor=contender("whole", [1.0] * len(shares)),
        others=[contender("new", [1 / share for share in shares])],
    )


def test_it_says_whether_the_rounds_agree() -> None:
    assert bench.verdicts(heat([0.05] * 6)) == {"A night's run": "0.050 of a whole one (at most 0.1: holds)"}
    assert "missed" in bench.verdicts(heat([0.2] * 6))["A night's run"]
    [table] = bench.section(heat([0.05] * 6), rows=20, rounds=6, facts={}, took=1).tables
    assert [cells[3] for cells in table.cells] == ["1.000", "0.050"]
