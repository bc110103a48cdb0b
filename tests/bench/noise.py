"""Whether a run can settle anything: how far apart the turns of one and the same work were."""

from collections.abc import Sequence
from statistics import quantiles

# Above this noise a run shows tendencies and settles nothing.
QUIET = 0.1


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
