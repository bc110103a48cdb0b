"""The figures that rules can watch, by name. Layers above register theirs from their app's `ready`. Knows no framework.

A figure is of the active tenant and of no other; it is read inside a transaction, under a time limit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class UnknownMetric(LookupError):
    """No figure has this name. `str()` of it lists those there are."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name[:64]!r} is no metric; known are {', '.join(sorted(METRICS))}.")


class MetricTaken(ValueError):
    """Two different figures were registered under one name."""


class Unit(StrEnum):
    COUNT = "count"
    PERCENT = "percent"
    SECONDS = "seconds"
    HOURS = "hours"
    DAYS = "days"
    TRUTH = "truth"  # 1 yes, 0 no


@dataclass(frozen=True, kw_only=True)
class Asked:
    """For when a figure is read: at `now`, and counted from `since` on when it has a window (it is `now` otherwise)."""

    now: datetime
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Metric:
    """`read` gives the value in `unit`, or None when there is none to be had: that is a state of its own.

    `longest` is the longest window it may be counted over; without one it is of the moment and takes no window.
    """

    name: str
    title: str
    help: str
    unit: Unit
    read: Callable[[Asked], float | None]
    longest: timedelta | None = None

    @property
    def is_windowed(self) -> bool:
        return self.longest is not None


METRICS: dict[str, Metric] = {}


def register(*metrics: Metric) -> None:
    """Let rules watch these. Raises MetricTaken."""
    for metric in metrics:
        if METRICS.setdefault(metric.name, metric) != metric:
            raise MetricTaken(metric.name)


def get(name: str) -> Metric:
    """Raises UnknownMetric, which lists the names there are."""
    try:
        return METRICS[name]
    except KeyError as e:
        raise UnknownMetric(name) from e
