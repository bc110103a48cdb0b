"""Where a rule stands, for every story of what evaluations may find."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.alerting.states import LONGEST_GAP, Seen, Standing, State, Terms, step, word

CLEAR, CROSSED, MISSING = Seen.CLEAR, Seen.CROSSED, Seen.MISSING

SPANS = st.sampled_from([0.0, 60.0, 300.0, 900.0])
TERMS = st.builds(Terms, lasting=SPANS, cooldown=SPANS, alerts_without_data=st.booleans())
# Also none, a pause in which nobody looked, and a clock that was set back.
PASSED = st.sampled_from([0.0, 1.0, 60.0, 60.0, 60.0, LONGEST_GAP, LONGEST_GAP + 1, 86_400.0, -3600.0])
STORIES = st.lists(st.tuples(st.sampled_from(Seen), PASSED), max_size=40)


@dataclass
class Told:
    """Evaluations one after the other."""

    terms: Terms
    at: Standing = field(default_factory=Standing)

    def __call__(self, seen: Seen, passed: float = 60.0) -> State:
        self.at = step(self.at, seen, self.terms, passed=passed)
        return self.at.state


def test_it_goes_from_ok_to_pending_to_firing_to_resolved_to_ok() -> None:
    tell = Told(Terms(lasting=120, cooldown=180))
    states = [tell(CROSSED), tell(CROSSED), tell(CROSSED), tell(CROSSED), *(tell(CLEAR) for _ in range(5))]
    assert [str(state) for state in states] == [
        *("pending", "pending", "firing", "firing"),
        *("resolved", "resolved", "resolved", "ok", "ok"),
    ]


def test_without_a_time_to_last_it_fires_at_once() -> None:
    assert Told(Terms())(CROSSED) == State.FIRING


def test_a_limit_that_is_not_crossed_long_enough_never_fires() -> None:
    tell = Told(Terms(lasting=120))
    for _ in range(5):
        assert [tell(CROSSED), tell(CROSSED), tell(CLEAR)] == [State.PENDING, State.PENDING, State.OK]


def test_of_a_pause_in_which_nobody_looked_nothing_counts() -> None:
    tell = Told(Terms(lasting=600))
    assert tell(CROSSED) == State.PENDING
    assert tell(CROSSED, passed=86_400) == State.PENDING
    assert tell(CROSSED, passed=LONGEST_GAP) == State.PENDING
    assert tell(CROSSED, passed=LONGEST_GAP) == State.FIRING


def test_a_clock_that_is_set_back_shortens_nothing_and_ends_nothing() -> None:
    tell = Told(Terms(lasting=120, cooldown=120))
    tell(CROSSED)
    assert tell(CROSSED, passed=-3600) == State.PENDING
    assert [tell(CROSSED), tell(CROSSED)] == [State.PENDING, State.FIRING]
    assert tell(CLEAR, passed=-3600) == State.RESOLVED
    assert [tell(CLEAR), tell(CLEAR)] == [State.RESOLVED, State.OK]


def test_it_does_not_fire_again_while_it_cools_down_and_then_at_once() -> None:
    tell = Told(Terms(lasting=60, cooldown=180))
    assert [tell(CROSSED), tell(CROSSED), tell(CLEAR)] == [State.PENDING, State.FIRING, State.RESOLVED]
    assert [tell(CROSSED), tell(CROSSED), tell(CROSSED)] == [State.RESOLVED, State.RESOLVED, State.FIRING]


def test_a_cooldown_passes_also_while_nobody_looks() -> None:
    tell = Told(Terms(cooldown=3600))
    assert [tell(CROSSED), tell(CLEAR)] == [State.FIRING, State.RESOLVED]
    assert tell(CROSSED, passed=86_400) == State.FIRING


def test_no_data_is_not_ok_and_ends_no_alert() -> None:
    tell = Told(Terms())
    assert [tell(MISSING), tell(MISSING)] == [State.NO_DATA, State.NO_DATA]
    assert tell.at.is_raised
    assert [tell(CROSSED), tell(MISSING), tell(CLEAR)] == [State.FIRING, State.FIRING, State.RESOLVED]


def test_where_no_data_does_not_alert_it_is_a_state_all_the_same() -> None:
    tell = Told(Terms(alerts_without_data=False))
    assert [tell(MISSING), tell(CLEAR)] == [State.NO_DATA, State.OK]
    tell(MISSING)
    assert not tell.at.is_raised


def test_what_is_missing_neither_counts_nor_begins_anew() -> None:
    tell = Told(Terms(lasting=180, alerts_without_data=False))
    assert [tell(CROSSED), tell(CROSSED), tell(MISSING), tell(CROSSED)] == ["pending", "pending", "no_data", "pending"]
    assert [tell(CROSSED), tell(CROSSED)] == [State.PENDING, State.FIRING]


@given(terms=TERMS, story=STORIES)
def test_whatever_is_found(terms: Terms, story: list[tuple[Seen, float]]) -> None:
    now = Standing()
    watched, since_end = 0.0, None
    for seen, passed in story:
        before, now = now, step(now, seen, terms, passed=passed)
        elapsed = max(0.0, passed)
        if seen == CLEAR:
            watched = 0.0
        elif seen == CROSSED and before.seen == CROSSED and elapsed <= LONGEST_GAP:
            watched += elapsed
        since_end = None if since_end is None else since_end + elapsed
        # A value that is not there is not a good one.
        if seen == MISSING and before.state == State.FIRING:
            assert now.state == State.FIRING
        if seen == MISSING and before.state in (State.OK, State.PENDING, State.NO_DATA):
            assert now.state == State.NO_DATA
        # It fires for what lasted, as it was watched, and not while it cools down.
        if now.state == State.FIRING and before.state != State.FIRING:
            assert seen == CROSSED
            assert watched >= terms.lasting
            assert since_end is None or since_end >= terms.cooldown
        # It ends by a clear value alone, by way of resolved.
        if before.is_raised and not now.is_raised:
            assert (seen, now.state) == (CLEAR, State.RESOLVED)
            since_end = 0.0
        if now.state == State.OK:
            assert seen == CLEAR
        assert now.is_raised >= (now.state == State.FIRING)
        assert now.cooling >= 0


@given(terms=TERMS, story=STORIES, silent=st.lists(st.booleans(), min_size=40, max_size=40))
def test_what_is_said_is_never_said_twice_and_ends(
    terms: Terms, story: list[tuple[Seen, float]], silent: list[bool]
) -> None:
    now, told, said = Standing(), "", []
    for (seen, passed), is_silent in zip(story, silent, strict=False):
        now = step(now, seen, terms, passed=passed)
        if (one := word(now, told)) and not is_silent:
            said.append(one)
            told = "" if one == State.RESOLVED else one
        if not is_silent and not now.is_raised:
            assert told == ""
        if not is_silent and now.state == State.FIRING:
            assert told == State.FIRING
    for one, following in pairwise(said):
        assert one != following
    assert not said or said[0] != State.RESOLVED


@pytest.mark.parametrize("state", State)
def test_nothing_is_said_of_what_was_never_raised(state: State) -> None:
    quiet = replace(Standing(), state=state)
    assert word(quiet, "") == ("firing" if state == State.FIRING else "")
