"""The bench of shipping says which promise holds, and believes the receiver only."""

import pytest

from tests.bench.rounds import Contender, Heat, Turn
from tests.bench.ship import bench


def heat(ratio: float, *, noisy: bool = False) -> Heat:
    def contender(name: str, ratio: float) -> Contender:
        rates = (100.0, 300.0, 500.0) if noisy else (300.0, 301.0, 302.0)
        turns = [Turn(rate=rate * ratio, more={"mib": 120.0, "grown": 20.0}) for rate in rates]
        return Contender(name=name, title=name, measure=turns.pop, turns=[*turns], ratios=[ratio])

    return Heat(title="gzip", floor=contender("bare", 1.0), others=[contender("ours", ratio)])


def test_it_says_which_promise_holds() -> None:
    assert bench.verdicts([heat(0.75)])["ours"].endswith("(at least 0.7: holds)")
    assert bench.verdicts([heat(0.65)])["ours"].endswith("(at least 0.7: missed)")
    assert "not settled" in bench.verdicts([heat(0.75, noisy=True)])["ours"]


def test_beside_what_a_vendor_takes_it_promises_nothing() -> None:
    made = heat(0.5)
    made.others.insert(0, Contender(name=bench.AS_TAKEN, title="taken", measure=made.floor.measure, ratios=[0.4]))

    said = bench.verdicts([made])

    assert said["ours"] == "0.50 of the rate of the raw COPY in bare posts, 1.25 of that of the least that it takes"
    assert "taken" not in said


def test_its_section_has_a_line_for_everybody() -> None:
    found = bench.section([heat(0.75)], records=1000, rounds=3, facts={}, took=60.0)

    assert [cells[0] for cells in found.tables[0].cells] == ["bare", "ours"]


class Says:
    """Stands for a process that is asked: the same answer to everything."""

    def __init__(self, **answer: float) -> None:
        self._answer = answer

    def ask(self, order: object) -> dict[str, float]:
        return self._answer


def test_what_did_not_all_come_is_no_result() -> None:
    says = Says(seconds=1.0, records=10, mib=1.0, grown=1.0)
    match = bench.Match(says, Says(lines=9, records=9), 10)  # type: ignore[arg-type]

    with pytest.raises(bench.NotAllArrived):
        match.heats()[0].floor.measure()
