"""The bench of exports says which promise holds."""

from tests.bench.export import bench
from tests.bench.rounds import Contender, Heat, Turn


def heat(ratios: dict[str, float], *, grown: float = 20.0, noisy: bool = False) -> Heat:
    def contender(name: str) -> Contender:
        rates = (100.0, 300.0, 500.0) if noisy else (300.0, 301.0, 302.0)
        ratio = ratios.get(name, 1.0)
        turns = [Turn(rate=rate * ratio, more={"mib": 120.0, "grown": grown, "bytes": 1.0}) for rate in rates]
        return Contender(name=name, title=name, measure=turns.pop, turns=[*turns], ratios=[ratio])

    return Heat(title="one log", floor=contender("copy"), others=[contender("ndjson"), contender("csv")])


def test_it_says_which_promise_holds() -> None:
    said = bench.verdicts(heat({"ndjson": 0.85, "csv": 0.7}))
    assert said["ndjson"] == "0.85 of the rate of the raw COPY (at least 0.8: holds)"
    assert said["csv"] == "0.70 of the rate of the raw COPY (at least 0.8: missed)"
    assert said["Memory"] == "20 MiB for a whole export (under 100: holds)"


def test_memory_is_settled_on_any_machine_and_rates_are_not() -> None:
    said = bench.verdicts(heat({"ndjson": 0.85, "csv": 0.9}, grown=130.0, noisy=True))
    assert "not settled" in said["csv"]
    assert said["Memory"].endswith("missed)")
