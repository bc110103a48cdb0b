"""The bench of the offline verifier believes no verifier that has not checked everything."""

from typing import Any

import pytest

from tests.bench.offline import bench
from tests.bench.rounds import Contender, Heat, Turn


def heat(rate: float, *, floor: tuple[float, ...] = (900_000.0, 909_000.0, 891_000.0)) -> Heat:
    def contender(name: str, rates: tuple[float, ...], megabytes: float) -> Contender:
        turns = [Turn(rate=each, more={"megabytes": megabytes}) for each in rates]
        ratios = [rates[0] / 900_000.0]
        return Contender(name=name, title=name, measure=turns.pop, turns=[*turns], ratios=ratios)

    return Heat(title="one core", floor=contender("unzip", floor, 0.0), others=[contender("ours", (rate,) * 3, 31.4)])


@pytest.mark.parametrize(("rate", "said"), [(60_000.0, "holds"), (59_999.0, "missed")])
def test_it_says_whether_the_promise_holds(rate: float, said: str) -> None:
    assert bench.verdicts(heat(rate)) == {"ours": f"{rate:,.0f} records/s (at least 60,000: {said})"}


def test_it_settles_nothing_on_a_busy_machine() -> None:
    assert "not settled" in bench.verdicts(heat(90_000.0, floor=(200_000.0, 900_000.0, 1_900_000.0)))["ours"]


def test_its_table_has_the_memory_of_the_verifier_only() -> None:
    proofs = {"ours": 4.21, "peer": 396.0}
    found = bench.section(heat(90_000.0), proofs, records=10, megabytes=1.0, rounds=3, facts={}, took=60.0).tables

    assert [cells[-1] for cells in found[0].cells] == ["", "31"]
    assert found[1].cells == [["ours", "4.2"], ["peer", "396.0"]]


@pytest.mark.parametrize("said", [{}, {"intact": False, "records": 10}, {"intact": True, "records": 9}])
def test_what_was_not_verified_whole_is_no_result(said: dict[str, Any]) -> None:
    assert bench.verified({"intact": True, "records": 10}, 10, took=2.0, megabytes=1.0).rate == 5.0
    with pytest.raises(bench.NotVerified):
        bench.verified(said, 10, took=2.0, megabytes=1.0)
