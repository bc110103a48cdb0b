"""The bench of packages says which promise holds."""

from tests.bench.dossier import bench
from tests.bench.rounds import Contender, Heat, Turn


def heats(times: tuple[float, float, float], *, mib: float = 110.0, noisy: bool = False) -> list[Heat]:
    def contender(name: str, ratio: float) -> Contender:
        rates = (100.0, 300.0, 500.0) if noisy else (300.0, 301.0, 302.0)
        turns = [Turn(rate=rate * ratio, more={"ms": 1.0, "mib": mib, "bytes": 1.0}) for rate in rates]
        return Contender(name=name, title=name, measure=turns.pop, turns=[*turns], ratios=[ratio])

    return [
        Heat(title=f"{rows:,} rows", floor=contender("sql", 1.0), others=[contender("ours", 1 / times[n])])
        for n, rows in enumerate(bench.TARGETS)
    ]


def test_it_says_which_promise_holds() -> None:
    said = bench.verdicts(heats((2.5, 2.5, 1.4)))
    assert said["100 rows"] == "2.50 times as long as the SQL (at most 3: holds)"
    assert said["10,000 rows"] == "2.50 times as long as the SQL (at most 2: missed)"
    assert said["100,000 rows"] == "1.40 times as long as the SQL (at most 1.5: holds)"
    assert said["Memory of the worker"] == "110 MiB (under 150: holds)"


def test_memory_is_settled_on_any_machine_and_times_are_not() -> None:
    said = bench.verdicts(heats((9.0, 1.0, 1.0), mib=151.0, noisy=True))
    assert "not settled" in said["100 rows"]
    assert said["Memory of the worker"].endswith("missed)")


def test_its_tables_tell_times_not_rates() -> None:
    [table, *_] = bench.section(heats((2.0, 1.0, 1.0)), rows=1, rounds=3, facts={}, took=1).tables
    assert [cells[2] for cells in table.cells] == ["1.00", "2.00"]
