"""The bench of retention says which promise holds, and measures nobody who was not there."""

import pytest

from tests.bench import noise
from tests.bench.purge import bench, stage
from tests.bench.rounds import Contender, Heat, Turn


def contender(name: str, ratio: float, *, p99: float = 4.0) -> Contender:
    more = {"p50_ms": 2.0, "p99_ms": p99, "writes": 100.0}
    turns = [Turn(rate=rate * ratio, more=more) for rate in (300.0, 301.0, 302.0)]
    return Contender(name=name, title=name, measure=turns.pop, turns=[*turns], ratios=[ratio] * 6)


def said(*, held: float = 0.6, whole: float = 6.0, months: float = 0.95, p99: float = 7.0) -> dict[str, str]:
    deletions = Heat(
        title="rows",
        floor=contender("bare", 1.0),
        others=[contender("free", 0.8), contender("held", held), contender("whole", whole)],
    )
    writes = Heat(title="one row", floor=contender("plain", 1.0), others=[contender("months", months)])
    others = Heat(title="others", floor=contender("alone", 1.0), others=[contender("meanwhile", 0.5, p99=p99)])
    return bench.verdicts(deletions, [writes], others)


def test_it_says_that_every_promise_holds() -> None:
    assert said() == {
        "held": "0.60 of the bare deletion (at least 0.5: holds)",
        "whole": "6.0 times the bare deletion (at least 5: holds)",
        "months, one row": "0.95 of the plain table (at least 0.9: holds)",
        "Other tenants' writes": "p99 7.0 ms while one is purged, 1.8 times that of a quiet server (at most 2: holds)",
    }


@pytest.mark.parametrize(
    ("missed", "which"),
    [
        ({"held": 0.49}, "held"),
        ({"whole": 4.9}, "whole"),
        ({"months": 0.89}, "months, one row"),
        ({"p99": 8.1}, "Other tenants' writes"),
    ],
)
def test_it_says_which_promise_is_missed(missed: dict[str, float], which: str) -> None:
    assert [name for name, verdict in said(**missed).items() if verdict.endswith("missed)")] == [which]


def test_it_settles_nothing_while_rounds_disagree() -> None:
    assert noise.reached([0.4, 0.6, 0.5, 0.7, 0.4, 0.6], 0.5) == "not settled: somewhere between 0.40 and 0.70"
    assert noise.reached([0.6] * 5, 0.5) == "not settled: too few rounds"


def test_the_more_rounds_the_narrower_is_where_the_median_lies() -> None:
    # The ranks are those of the tables of the sign test: the 1st and last of 6, the 3rd from either end of 12.
    assert noise.median_between([*range(1, 7)]) == (1, 6)
    assert noise.median_between([*range(1, 13)]) == (3, 10)
    assert noise.median_between([*range(1, 25)]) == (7, 18)


def test_a_purge_that_nobody_wrote_beside_is_no_result() -> None:
    with pytest.raises(stage.NotMeanwhile):
        stage.latencies([])


def test_its_latencies_are_of_the_writes_it_saw() -> None:
    assert stage.latencies([float(ms) for ms in range(1, 101)]).more == {"p50_ms": 51.0, "p99_ms": 100.0, "writes": 100}
