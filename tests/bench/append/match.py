"""The match: rounds in which every contestant meets the floor in every setting, side by side, in changing order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from tests.bench.append.contestants import FLOOR, TARGET_PROCESSES, Contestant
from tests.bench.append.stage import Stage
from tests.bench.rounds import turned

WARM_UP_ROWS = 400
# Where nothing is promised, every fourth round is enough to see where it goes.
_SELDOM = 4


@dataclass(frozen=True, kw_only=True)
class Setting:
    processes: int
    tenants: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One contestant in one setting of one round. `ratio` is its rate over that of the floor right beside it."""

    rate: float
    p50_ms: float
    p99_ms: float
    ratio: float = 1.0
    # Only with the sequencer running: share of the records in the log at the end, and seconds until all were.
    sequenced: float | None = None
    catch_up_seconds: float | None = None


@dataclass(kw_only=True)
class Row:
    """Everything measured of one contestant in one setting."""

    contestant: Contestant
    setting: Setting
    rounds: list[Measured] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return median(m.rate for m in self.rounds)

    @property
    def ratio(self) -> float:
        return median(m.ratio for m in self.rounds)

    @property
    def ratio_range(self) -> tuple[float, float]:
        return min(m.ratio for m in self.rounds), max(m.ratio for m in self.rounds)


def play(
    stage: Stage,
    *,
    contestants: Sequence[Contestant],
    settings: Sequence[Setting],
    rounds: int,
    seconds: float,
    tenants: Sequence[str],
    progress: Callable[[str], None],
) -> list[Row]:
    """Measure. The number of rows is the same for everybody: what the floor writes in about `seconds`."""
    rows = {(c.name, s): Row(contestant=c, setting=s) for s in settings for c in contestants}
    stage.start_sequencer()
    most = max(s.processes for s in settings)
    for contestant in contestants:
        progress(f"warming up: {contestant.title}")
        for _ in range(2):
            _measure(stage, contestant, Setting(processes=most, tenants=len(tenants)), WARM_UP_ROWS, tenants)
    wanted = {
        s: int(_measure(stage, FLOOR, s, WARM_UP_ROWS * 2, tenants).rate * seconds) // s.processes * s.processes
        for s in settings
    }
    for number in range(rounds):
        for setting in settings:
            turn, left_out = (number, 0) if setting.processes == TARGET_PROCESSES else divmod(number, _SELDOM)
            if left_out:
                continue
            progress(f"round {number + 1} of {rounds}: {setting.processes} processes, {setting.tenants} tenants")
            for contestant in turned(contestants[1:], turn):
                # Right beside each other, now one and now the other first: what else the machine does changes quickly.
                pair = (FLOOR, contestant) if turn % 2 == 0 else (contestant, FLOOR)
                found = {c.name: _measure(stage, c, setting, wanted[setting], tenants) for c in pair}
                floor = found[FLOOR.name]
                rows[FLOOR.name, setting].rounds.append(floor)
                rows[contestant.name, setting].rounds.append(
                    replace(found[contestant.name], ratio=found[contestant.name].rate / floor.rate)
                )
    return list(rows.values())


def _measure(stage: Stage, contestant: Contestant, setting: Setting, rows: int, tenants: Sequence[str]) -> Measured:
    crew = stage.crew(contestant.project)
    order = {
        "writes": contestant.writes,
        "processes": setting.processes,
        "rows": rows,
        "tenants": list(tenants[: setting.tenants]),
    }
    sequenced = catch_up = None
    if contestant.sequencer == "running":
        with stage.sequencing():
            answer = crew.ask(order)
            sequenced = 1 - stage.waiting() / answer["rows"]
            catch_up = stage.catch_up_seconds()
    else:
        answer = crew.ask(order)
    if contestant.sequencer == "idle":
        with stage.sequencing():
            stage.catch_up_seconds()
    return Measured(
        rate=answer["rows"] / answer["seconds"],
        p50_ms=answer["p50_ms"],
        p99_ms=answer["p99_ms"],
        sequenced=sequenced,
        catch_up_seconds=catch_up,
    )
