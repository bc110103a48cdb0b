"""The bench reports what was measured, and says so when a promise is missed."""

import pytest

from tests.bench.append import report
from tests.bench.append.contestants import CONTESTANTS
from tests.bench.append.match import Measured, Row, Setting

FOUR = Setting(processes=4, tenants=1)
RATIOS = {"idle": 0.95, "running": 0.6, "auditlog": 0.4, "simple-history": 0.4, "pghistory": 0.9, "plain": 1.5}


def result(ratios: dict[str, float] = RATIOS) -> report.Result:
    rows = [
        Row(
            contestant=contestant,
            setting=FOUR,
            rounds=[
                Measured(rate=1000 * (ratio := ratios.get(contestant.name, 1.0)) + n, p50_ms=1, p99_ms=2, ratio=ratio)
                for n in range(3)
            ],
        )
        for contestant in CONTESTANTS
    ]
    return report.Result(rows=rows, facts={"Django": "5.2"}, rounds=3, took=61.0)


def test_it_says_which_promise_holds() -> None:
    said = report.verdicts(result())

    assert said["Kaireon, sequencer idle, at 4 processes, one tenant"] == "0.95 of the floor (at least 0.9: holds)"
    assert said["Kaireon, sequencer running, at 4 processes, one tenant"] == "0.60 of the floor (at least 0.75: missed)"


def test_it_settles_nothing_on_a_busy_machine() -> None:
    busy = result()
    busy.rows[0].rounds = [Measured(rate=rate, p50_ms=1, p99_ms=2) for rate in (300.0, 1000.0, 1900.0)]

    said = report.verdicts(busy)["Kaireon, sequencer idle, at 4 processes, one tenant"]
    assert "not settled" in said
    assert "holds" not in said


def test_a_machine_that_is_faster_in_another_round_settles_as_much() -> None:
    found = result()
    turns = len(CONTESTANTS) - 1
    found.rows[0].rounds = [Measured(rate=rate, p50_ms=1, p99_ms=2) for rate in [1000.0] * turns + [2000.0] * turns]

    assert found.noise(FOUR) == 0
    assert report.verdicts(found)["Kaireon, sequencer idle, at 4 processes, one tenant"].endswith("holds)")


@pytest.mark.parametrize(("peer", "place"), [(0.5, "ahead"), (0.7, "ahead with it idle"), (0.96, "behind")])
def test_it_says_who_is_ahead(peer: float, place: str) -> None:
    found = report.verdicts(result(RATIOS | {"pghistory": peer}))

    assert found["The peer that costs least, at 4 processes, one tenant"] == (
        f"django-pghistory at {peer:.2f} of the floor; we at 0.95 and, with the sequencer running, 0.60 ({place})"
    )


def test_every_form_has_every_contestant() -> None:
    found = result()

    section = report.section(found)

    for text in (section.text(), section.markdown()):
        assert all(contestant.title in text for contestant in CONTESTANTS)
    assert {row["contestant"] for row in section.json()["rows"]} == {c.name for c in CONTESTANTS}
