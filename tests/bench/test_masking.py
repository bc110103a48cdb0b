"""The bench of masks says whether the promises hold, on values that are what they look like."""

from kaireon.lib.masking import MASKS, detect
from tests.bench import masking
from tests.bench.rounds import Contender, Heat, Turn


def heat(rates: dict[str, float]) -> Heat:
    def contender(name: str) -> Contender:
        turns = [Turn(rate=rates.get(name, 600_000.0) + n) for n in range(3)]
        return Contender(name=name, title=name, measure=turns.pop, turns=[*turns], ratios=[0.5])

    return Heat(title="one core", floor=contender("digest"), others=[contender("mask"), contender("hash")])


def test_the_sample_has_every_format_alike() -> None:
    found = [detect(value) for value in masking.sample(200)]

    assert {name: found.count(name) for name in set(found)} == {mask.name: 20 for mask in MASKS}


def test_it_says_which_promise_holds() -> None:
    said = masking.verdicts(heat({"mask": 250_000.0, "hash": 250_000.0}))

    assert said["mask"] == "250,001 values/s (at least 200,000: holds)"
    assert said["hash"] == "250,001 values/s (at least 300,000: missed)"


def test_it_settles_nothing_on_a_busy_machine() -> None:
    busy = heat({"mask": 250_000.0})
    busy.floor.turns = [Turn(rate=rate) for rate in (200_000.0, 600_000.0, 900_000.0)]

    assert "not settled" in masking.verdicts(busy)["mask"]
