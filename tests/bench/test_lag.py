"""The bench of the sequencer says whether it keeps up, and counts no record that it has not seen in the log."""

import pytest

from tests.bench import lag
from tests.bench.rounds import Contender, Heat, Turn


def heat(behind: float, *, floor: tuple[float, ...] = (2000.0, 2020.0, 1980.0)) -> Heat:
    ours = [lag.turn(1600.0, count=80, rows=80, lags=[behind, behind * 2, behind * 3], catch_up=0.04) for _ in range(3)]
    return Heat(
        title="one tenant",
        floor=Contender(name="floor", title="floor", measure=ours.pop, turns=[Turn(rate=rate) for rate in floor]),
        others=[Contender(name="ours", title="ours", measure=ours.pop, turns=[*ours], ratios=[0.8])],
    )


@pytest.mark.parametrize(("behind", "said"), [(99.9, "holds"), (100.0, "missed")])
def test_it_says_whether_the_promise_holds(behind: float, said: str) -> None:
    assert lag.verdicts([heat(behind)]) == {"ours, one tenant": f"100 ms behind (under 100: {said})"}


def test_it_settles_nothing_on_a_busy_machine() -> None:
    assert "not settled" in lag.verdicts([heat(20.0, floor=(500.0, 2000.0, 3900.0))])["ours, one tenant"]


def test_its_table_has_the_whole_distribution() -> None:
    (table,) = lag.section([heat(20.0)], rounds=3, seconds=4.0, facts={}, took=60.0).tables

    assert table.cells[1] == ["ours", "1,600", "0.80", "20", "40", "60", "40"]


def test_a_record_that_is_not_in_the_log_is_no_result() -> None:
    with pytest.raises(lag.RecordsMissing):
        lag.turn(1600.0, count=79, rows=80, lags=[1.0, 2.0, 3.0], catch_up=0.0)
