"""The bench of jobs says, for each number of workers, whether ours keep up with plain Celery."""

import pytest

from tests.bench.jobs import bench
from tests.bench.rounds import Contender, Heat, Turn

MORE = {"enqueue_ms": 1.0, "p50_ms": 5.0, "p99_ms": 9.0}


def heat(title: str, ours: float, *, floor: tuple[float, ...] = (600.0, 606.0, 594.0)) -> Heat:
    def contender(name: str, rates: tuple[float, ...], ratio: float) -> Contender:
        turns = [Turn(rate=rate, more=MORE) for rate in rates]
        return Contender(name=name, title=bench.TITLES[name], measure=turns.pop, turns=[*turns], ratios=[ratio])

    return Heat(
        title=title,
        floor=contender("stock", floor, 1.0),
        # Careful Celery stands beside us and is promised nothing.
        others=[contender("careful", (60.0,) * 3, 0.1), contender("ours", (600.0 * ours,) * 3, ours)],
    )


def test_it_says_which_promise_holds() -> None:
    said = bench.verdicts([heat("1 worker", 0.5), heat("2 workers", 0.49)])

    assert said == {
        "Kaireon: a row under a lease, 1 worker": "0.50 of the floor (at least 0.5: holds)",
        "Kaireon: a row under a lease, 2 workers": "0.49 of the floor (at least 0.5: missed)",
    }


def test_it_settles_nothing_on_a_busy_machine() -> None:
    (said,) = bench.verdicts([heat("1 worker", 0.9, floor=(200.0, 600.0, 900.0))]).values()

    assert said.startswith("0.90 of the floor (at least 0.5: not settled")


def test_a_job_that_is_not_done_or_was_begun_twice_is_no_result() -> None:
    bench.once_each({"rows": 700, "once": 700})
    with pytest.raises(bench.NotDoneOnce):
        bench.once_each({"rows": 700, "once": 699})


def test_its_tables_count_jobs_for_each_worker() -> None:
    found = bench.section([heat("1 worker", 0.5), heat("2 workers", 0.5)], jobs=600, rounds=3, facts={}, took=60.0)

    assert [table.cells[0][1] for table in found.tables] == ["600", "300"]
    assert found.tables[0].cells[2][1:3] == ["300", "0.50"]
