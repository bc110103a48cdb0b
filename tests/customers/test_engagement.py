"""Engagement health: the arithmetic, in Python and in SQL, and the reckoning of whom something is new."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from customers.engagement import reckoning
from customers.engagement.health import Band, Figures, Trend
from customers.engagement.reckoning import Reckoned, reckon
from customers.models import Customer, EngagementDay, EngagementHealth, EngagementProgress, Interaction
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import transaction
from tests.cast import ADA, MALLORY
from tests.customers.conftest import bring, consent, customer, purchase

DAY = timedelta(days=1)


def figures(*ages: float, at: datetime, opt_outs: int = 0) -> Figures:
    """Of acts so many days ago, by the definition."""
    return Figures(
        at=at,
        last=at - min(ages) * DAY,
        lively=sum(0.5 ** (age / 30) for age in ages),
        steady=sum(0.5 ** (age / 90) for age in ages),
        opt_outs=opt_outs,
    )


def acted(*ages: float, number: str = "c-1", now: datetime, kind: str = "click") -> None:
    rows = [
        purchase(f"{number}-{kind}-{age}", number, kind=kind, occurredAt=clock.rfc3339(now - age * DAY)) for age in ages
    ]
    outcome = bring("interactions", *rows, now=now)
    assert not outcome.errors


def of(number: str = "c-1") -> EngagementHealth | None:
    with transaction():
        return EngagementHealth.objects.filter(customer__customer_id=number).first()


def reckoned(now: datetime, **more: Any) -> Reckoned:
    return reckon(now=now, budget=Budget(60), **more)


@pytest.mark.parametrize(
    ("ages", "opt_outs", "band", "trend"),
    [
        (tuple(range(0, 720, 7)), 0, Band.ENGAGED, Trend.STEADY),
        (tuple(range(0, 720, 7)), 1, Band.ENGAGED, Trend.STEADY),
        (tuple(range(60, 720, 7)), 0, Band.FADING, Trend.FALLING),
        ((200,), 0, Band.DORMANT, Trend.FALLING),
        ((0,), 0, Band.ENGAGED, Trend.RISING),
        ((0,), 9, Band.FADING, Trend.RISING),
        ((700,), 9, Band.DORMANT, Trend.FALLING),
    ],
)
def test_the_score_says_who_comes_often_lately_and_more(ages, opt_outs, band, trend) -> None:
    found = figures(*ages, at=clock.now(), opt_outs=opt_outs)
    assert (found.band, found.trend) == (band, trend)
    assert 0 <= found.score <= 100


def test_figures_fade_as_if_they_were_made_anew() -> None:
    now = clock.now()
    for passed in (0, 1, 29.5, 400):
        later, anew = figures(1, 20, 50, at=now).later(now + passed * DAY), figures(1, 20, 50, at=now)
        anew = figures(*(age + passed for age in (1, 20, 50)), at=now + passed * DAY)
        assert (later.lively, later.steady) == pytest.approx((anew.lively, anew.steady))
        assert later.score == anew.score
    assert figures(1, at=now).later(now + 365_000 * DAY).score == 0


def test_postgresql_scores_as_python_does(ada: None) -> None:
    rng, now = random.Random(7), clock.now()
    for n in range(60):
        customer(f"c-{n}")
        acted(*sorted({rng.uniform(0, 500) for _ in range(rng.randint(1, 30))}), number=f"c-{n}", now=now)
    reckoned(now)
    later = now + 33 * DAY
    with transaction():
        rows = list(EngagementHealth.objects.scored(later))
    assert len(rows) == 60
    for row in rows:
        assert row.score == row.figures().score
        assert row.score_now == row.figures().later(later).score


def test_a_customer_has_the_figures_of_what_they_did(ada: None) -> None:
    now = clock.now()
    for number in ("c-1", "c-2", "c-3"):
        customer(number)
    acted(0.5, 10, 100, now=now)
    acted(3, number="c-2", now=now, kind="impression")
    acted(800, number="c-3", now=now)
    bring("consents", consent("granted"), consent("withdrawn", recordedAt=clock.rfc3339(now - DAY)), now=now)
    assert reckoned(now) == Reckoned(whole=True, looked_at=3, reckoned=1, done=True)
    found = of()
    assert found is not None
    expected = figures(0.5, 10, 100, at=now, opt_outs=1)
    assert (found.lively, found.steady) == pytest.approx((expected.lively, expected.steady))
    assert (found.score, found.opt_outs) == (expected.score, 1)
    assert (found.last_act_at, found.period_start, found.period_end) == (now - DAY / 2, now - 100 * DAY, now)
    # What was shown to them, and what they did two years ago, says nothing.
    assert of("c-2") is None
    assert of("c-3") is None


def test_only_of_whom_something_is_new_is_reckoned_again_until_a_week_has_passed(ada: None, monkeypatch) -> None:
    now = clock.now()
    for number in ("c-1", "c-2", "c-3"):
        customer(number)
        acted(1, 40, number=number, now=now)
    reckoned(now)
    monkeypatch.setattr(reckoning, "OVERLAP", timedelta(0))
    with transaction():
        # As if that had been at this moment by every clock.
        EngagementProgress.objects.update(seen_until=clock.now())
    acted(0.2, number="c-2", now=now)
    bring("consents", consent("withdrawn", customer="c-3", recordedAt=clock.rfc3339(now - DAY)), now=now)
    later = now + timedelta(hours=20)
    assert reckoned(later) == Reckoned(whole=False, looked_at=2, reckoned=2, done=True)
    ends = {number: found.period_end for number in ("c-1", "c-2", "c-3") if (found := of(number))}
    assert ends == {"c-1": now, "c-2": later, "c-3": later}
    assert (third := of("c-3")) is not None
    assert third.opt_outs == 1
    # Nothing is new.
    assert reckoned(later + DAY).looked_at == 0
    assert reckoned(now + 8 * DAY) == Reckoned(whole=True, looked_at=3, reckoned=3, done=True)


def test_what_was_brought_in_late_counts_from_when_it_happened(ada: None) -> None:
    now = clock.now()
    customer()
    acted(1, now=now)
    reckoned(now)
    acted(60, 61, now=now)
    later = now + timedelta(hours=1)
    assert not reckoned(later).whole
    found, expected = of(), figures(1, 60, 61, at=now).later(later)
    assert found is not None
    assert (found.lively, found.steady) == pytest.approx((expected.lively, expected.steady))


@pytest.mark.parametrize("hours", [1, 12, 23])
def test_what_was_dated_ahead_counts_once_that_has_come(ada: None, without_overlap: None, hours: int) -> None:
    """Clocks of those who send differ by so much; by then nothing new says that it is there."""
    now = clock.now()
    customer()
    acted(5, -hours / 24, now=now)
    bring("consents", consent("withdrawn", recordedAt=clock.rfc3339(now + hours * timedelta(hours=1))), now=now)
    reckoned(now)
    as_if_that_had_been_now()
    assert (found := of()) is not None
    assert found.opt_outs == 0
    later = now + DAY

    assert reckoned(later) == Reckoned(whole=False, looked_at=1, reckoned=1, done=True)

    assert (found := of()) is not None
    expected = figures(6, 1 - hours / 24, at=later)
    assert (found.lively, found.steady) == pytest.approx((expected.lively, expected.steady))
    assert (found.opt_outs, found.last_act_at) == (1, clock.at(clock.rfc3339(now + hours * timedelta(hours=1))))


def as_if_that_had_been_now() -> None:
    """By every clock: rows have ids of the time they come in, whatever time a reckoning is told."""
    with transaction():
        EngagementProgress.objects.update(seen_until=clock.now())


@pytest.fixture
def without_overlap(monkeypatch) -> None:
    monkeypatch.setattr(reckoning, "OVERLAP", timedelta(0))


@pytest.mark.parametrize("seed", range(2))
def test_what_is_added_up_night_by_night_is_what_everything_amounts_to(
    ada: None, without_overlap: None, monkeypatch, seed: int
) -> None:
    monkeypatch.setattr(reckoning, "_SLICE", 5)
    rng, start, numbers = random.Random(seed), clock.now(), [f"c-{n}" for n in range(8)]
    acts: dict[str, list[datetime]] = {number: [] for number in numbers}
    outs = dict.fromkeys(numbers, 0)
    for number in numbers:
        customer(number)
    for step in range(5):
        now, rows, said = start + step * timedelta(hours=27), [], []
        touched = rng.sample(numbers, 6)
        for number in touched:
            # Since yesterday, of some time ago, of long ago, and of tomorrow.
            for n in range(rng.randint(0, 2)):
                moment = clock.at(clock.rfc3339(now - rng.uniform(0, rng.choice((1, 1, 5, 600, -1))) * DAY))
                acts[number].append(moment)
                rows.append(purchase(f"{number}-{step}-{n}", number, kind="visit", occurredAt=clock.rfc3339(moment)))
            if rng.random() < 0.4:
                rows.append(purchase(f"{number}-{step}", number, kind="impression", occurredAt=clock.rfc3339(now)))
            if rng.random() < 0.3:
                outs[number] = 1 - outs[number]
                status = "withdrawn" if outs[number] else "granted"
                said.append(consent(status, customer=number, recordedAt=clock.rfc3339(now)))
        changed = {row["customerId"] for row in rows + [{"customerId": s["customerId"]} for s in said]}
        bring("interactions", *rows, now=now)
        bring("consents", *said, now=now)
        assert reckoned(now).whole is (step == 0)
        as_if_that_had_been_now()
        for number in numbers:
            found, done = of(number), [moment for moment in acts[number] if moment <= now]
            assert (found is None) is (not done)
            if found is not None:
                expected = figures(*((now - moment) / DAY for moment in done), at=now, opt_outs=outs[number])
                if not step or number in changed:
                    assert (found.score, found.figures().at) == (expected.score, now)
                assert found.figures().later(now) == replace(
                    expected, lively=pytest.approx(expected.lively), steady=pytest.approx(expected.steady)
                )
                assert found.period_start == min(done)


def test_what_retention_took_stays_in_what_is_added_to_until_everybody_is_reckoned(
    ada: None, without_overlap: None
) -> None:
    now = clock.now()
    customer()
    acted(0.1, 40, now=now)
    reckoned(now)
    as_if_that_had_been_now()
    with transaction():
        Interaction.objects.filter(occurred_at__lt=now - DAY).delete()
    later = now + DAY
    acted(0.5, now=later)
    reckoned(later)
    assert (found := of()) is not None
    assert found.lively == pytest.approx(figures(0.5, 1.1, 41, at=later).lively)
    assert found.period_start == now - 40 * DAY
    reckoned(later, whole=True)
    assert (found := of()) is not None
    assert found.lively == pytest.approx(figures(0.5, 1.1, at=later).lively)
    # Nor is anything added to what the last reckoning of everybody found nothing of.
    with transaction():
        Interaction.objects.all().delete()
    reckoned(later + DAY, whole=True)
    as_if_that_had_been_now()
    acted(0.3, now=later + 2 * DAY)
    reckoned(later + 2 * DAY)
    assert (found := of()) is not None
    assert found.lively == pytest.approx(figures(0.3, at=later).lively)


def test_later_figures_that_somebody_makes_meanwhile_stay(ada: None, without_overlap: None) -> None:
    now = clock.now()
    customer()
    acted(1, now=now)
    reckoned(now)
    as_if_that_had_been_now()
    later = now + DAY
    acted(0.2, now=later)

    def elsewhere() -> Reckoned:
        with ADA.here():
            try:
                return reckoned(later)
            finally:
                connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction():
            EngagementHealth.objects.update(lively=99, period_end=later + DAY / 2)
            going = pool.submit(elsewhere)
            with pytest.raises(TimeoutError):
                going.result(timeout=0.5)
        assert going.result(timeout=20) == Reckoned(whole=False, looked_at=1, reckoned=0, done=True)
    assert (found := of()) is not None
    assert (found.lively, found.period_end) == (99, later + DAY / 2)


def test_days_are_summed_up_and_the_last_reckoning_of_a_day_counts(ada: None) -> None:
    now = clock.at("2026-02-01T03:15:00Z")
    assert reckoned(now).done
    with transaction():
        assert EngagementDay.objects.get().customers == 0
    for number, age in (("c-1", 0.1), ("c-2", 45), ("c-3", 300)):
        customer(number)
        acted(age, number=number, now=now)
    reckoned(now + timedelta(hours=1), whole=True)
    reckoned(now + DAY, whole=True)
    with transaction():
        first, second = EngagementDay.objects.order_by("day")
    assert (first.customers, first.engaged, first.fading, first.dormant) == (3, 1, 1, 1)
    assert (str(first.day), str(second.day)) == ("2026-02-01", "2026-02-02")
    assert 0 < second.average < first.average


def test_what_does_not_fit_is_gone_on_with(ada: None, monkeypatch) -> None:
    monkeypatch.setattr(reckoning, "_SLICE", 2)
    now = clock.now()
    for n in range(5):
        customer(f"c-{n}")
        acted(n + 1, number=f"c-{n}", now=now)
    turns = [reckon(now=now + n * timedelta(minutes=1), budget=Budget(0)) for n in range(4)]
    assert [(turn.looked_at, turn.done) for turn in turns] == [(2, False), (2, False), (1, False), (0, True)]
    with transaction():
        assert EngagementHealth.objects.count() == 5
        progress = EngagementProgress.objects.get()
        # What came in the meantime came after the first turn.
        assert (progress.seen_until, progress.position) == (now, None)


def test_a_clock_that_was_set_back_is_no_reason_to_miss_anybody(ada: None) -> None:
    now = clock.now()
    customer()
    acted(40, now=now)
    reckoned(now)
    assert reckoned(now - 30 * DAY) == Reckoned(whole=True, looked_at=1, reckoned=0, done=True)
    assert (found := of()) is not None
    assert found.period_end == now


def test_tenants_are_apart(db: str) -> None:
    now = clock.now()
    for who, ages in ((ADA, (1,)), (MALLORY, (100, 200))):
        with who.here():
            customer()
            acted(*ages, now=now)
            reckoned(now)
    for who, ages in ((ADA, (1,)), (MALLORY, (100, 200))):
        with who.here():
            assert (found := of()) is not None
            assert found.score == figures(*ages, at=now).score


@pytest.mark.parametrize("whole", [True, False])
def test_whoever_is_being_erased_meanwhile_is_waited_for_and_left_out(
    ada: None, without_overlap: None, whole: bool
) -> None:
    now = clock.now()
    for number in ("c-1", "c-2"):
        customer(number)
        acted(1, number=number, now=now)
    if not whole:
        reckoned(now)
        as_if_that_had_been_now()
        now += DAY
        for number in ("c-1", "c-2"):
            acted(0.5, number=number, now=now)

    def elsewhere() -> Reckoned:
        with ADA.here():
            try:
                return reckoned(now)
            finally:
                connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction():
            gone = Customer.objects.select_for_update().get(customer_id="c-1")
            going = pool.submit(elsewhere)
            with pytest.raises(TimeoutError):
                going.result(timeout=0.5)
            for model in (Interaction, EngagementHealth):
                model.objects.filter(customer=gone).delete()
            gone.delete()
        done = going.result(timeout=20)
        assert (done.whole, done.reckoned) == (whole, 1)
    with transaction():
        assert EngagementHealth.objects.get().customer.customer_id == "c-2"
