"""Versions that are worse, and versions that were made of somebody who was erased since."""

from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from compliance.alerting import metrics
from compliance.alerting.metrics import Asked
from customers import returns
from customers.models import Customer, PropensityVersion, RetrainRun, RetrainSchedule
from customers.models.propensity import RetrainState
from customers.propensity import schedules, serving, training, versions
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ADA
from tests.customers.propensity.world import DAY, OFFER, mislead, plant, retrained, schedule

pytestmark = pytest.mark.usefixtures("ada")


def served() -> int | None:
    with transaction():
        found = serving.served(OFFER)
        return found.number if found else None


def version(number: int) -> PropensityVersion:
    with transaction():
        return PropensityVersion.objects.select_related("schedule").get(number=number)


def erase(who: Customer, now: datetime) -> None:
    """What is left of an erasure: see dsar."""
    with transaction():
        returns.shut_out(who, now=now)


def due(now: datetime) -> str:
    with transaction():
        said = schedules.due(RetrainSchedule.objects.get(), now=now)
    return said.why if said.is_due else ""


def stale_models() -> float | None:
    """The figure that alert rules watch."""
    now = clock.now()
    with transaction():
        return metrics.get("models_stale").read(Asked(now=now, since=now))


def worse() -> tuple[datetime, list[Customer]]:
    """A version that is served, and more to learn, which misleads."""
    now = clock.now()
    customers = plant(now)
    schedule(now)
    assert retrained(now).state == RetrainState.SERVED
    mislead(now)
    return now, customers


def test_a_worse_version_is_kept_as_a_candidate_until_somebody_takes_it() -> None:
    now, _ = worse()
    run = retrained(now)
    assert (run.state, run.version_number, served()) == (RetrainState.CANDIDATE, 2, 1)
    assert run.reason.startswith("worse: log loss ")
    assert version(2).verdict == run.reason
    assert not due(clock.now())
    with transaction():
        versions.serve(version=version(2), reason="what it learnt of is true now", actor=ADA.actor, now=now)
    assert served() == 2
    # Against itself, the next is not worse.
    assert (retrained(now).state, served()) == (RetrainState.SERVED, 3)


def test_a_stale_version_serves_until_another_is_not_worse_and_no_longer_than_a_month() -> None:
    assert stale_models() is None
    _, customers = worse()
    assert stale_models() == 0
    erased = clock.now()
    erase(customers[0], erased)
    assert stale_models() == 1
    over = erased + versions.LONGEST_STALE
    with transaction():
        assert versions.stale_since(version(1)) == erased
    # Tried every night, whatever the schedule's days.
    for number, night in ((2, erased), (3, over - DAY)):
        with clock.freeze(night):
            assert due(night) == versions.STALE
            run = retrained(night)
            assert (run.state, run.version_number, served()) == (RetrainState.CANDIDATE, number, 1)
            assert f"version 1 is stale, and serves until {over.date()} at most" in run.reason
    with clock.freeze(over):
        # A month is over: nobody is scored by it, nor does anybody go back to it.
        assert (served(), stale_models()) == (None, 1)
        with transaction():
            with pytest.raises(versions.StaleTooLong):
                versions.serve(version=version(1), reason="it was better", actor=ADA.actor, now=over)
            assert RetrainSchedule.objects.get().served.number == 1
        run = retrained(over)
        assert (run.state, run.version_number, served()) == (RetrainState.SERVED, 4, 4)
        assert run.reason.startswith("in place of version 1, stale for too long, though worse: log loss")
        assert stale_models() == 0
        assert not due(over)
        with transaction(), pytest.raises(versions.StaleTooLong):
            versions.serve(version=version(1), reason="it was better", actor=ADA.actor, now=over)
        # Not of those who were erased: the candidates are fit.
        with transaction():
            versions.serve(version=version(2), reason="an older one", actor=ADA.actor, now=over)
        assert served() == 2


def test_an_erasure_that_began_before_a_model_was_made_and_ends_after_makes_it_stale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = clock.now()
    customers = plant(now, people=40)
    schedule(now)
    compare = training.compare

    def late(*given: Any, **more: Any) -> tuple[bool, str]:
        erase(customers[0], now - DAY)
        return compare(*given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(training, "compare", late)
        assert retrained(now).state == RetrainState.SERVED
    made = version(1)
    with transaction():
        assert versions.stale_since(made) == made.as_of
    assert stale_models() == 1
    assert due(clock.now()) == versions.STALE
    assert retrained(now).version_number == 2
    with transaction():
        assert not versions.is_stale(PropensityVersion.objects.get(number=2))


def test_a_young_version_is_served_without_counting_erasures() -> None:
    now = clock.now()
    plant(now, people=25)
    schedule(now)
    retrained(now)
    with transaction(), CaptureQueriesContext(connection) as asked:
        assert serving.served(OFFER) is not None
    assert not [query["sql"] for query in asked if "customers_erasedsubject" in query["sql"]]


def test_a_stale_version_can_be_gone_back_to_until_its_month_is_over() -> None:
    now = clock.now()
    customers = plant(now, people=40)
    schedule(now)
    retrained(now)
    erased = clock.now()
    erase(customers[0], erased)
    assert (retrained(now).state, served()) == (RetrainState.SERVED, 2)
    assert not due(clock.now())
    with transaction():
        versions.serve(version=version(1), reason="calls were counted twice", actor=ADA.actor, now=clock.now())
    assert (served(), due(clock.now())) == (1, versions.STALE)
    with clock.freeze(erased + versions.LONGEST_STALE):
        assert served() is None


def test_one_that_was_dropped_meanwhile_is_not_gone_back_to() -> None:
    now = clock.now()
    plant(now, people=25)
    schedule(now, keep=1, tolerance=1)
    retrained(now)
    first = version(1)
    for _ in range(2):
        retrained(now)
    with transaction(), pytest.raises(versions.VersionGone):
        versions.serve(version=first, reason="it was better", actor=ADA.actor, now=now)
    assert served() == 3


def test_one_that_cannot_be_made_anew_is_served_no_longer_than_a_month_either() -> None:
    now = clock.now()
    customers = plant(now, people=25)
    schedule(now)
    retrained(now)
    for who in customers[:10]:
        erase(who, clock.now())
    assert retrained(now).state == RetrainState.NOT_TRAINED
    assert served() == 1
    with clock.freeze(clock.now() + versions.LONGEST_STALE):
        assert served() is None
        assert due(clock.now()) == versions.STALE
    with transaction():
        assert RetrainRun.objects.count() == 2
