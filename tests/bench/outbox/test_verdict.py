"""The bench of deliveries says whether the promise holds, and believes the receiver only."""

import pytest

from tests.bench.outbox import bench
from tests.bench.rounds import Contender, Heat, Turn


def heat(ours: float, *, floor: tuple[float, ...] = (1000.0, 1010.0, 990.0)) -> Heat:
    def contender(name: str, rates: tuple[float, ...], ratio: float) -> Contender:
        turns = [Turn(rate=rate, more={"ms": 1000 / rate}) for rate in rates]
        return Contender(name=name, title=name, measure=turns.pop, turns=[*turns], ratios=[ratio])

    return Heat(
        title="one worker",
        floor=contender("bare", floor, 1.0),
        others=[contender("ours", (1000.0 * ours,) * 3, ours), contender("keyed", (590.0,) * 3, 0.59)],
    )


def test_it_says_which_promise_holds() -> None:
    said = bench.verdicts(heat(0.6))

    assert said["ours"] == "0.60 of the floor (at least 0.6: holds)"
    assert said["keyed"] == "0.59 of the floor (at least 0.6: missed)"


def test_it_settles_nothing_on_a_busy_machine() -> None:
    assert "not settled" in bench.verdicts(heat(0.9, floor=(300.0, 1000.0, 1900.0)))["ours"]


def test_its_section_has_a_line_for_everybody() -> None:
    found = bench.section(heat(0.7), messages=1000, rounds=3, facts={}, took=60.0)

    assert [cells[0] for cells in found.tables[0].cells] == ["bare", "ours", "keyed"]
    assert found.tables[0].cells[1] == ["ours", "700", "0.70", "0.70–0.70", "1.43"]


class Says:
    """Stands for a process that is asked: the same answer to everything."""

    def __init__(self, **answer: float) -> None:
        self._answer = answer

    def ask(self, order: object) -> dict[str, float]:
        return self._answer


@pytest.mark.parametrize(
    "got",
    [{"posts": 9, "ids": 9}, {"posts": 11, "ids": 10}, {"posts": 10, "ids": 9}],
    ids=["one lost", "one twice", "one for another"],
)
def test_what_did_not_come_exactly_once_is_no_result(got: dict[str, float]) -> None:
    match = bench.Match(Says(sent=10, seconds=1.0), Says(**got))  # type: ignore[arg-type]

    with pytest.raises(bench.NotDeliveredOnce):
        match.heat(10).others[0].measure()
