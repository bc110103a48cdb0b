"""The bench of checkpoints says what each costs beyond the floor right beside it."""

from tests.bench.flows import bench
from tests.bench.rounds import Contender, Heat


def heat(cost_ms: float, *, floor_ms: tuple[float, ...] = (1.0, 1.01, 0.99)) -> Heat:
    floor = Contender(name="bare", title="bare", measure=lambda: bench.turn(1.0), turns=[*map(bench.turn, floor_ms)])

    def other(name: str, cost: float) -> Contender:
        # While the machine is twice as slow, floor and contender are.
        turns = [bench.turn(slow * (1.0 + cost)) for slow in (1.0, 2.0, 1.0)]
        ratios = [1.0 / (1.0 + cost)] * 3
        return Contender(name=name, title=name, measure=turns.pop, turns=[*turns], ratios=ratios)

    return Heat(title="one", floor=floor, others=[other("postgres", cost_ms), other("fenced", 3.1)])


def test_it_says_which_promise_holds() -> None:
    said = bench.verdicts(heat(1.25))

    assert said["postgres"] == "1.25 ms a step (at most 3: holds)"
    assert said["fenced"] == "3.10 ms a step (at most 3: missed)"


def test_it_settles_nothing_on_a_busy_machine() -> None:
    assert "not settled" in bench.verdicts(heat(1.0, floor_ms=(1.0, 2.0, 9.0)))["postgres"]


def test_its_table_has_the_floor_without_a_cost() -> None:
    (table,) = bench.section(heat(0.5), steps=500, rounds=3, facts={}, took=60.0).tables

    assert table.cells[0] == ["bare", "1.00", "", "1,000"]
    assert table.cells[1][:3] == ["postgres", "1.50", "0.50"]
