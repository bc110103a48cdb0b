"""Everybody meets the floor in every round."""

from collections import Counter
from collections.abc import Callable

from tests.bench.rounds import Contender, Heat, Turn, play


def test_each_ratio_is_to_the_floor_right_beside() -> None:
    order: list[str] = []
    floor_rates = iter([100.0, 200.0, 400.0, 800.0])

    def noting(name: str, rate: Callable[[], float]) -> Contender:
        def measure() -> Turn:
            order.append(name)
            return Turn(rate=rate())

        return Contender(name=name, title=name, measure=measure)

    heat = Heat(
        title="one",
        floor=noting("floor", lambda: next(floor_rates)),
        others=[noting("a", lambda: 100.0), noting("b", lambda: 100.0)],
    )
    play([heat], rounds=2, progress=lambda _text: None)

    # The second round runs backwards, and the floor comes second in it.
    assert order == ["floor", "a", "floor", "b", "a", "floor", "b", "floor"]
    a, b = heat.others
    assert a.ratios == [1.0, 0.25]
    assert b.ratios == [0.5, 0.125]
    assert Counter(order)["floor"] == len(heat.floor.turns) == 4
