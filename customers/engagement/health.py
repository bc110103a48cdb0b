"""How engaged a customer is, from when they last did something, how often, whether more or less, and opt-outs. Pure.

Two sums say how often: each act counts one on its day, and half of that 30 (`lively`) or 90 (`steady`) days later. A
sum at one moment gives that at every later one by halving it further: nobody's figures are made anew for time alone.
At a constant rate, `lively` is a third of `steady`: three times their ratio, the momentum, is one then.

The score is from 0 to 100: recency 40 (halved every 30 days), frequency 40 (half of it at four acts, more with more),
momentum 20 (half of it at a constant rate), less 15 for each opt-out, at most 30. `sql_score` says the same to
PostgreSQL; a test holds the two together.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

LIVELY_DAYS = 30
STEADY_DAYS = 90
# An act of longer ago adds less than a hundredth.
LOOK_BACK = timedelta(days=720)
# What a customer does. What is shown or sent to them, what they wave aside and what is given back is none of it.
ACTS = ("click", "conversion", "purchase", "visit", "call")

_DAY = timedelta(days=1)
_RECENCY, _FREQUENCY, _MOMENTUM = 40, 40, 20
_HALF_FREQUENT = 4
_PER_OPT_OUT, _MOST_FOR_OPT_OUTS = 15, 30
ENGAGED_FROM, FADING_FROM = 60, 30
_RISING_FROM, _FALLING_TO = 1.25, 0.75
# So little says nothing of more or less any more.
_TOO_LITTLE = 0.01
# Halving this often leaves nothing, and stays a number that a double can be.
_MOST_HALVINGS = 100


class Band(StrEnum):
    ENGAGED = "engaged"
    FADING = "fading"
    DORMANT = "dormant"


class Trend(StrEnum):
    RISING = "rising"
    STEADY = "steady"
    FALLING = "falling"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is kept of a customer: the sums as of `at`, the last act at or before it, how many opt-outs stand."""

    at: datetime
    last: datetime
    lively: float
    steady: float
    opt_outs: int = 0

    def later(self, at: datetime) -> "Figures":
        """The same, when nothing happened since."""
        days = (at - self.at) / _DAY
        lively, steady = self.lively * _halved(days / LIVELY_DAYS), self.steady * _halved(days / STEADY_DAYS)
        return Figures(at=at, last=self.last, lively=lively, steady=steady, opt_outs=self.opt_outs)

    @property
    def momentum(self) -> float:
        return STEADY_DAYS / LIVELY_DAYS * self.lively / self.steady if self.steady >= _TOO_LITTLE else 0.0

    @property
    def trend(self) -> Trend:
        if self.momentum >= _RISING_FROM:
            return Trend.RISING
        return Trend.FALLING if self.momentum <= _FALLING_TO else Trend.STEADY

    @property
    def score(self) -> int:
        recency = _RECENCY * _halved((self.at - self.last) / _DAY / LIVELY_DAYS)
        frequency = _FREQUENCY * (1 - _halved(self.steady / _HALF_FREQUENT))
        momentum = _MOMENTUM * min(self.momentum, 2.0) / 2
        lost = min(_PER_OPT_OUT * self.opt_outs, _MOST_FOR_OPT_OUTS)
        return max(0, int(recency + frequency + momentum - lost + 0.5))

    @property
    def band(self) -> Band:
        return band(self.score)


def band(score: int) -> Band:
    if score >= ENGAGED_FROM:
        return Band.ENGAGED
    return Band.FADING if score >= FADING_FROM else Band.DORMANT


def _halved(times: float) -> float:
    return float(2.0 ** -min(times, _MOST_HALVINGS))


def _sql_halved(times: str) -> str:
    return f"power(2.0::float8, -least({times}, {_MOST_HALVINGS}))"


def sql_days(later: str, earlier: str) -> str:
    """Days between two moments, in SQL. `extract` would give a numeric, which is slow."""
    return f"(date_part('epoch', {later} - {earlier}) / 86400)"


def sql_sum(age: str, half_life: int) -> str:
    """What acts of these ages, in days, add up to."""
    return f"sum({_sql_halved(f'{age} / {half_life}')})"


def sql_faded(total: str, days: str, half_life: int) -> str:
    """What such a sum still is so many days later."""
    return f"({total} * {_sql_halved(f'{days} / {half_life}')})"


def sql_score(at: str) -> str:
    """The score at a moment of a row of the table, whose sums are as of `period_end`."""
    passed, since = sql_days(at, "period_end"), sql_days(at, "last_act_at")
    return sql_score_of(sql_faded("lively", passed, LIVELY_DAYS), sql_faded("steady", passed, STEADY_DAYS), since)


def sql_score_of(lively: str, steady: str, since: str) -> str:
    """The score of these sums and `opt_outs`, so many days since the last act."""
    momentum = f"CASE WHEN {steady} >= {_TOO_LITTLE} THEN {STEADY_DAYS // LIVELY_DAYS} * {lively} / {steady} ELSE 0 END"
    return (
        f"greatest(0, floor({_RECENCY} * {_sql_halved(f'{since} / {LIVELY_DAYS}')}"
        f" + {_FREQUENCY} * (1 - {_sql_halved(f'{steady} / {_HALF_FREQUENT}')})"
        f" + {_MOMENTUM} * least({momentum}, 2) / 2"
        f" - least({_PER_OPT_OUT} * opt_outs, {_MOST_FOR_OPT_OUTS}) + 0.5))::int"
    )
