"""The bench of verification says which promise holds."""

from tests.bench.rounds import Contender, Heat, Turn
from tests.bench.verify import bench


def heat(ratios: dict[str, float], *, grown: float = 20.0, noisy: bool = False) -> Heat:
    def contender(name: str) -> Contender:
        ratio = ratios.get(name, 1.0)
        rates = (100.0, 300.0, 500.0) if noisy else (300.0, 301.0, 302.0)
        turns = [Turn(rate=rate * ratio, more={"mib": 120.0, "grown": grown}) for rate in rates]
        return Contender(name=name, title=name, measure=turns.pop, turns=[*turns], ratios=[ratio])

    return Heat(
        title="one log", floor=contender("copy"), others=[contender(name) for name in ("one", "two", "orm", "loose")]
    )


def test_it_says_which_promise_holds() -> None:
    said = bench.verdicts(heat({"one": 0.3, "two": 0.3, "orm": 0.05, "loose": 0.06}))
    assert said["one"] == "0.30 of the rate of reading (at least 0.25: holds)"
    assert said["two"] == "0.30 of the rate of reading (at least 0.35: missed)"
    assert said["Beside the ORM"] == (
        "6.0 times as fast (at least 5: holds); 5.0 times as fast as the ORM with rounded numbers"
    )
    assert said["Memory"] == "20 MiB for a whole verification (under 100: holds)"


def test_memory_is_settled_on_any_machine_and_rates_are_not() -> None:
    said = bench.verdicts(heat({"one": 0.3, "two": 0.3, "orm": 0.05, "loose": 0.06}, grown=130.0, noisy=True))
    assert "not settled" in said["one"]
    assert said["Memory"].endswith("missed)")
