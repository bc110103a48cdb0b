"""The bench of erasures says which promise holds."""

from tests.bench.erasure import bench
from tests.bench.rounds import Contender, Heat, Turn


def heat(times: list[float]) -> Heat:
    def contender(name: str, ratios: list[float]) -> Contender:
        turns = [Turn(rate=100.0 * ratio, more={"ms": 10 / ratio}) for ratio in ratios]
        return Contender(name=name, title=name, measure=turns.pop, turns=[*turns], ratios=ratios)

    ours = contender("ours", [1 / time for time in times])
    return Heat(
        title="10,000 rows",
        floor=contender("plain", [1.0] * len(times)),
        others=[contender("guarded", [0.5] * len(times)), ours],
    )


def test_it_says_whether_the_rounds_agree() -> None:
    said = bench.verdicts(heat([2.0, 2.5, 2.6, 2.7, 2.8, 2.9]))
    assert said["10,000 rows"] == "2.65 times as long as the plain statements (at most 3: holds)"
    assert said["10,000 rows, of the statements with triggers"] == "1.32 times as long"
    assert "missed" in bench.verdicts(heat([3.1] * 6))["10,000 rows"]
    assert "somewhere between 2.00 and 4.00" in bench.verdicts(heat([2.0, 2.5, 2.6, 2.7, 2.8, 4.0]))["10,000 rows"]
    assert "too few rounds" in bench.verdicts(heat([2.0, 2.0, 2.0]))["10,000 rows"]


def test_its_table_tells_times_not_rates() -> None:
    [table] = bench.section(heat([2.0] * 6), rows=1, rounds=6, facts={}, took=1).tables
    assert [cells[2] for cells in table.cells] == ["1.00", "2.00", "2.00"]
