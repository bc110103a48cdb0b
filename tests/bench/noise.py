"""Whether a run can settle anything: how far apart the turns of one and the same work were."""

from collections.abc import Sequence
from math import comb
from statistics import quantiles

# Above this noise a run shows tendencies and settles nothing.
QUIET = 0.1
# How often what is called settled may be wrong.
DOUBT = 0.05


def spread(rates: Sequence[float]) -> float:
    """Half the distance of the quartiles, as a share of the median."""
    low, middle, high = quantiles(rates, n=4)
    return (high - low) / 2 / middle


def unsettled(noise: float) -> str:
    """Why nothing is settled, or "" when the machine was quiet enough."""
    if noise <= QUIET:
        return ""
    return f"not settled: something else used the machine, the floor itself varied by ±{noise:.0%}"


def judged(held: bool, noise: float) -> str:
    """`holds` or `missed`, where the machine was quiet enough to tell."""
    return unsettled(noise) or ("holds" if held else "missed")


def median_between(ratios: Sequence[float]) -> tuple[float, float] | None:
    """Where the true median lies, of 95 runs in 100, whatever the ratios' distribution; None: there are too few.

    By the order of the ratios alone: each lies on either side of the median as a coin falls (the sign test).
    """
    ordered, beyond = sorted(ratios), 0
    chance = 2 / 2 ** len(ordered)
    while chance <= DOUBT:
        beyond += 1
        chance += 2 * comb(len(ordered), beyond) / 2 ** len(ordered)
    return (ordered[beyond - 1], ordered[-beyond]) if beyond else None


def reached(ratios: Sequence[float], target: float) -> str:
    """`holds` or `missed`, where the rounds agree enough to tell on which side of the target the median lies.

    Each ratio is to a floor right beside, so a machine that is slower for a while is no noise in them.
    """
    between = median_between(ratios)
    if between is None:
        return "not settled: too few rounds"
    low, high = between
    if low >= target:
        return "holds"
    return "missed" if high < target else f"not settled: somewhere between {low:.2f} and {high:.2f}"


def within(values: Sequence[float], limit: float) -> str:
    """The same of what may be at most so much."""
    between = median_between(values)
    if between is None:
        return "not settled: too few rounds"
    low, high = between
    if high <= limit:
        return "holds"
    return "missed" if low > limit else f"not settled: somewhere between {low:.2f} and {high:.2f}"
