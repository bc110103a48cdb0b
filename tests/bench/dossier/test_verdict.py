"""The bench of packages says which promise holds."""

from pathlib import Path

import pytest

from tests.bench.dossier import bench
from tests.bench.rounds import Contender, Heat, Turn


def contender(name: str, ratio: float, rate: float = 300.0, mib: float = 110.0) -> Contender:
    turns = [Turn(rate=rate * ratio + n, more={"ms": 1.0, "mib": mib, "bytes": 1.0}) for n in range(6)]
    return Contender(name=name, title=name, measure=turns.pop, turns=[*turns], ratios=[ratio] * 6)


def measured(
    times: tuple[float, float, float] = (2.5, 2.5, 1.4), *, mib: float = 110.0, rate: float = 30.0, begun: float = 31.0
) -> bench.Measured:
    heats = [
        Heat(title=f"{rows:,} rows", floor=contender("sql", 1.0), others=[contender("ours", 1 / times[n], mib=mib)])
        for n, rows in enumerate(bench.TARGETS)
    ]
    queue = Heat(title="all at once", floor=contender("one", 1.0, rate), others=[contender("two", 1.5, rate)])
    killed = {"interrupted": 2.0, "begun": begun, "ended": begun + 1}
    return bench.Measured(heats=heats, queue=queue, killed=killed, burst_mib=120.0, dossiers=7)


def test_it_says_which_promise_holds() -> None:
    said = measured().verdicts()
    assert said["100 rows"] == "2.50 times as long as the SQL (at most 3: holds)"
    assert said["10,000 rows"] == "2.50 times as long as the SQL (at most 2: missed)"
    assert said["100,000 rows"] == "1.40 times as long as the SQL (at most 1.5: holds)"
    assert said["Memory of a worker"] == "120 MiB (under 150: holds)"
    assert said["all at once, 1 worker"].endswith("at least 20: holds)")
    assert said["all at once, 2 workers"].endswith("1.50 times as many (more: holds)")
    assert (
        "again 31 s after the restart, all 200 answered once after 32 s (within 60: holds)"
        in (said["A worker killed with all its processes"])
    )


def test_it_says_which_does_not() -> None:
    said = measured(mib=151.0, rate=5.0, begun=61.0).verdicts()
    assert said["Memory of a worker"].endswith("missed)")
    assert said["all at once, 1 worker"].endswith("missed)")
    assert said["A worker killed with all its processes"].endswith("missed)")


def test_its_tables_tell_times_not_rates() -> None:
    [table, *_] = measured((2.0, 1.0, 1.0)).section(rows=1, rounds=3, facts={}, took=1).tables
    assert [cells[2] for cells in table.cells] == ["1.00", "2.00"]


def test_what_is_left_behind_is_found(tmp_path: Path) -> None:
    objects, temporary = tmp_path / "objects", tmp_path / "temporary"
    for folder in (objects, temporary):
        folder.mkdir()
    (objects / "sealed").touch()
    bench.nothing_else({"objects": 1}, objects=objects, temporary=temporary)
    with pytest.raises(bench.LeftBehind, match="1 objects of 0 dossiers"):
        bench.nothing_else({"objects": 0}, objects=objects, temporary=temporary)
    (temporary / "half").touch()
    with pytest.raises(bench.LeftBehind, match="1 temporary files"):
        bench.nothing_else({"objects": 1}, objects=objects, temporary=temporary)
