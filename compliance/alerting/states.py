"""Where a rule stands and where an evaluation moves it: ok → pending → firing → resolved → ok, and no_data. Pure.

Time is what passed between two evaluations, never a moment on a clock, so a clock that is set back shortens nothing and
starts nothing again. That a limit is crossed counts while somebody looks: of a pause longer than LONGEST_GAP nothing
is known, and nothing of it counts. A cooldown passes whoever looks.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

# Seconds between two evaluations beyond which nobody can say that a limit was crossed all the time.
LONGEST_GAP = 300.0


class State(StrEnum):
    OK = "ok"
    PENDING = "pending"  # crossed, not yet for as long as the rule asks
    FIRING = "firing"
    RESOLVED = "resolved"  # it fired and ended; it does not fire again while it cools down
    NO_DATA = "no_data"  # there is no value, which is not the same as a good one


class Seen(StrEnum):
    """What one evaluation found."""

    CLEAR = "clear"
    CROSSED = "crossed"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a rule asks for, in seconds."""

    lasting: float = 0.0
    cooldown: float = 0.0
    alerts_without_data: bool = True


@dataclass(frozen=True, kw_only=True)
class Standing:
    """`crossed` is for how many watched seconds the limit has been crossed, None when it is not; `cooling` how many are
    left. `is_raised`: an alert is open, which only a value that is clear ends. `seen` is what was found last."""

    state: State = State.OK
    seen: Seen | None = None
    crossed: float | None = None
    cooling: float = 0.0
    is_raised: bool = False


def step(before: Standing, seen: Seen, terms: Terms, *, passed: float) -> Standing:
    """The standing after an evaluation that came `passed` seconds after the last; fewer than none are none."""
    passed = max(0.0, passed)
    after = replace(
        before,
        seen=seen,
        crossed=_crossed(before, seen, passed if passed <= LONGEST_GAP else 0.0),
        cooling=max(0.0, before.cooling - passed),
    )
    lasts = after.crossed is not None and after.crossed >= terms.lasting
    return _raised(replace(after, state=_state(after, seen, lasts=lasts)), terms)


def _crossed(before: Standing, seen: Seen, watched: float) -> float | None:
    if seen == Seen.MISSING:
        # Neither counts nor begins anew.
        return before.crossed
    if seen == Seen.CLEAR:
        return None
    return (before.crossed or 0.0) + (watched if before.seen == Seen.CROSSED else 0.0)


def _state(now: Standing, seen: Seen, *, lasts: bool) -> State:
    if now.state == State.FIRING:
        return State.RESOLVED if seen == Seen.CLEAR else State.FIRING
    if now.state == State.RESOLVED and now.cooling > 0:
        return State.RESOLVED
    if seen == Seen.MISSING:
        return State.NO_DATA
    if seen == Seen.CROSSED:
        return State.FIRING if lasts else State.PENDING
    return State.RESOLVED if now.is_raised else State.OK


def _raised(now: Standing, terms: Terms) -> Standing:
    if now.state in (State.OK, State.RESOLVED):
        return replace(now, is_raised=False, cooling=terms.cooldown) if now.is_raised else now
    opens = now.state == State.FIRING or (now.state == State.NO_DATA and terms.alerts_without_data)
    return replace(now, is_raised=now.is_raised or opens)


def word(standing: Standing, told: str) -> str:
    """What is to be said now, given what was said last of this alert ("" nothing): `firing`, `no_data`, `resolved`.

    Who was silenced asks again later and then says what is true by then; nothing is said twice.
    """
    if standing.state == State.FIRING:
        return "" if told == State.FIRING else State.FIRING
    if standing.state == State.NO_DATA and standing.is_raised:
        return "" if told else State.NO_DATA
    if not standing.is_raised and told:
        return State.RESOLVED
    return ""
