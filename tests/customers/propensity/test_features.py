"""What a model looks at: the past before a moment, and nothing else."""

import math
from itertools import pairwise

from customers.models.interaction import InteractionKind
from customers.propensity import features
from customers.propensity.features import DAY, NUMERIC, Event, Past

AT = 1_790_000_000.0
OFFER = "o"


def made(*events: Event, until: float = AT + 30 * DAY, most: int = 20) -> list[features.Example]:
    told = sorted(events, key=lambda event: event.at)
    return list(features.examples(told, offer=OFFER, since=0, until=until, most=most))


def event(kind: str, days: float, offer: str = OFFER, channel: str = "email") -> Event:
    return Event(AT + days * DAY, kind, offer, channel)


def named(facts: list[float]) -> dict[str, float]:
    return dict(zip(NUMERIC, facts, strict=True))


def test_it_knows_every_kind_of_interaction() -> None:
    assert set(features.KINDS) == set(InteractionKind.values)


def test_nothing_that_comes_with_a_presentation_or_after_it_changes_what_is_known_before_it() -> None:
    before = [event("visit", -3, offer=""), event("dismissal", -2), event("purchase", -1, offer="other")]
    shown = event("impression", 0)
    [alone] = made(*before, shown)
    later = [event(kind, days) for kind in features.KINDS if kind != "impression" for days in (0, 0.001, 1, 20)]
    [among] = made(*before, shown, *later)
    assert among.facts == alone.facts
    assert (alone.accepted, among.accepted) == (False, True)
    known = named(alone.facts)
    assert known["count_visit"] == known["offer_rejected"] == known["others_accepted"] == math.log1p(1)
    assert known["offer_accepted"] == known["offer_presented"] == known["count_impression"] == 0
    assert known["days_since_last"] == math.log1p(1)


def test_an_answer_is_to_the_newest_presentation_and_in_time() -> None:
    shown = [event("impression", day) for day in (0, 2, 20)]
    assert [e.accepted for e in made(*shown, event("click", 3))] == [False, True, False]
    assert [e.accepted for e in made(*shown, event("conversion", 9.001))] == [False, False, False]
    assert [e.accepted for e in made(*shown, event("purchase", 9))] == [False, True, False]
    assert not any(e.accepted for e in made(*shown, event("click", 3, offer="other")))


def test_who_may_answer_still_is_no_example_yet() -> None:
    assert not made(event("impression", 0), until=AT + features.ANSWER - 1)
    assert len(made(event("impression", 0), until=AT + features.ANSWER)) == 1


def test_the_past_fades_after_its_time_and_nobody_counts_for_more_than_the_newest() -> None:
    long_ago = event("visit", -features.LOOK_BACK_DAYS)
    [example] = made(long_ago, event("impression", 0))
    assert named(example.facts)["nothing_before"] == 1
    assert named(example.facts)["count_visit"] == 0
    many = made(*(event("impression", day / 10) for day in range(50)), most=20)
    assert [a.at < b.at for a, b in pairwise(many)] == [True] * 19
    assert many[-1].at == AT + 4.9 * DAY


def test_the_time_of_day_and_week_are_utc() -> None:
    past = Past(OFFER)
    # Monday, 21 September 2026, 06:00 UTC.
    known = named(past.facts(1_789_970_400.0))
    assert (round(known["hour_sin"], 9), round(known["weekday_sin"], 9)) == (1, 0)
