"""Schedules of retrains: when one is due, and which cannot be."""

import pytest

from customers.models import RetrainSchedule
from customers.propensity import schedules
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.customers.propensity.world import (
    DAY,
    one,
    plant,
    retrained,
    schedule,
)


def test_a_schedule_is_due_when_its_row_says_so(ada: None) -> None:
    now = clock.now()
    row = schedule(now, every_days=7, min_interactions=3)

    def due(at) -> tuple[bool, str]:
        with transaction():
            said = schedules.due(RetrainSchedule.objects.get(pk=row.pk), now=at)
        return said.is_due, said.why

    assert due(now) == (True, "never tried")
    customers = plant(now, people=25)
    retrained(now)
    moment = clock.now()
    assert due(moment) == (False, "too early")
    assert due(moment + 7 * DAY) == (False, "too little new: 0 of 3 interactions")
    for n in range(3):
        one(customers[n], "visit", now)
    assert due(moment + 7 * DAY) == (True, "its time has come")
    assert due(moment - 400 * DAY) == (True, "its time has come")
    with transaction():
        schedules.change(row, given={"is_enabled": False})
    assert due(moment + 7 * DAY) == (False, "switched off")
    with transaction():
        schedules.change(row, given={"is_enabled": True})
        schedules.queue(row, slot="now", cause="", now=now)
    assert due(moment + 7 * DAY) == (False, "a retrain is under way")


@pytest.mark.parametrize(
    "given", [{"every_days": 0}, {"window_days": 13}, {"tolerance": -0.1}, {"keep": None}, {"colour": 1}]
)
def test_a_schedule_that_cannot_be_is_refused_by_name(ada: None, given) -> None:
    with pytest.raises(schedules.ScheduleRefused) as refused:
        schedule(clock.now(), **given)
    assert refused.value.field == next(iter(given))
    schedule(clock.now())
    with pytest.raises(schedules.ScheduleRefused):
        schedule(clock.now())
