"""Rounds in which everybody meets the floor, side by side, in changing order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, TypeVar

from tests.bench.noise import spread

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What was measured at once: so many a second, and whatever else belongs to it, by name."""

    rate: float
    more: Mapping[str, float] = field(default_factory=dict)


@dataclass(kw_only=True)
class Contender:
    """Somebody who takes turns. `ratios` has the rate of each over that of the floor right beside it."""

    name: str
    title: str
    measure: Callable[[], Turn]
    turns: list[Turn] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return median(turn.rate for turn in self.turns)

    @property
    def ratio(self) -> float:
        return median(self.ratios) if self.ratios else 1.0

    @property
    def ratio_range(self) -> tuple[float, float]:
        return (min(self.ratios), max(self.ratios)) if self.ratios else (1.0, 1.0)

    @property
    def times(self) -> list[float]:
        """How many times as long as the floor it took, each time."""
        return [1 / ratio for ratio in self.ratios]

    def median_of(self, name: str) -> float:
        return median(turn.more[name] for turn in self.turns)


@dataclass(kw_only=True)
class Heat:
    """The floor and those who are measured against it, in one setting."""

    title: str
    floor: Contender
    others: Sequence[Contender]

    @property
    def noise(self) -> float:
        return spread([turn.rate for turn in self.floor.turns])

    @property
    def everybody(self) -> tuple[Contender, ...]:
        return self.floor, *self.others

    def play(self, number: int) -> None:
        """One round. Everybody stands right beside the floor, now after and now before it."""
        for other in turned(self.others, number):
            pair = (self.floor, other) if number % 2 == 0 else (other, self.floor)
            found = {contender.name: contender.measure() for contender in pair}
            for contender in pair:
                contender.turns.append(found[contender.name])
            other.ratios.append(found[other.name].rate / found[self.floor.name].rate)

    def json(self) -> list[dict[str, Any]]:
        return [
            {
                "setting": self.title,
                "contestant": contender.name,
                "rate": round(contender.rate, 1),
                "ratio": round(contender.ratio, 3),
                "rounds": [{"rate": turn.rate, **turn.more} for turn in contender.turns],
                "ratios": contender.ratios,
            }
            for contender in self.everybody
        ]


def play(heats: Sequence[Heat], *, rounds: int, progress: Callable[[str], None]) -> None:
    for number in range(rounds):
        for heat in heats:
            progress(f"round {number + 1} of {rounds}: {heat.title}")
            heat.play(number)


def turned(contestants: Sequence[T], number: int) -> Iterator[T]:
    """Another one begins each round, every second round backwards: nobody is always right after a checkpoint."""
    start = number % len(contestants)
    order = [*contestants[start:], *contestants[:start]]
    return iter(order if number % 2 == 0 else order[::-1])
