"""The bench of exports of interactions says which promise holds."""

from tests.bench.interactions import bench
from tests.bench.rounds import Contender, Heat, Turn


def heat(ratio: float) -> Heat:
    def contender(name: str, of: float) -> Contender:
        turns = [Turn(rate=rate * of, more={"mib": 120.0, "grown": 20.0, "bytes": 1.0}) for rate in (300.0, 301.0)]
        return Contender(name=name, title=name, measure=turns.pop, turns=[*turns], ratios=[of])

    return Heat(
        title="one tenant",
        floor=contender("copy", 1.0),
        others=[contender("Export", ratio), contender("Export as Parquet", 0.2)],
    )


def test_it_says_which_promise_holds() -> None:
    assert bench.verdicts(heat(0.8))["Export"] == "0.80 of the rate of the raw COPY (at least 0.7: holds)"
    assert bench.verdicts(heat(0.6))["Export"].endswith("missed)")
