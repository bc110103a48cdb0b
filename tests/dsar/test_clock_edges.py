"""Clocks at midnight, when clocks change, on 29 February, in far zones; and whatever happens to them, in any order."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsar import deadlines
from dsar.deadlines import LAWS, ClockRefused, Ground, PauseRefused, Right, clock_for, end_of, extend, pause, resume
from kaireon.lib.clock import NaiveMoment, at

BERLIN, KIRITIMATI, PAGO = (ZoneInfo(name) for name in ("Europe/Berlin", "Pacific/Kiritimati", "Pacific/Pago_Pago"))
NEW_YORK, ZULU = ZoneInfo("America/New_York"), ZoneInfo("UTC")
MOMENTS = st.datetimes(datetime(2015, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds must be naive
ZONES = st.sampled_from([BERLIN, KIRITIMATI, PAGO, NEW_YORK, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Kolkata")])
HOLIDAYS = st.frozensets(st.dates(date(2015, 1, 1), date(2041, 1, 1)), max_size=20)
EVENTS = st.lists(
    st.tuples(st.sampled_from(["extend", "resume", *Ground]), st.integers(0, 40), st.integers(0, 86399)), max_size=8
)


@given(MOMENTS, ZONES, HOLIDAYS, st.booleans(), st.sampled_from(sorted(LAWS)), st.sampled_from(list(Right)), EVENTS)
def test_a_date_moves_later_for_a_recorded_lawful_reason_only(
    received, zone, holidays, roll, regulation, right, events
):
    clock = begun = clock_for(regulation, received, zone, right=right, holidays=holidays, roll=roll)
    now = received
    for name, days, seconds in events:
        now += timedelta(days=days, seconds=seconds)
        before = clock
        try:
            if name == "extend":
                clock = extend(clock, now, "Complex.")
            elif name == "resume":
                clock = resume(clock, now)
            else:
                clock = pause(clock, now, Ground(name), "Asked.")
        except ClockRefused as error:
            cited = error.article in str(error)
        else:
            cited = True
        assert cited
        lawful = clock.extension is not None or bool(clock.pauses)
        assert clock.due == begun.due
        assert lawful or clock.deadline == begun.due
        assert (clock.deadline is None) == (clock.paused is not None)
        # What was late stays late: nothing revives a time that has run out.
        assert not (not before.in_time(now) and clock.in_time(now))
        assert {p.ground for p in clock.pauses} <= {g for g in Ground if clock.law.pause_rule(g, right)}
        if clock.deadline is not None:
            assert clock.extension is not None or not clock.extended_due or clock.deadline <= clock.extended_due
            assert not roll or (clock.deadline.weekday() < 5 and clock.deadline not in holidays)
        # What is kept in the database gives the same clock again.
        again = clock_for(regulation, received, zone, right=right, holidays=holidays, roll=roll)
        assert deadlines.restored(again, extension=clock.extension, pauses=clock.pauses) == clock


@given(MOMENTS, st.integers(0, 20), st.integers(0, 20))
def test_a_longer_wait_never_ends_earlier(received, asked, waited):
    begun = clock_for("uk_gdpr", received, BERLIN)
    for ground in Ground:
        standing = pause(begun, received + timedelta(days=asked), ground, "Asked.")
        came = received + timedelta(days=asked + waited)
        shorter, longer = resume(standing, came), resume(standing, came + timedelta(days=1))
        assert shorter.deadline <= longer.deadline
        assert begun.due <= longer.deadline


def test_a_second_before_and_after_midnight_are_two_days():
    before, after = (
        datetime(2026, 3, 31, 21, 59, 59 + n, tzinfo=UTC) if n == 0 else datetime(2026, 3, 31, 22, tzinfo=UTC)
        for n in (0, 1)
    )

    assert clock_for("gdpr", before, BERLIN).due == date(2026, 4, 30)
    assert clock_for("gdpr", after, BERLIN).due == date(2026, 5, 1)


@pytest.mark.parametrize(
    ("received", "due", "end"),
    [
        # Summer time began in between, and on the day itself; then ended.
        ("2026-02-28T12:00", date(2026, 3, 28), "2026-03-28T23:59:59+01:00"),
        ("2026-02-27T23:30", date(2026, 3, 28), "2026-03-28T23:59:59+01:00"),
        ("2026-03-01T12:00", date(2026, 4, 1), "2026-04-01T23:59:59+02:00"),
        ("2026-09-25T12:00", date(2026, 10, 25), "2026-10-25T23:59:59+01:00"),
        ("2026-03-29T00:30", date(2026, 4, 29), "2026-04-29T23:59:59+02:00"),
    ],
)
def test_days_are_days_when_clocks_change(received, due, end):
    clock = clock_for("gdpr", at(received), BERLIN)

    assert clock.due == due
    assert end_of(due, BERLIN).isoformat() == end
    last = end_of(due, BERLIN).astimezone(UTC)
    assert clock.in_time(last)
    assert not clock.in_time(last + timedelta(seconds=1))


def test_a_pause_over_the_change_of_clocks_counts_days_and_not_hours():
    clock = clock_for("gdpr", at("2026-03-10T12:00"), BERLIN)
    # 23:30 on the 28th to 00:30 on the 30th: two midnights in 24 hours, of which one was skipped.
    standing = pause(clock, datetime(2026, 3, 28, 23, 30, tzinfo=BERLIN), Ground.IDENTITY, "Asked.")

    assert resume(standing, datetime(2026, 3, 30, 0, 30, tzinfo=BERLIN)).deadline == clock.due + timedelta(days=2)


def test_the_29th_of_february_counts_where_there_is_one():
    assert clock_for("gdpr", at("2028-01-31T12:00"), ZULU).due == date(2028, 2, 29)
    assert clock_for("gdpr", at("2028-02-29T12:00"), ZULU).due == date(2028, 3, 29)
    assert clock_for("gdpr", at("2027-11-30T12:00"), ZULU).extended_due == date(2028, 2, 29)
    assert clock_for("ccpa", at("2028-01-15T12:00"), ZULU).due == date(2028, 2, 29)
    standing = pause(clock_for("uk_gdpr", at("2028-01-20T12:00"), ZULU), at("2028-01-25T12:00"), Ground.FEE, "Asked.")
    assert resume(standing, at("2028-02-29T12:00")).deadline == date(2028, 3, 29)
    assert resume(standing, at("2028-01-30T12:00")).deadline == date(2028, 2, 29)


def test_one_moment_is_another_day_on_the_other_side_of_the_world():
    received = at("2026-03-31T10:30")

    assert clock_for("gdpr", received, KIRITIMATI).due == date(2026, 5, 1)
    assert clock_for("gdpr", received, PAGO).due == date(2026, 4, 30)


def test_two_pauses_that_meet_on_a_day_leave_it_out_once():
    clock = clock_for("uk_gdpr", at("2026-03-02T12:00"), ZULU)
    for asked, came in (("2026-03-05T09:00", "2026-03-06T10:00"), ("2026-03-06T11:00", "2026-03-07T10:00")):
        clock = resume(pause(clock, at(asked), Ground.CLARIFICATION, "Asked."), at(came))

    assert clock.deadline == date(2026, 4, 5)


def test_a_pause_on_the_last_day_leaves_a_day_and_one_a_second_later_is_too_late():
    clock = clock_for("uk_gdpr", at("2026-03-02T12:00"), ZULU)
    standing = pause(clock, at("2026-04-02T23:59"), Ground.CLARIFICATION, "Asked.")

    assert standing.deadline is None
    assert standing.in_time(at("2027-01-01T00:00"))
    assert standing.days_left(at("2027-01-01T00:00")) is None
    assert resume(standing, at("2026-05-20T12:00")).deadline == date(2026, 5, 21)
    with pytest.raises(PauseRefused, match="ran out"):
        pause(clock, at("2026-04-03T00:00"), Ground.CLARIFICATION, "Asked.")


def test_what_makes_no_sense_is_refused():
    clock = clock_for("uk_gdpr", at("2026-03-02T12:00"), ZULU)
    standing = pause(clock, at("2026-03-05T12:00"), Ground.FEE, "Asked.")
    ran = resume(standing, at("2026-03-08T12:00"))

    with pytest.raises(PauseRefused, match="demands a reason"):
        pause(clock, at("2026-03-05T12:00"), Ground.FEE, " \n")
    with pytest.raises(PauseRefused, match="before the request"):
        pause(clock, at("2026-03-01T12:00"), Ground.FEE, "Asked.")
    with pytest.raises(PauseRefused, match="before it last ran"):
        pause(ran, at("2026-03-07T12:00"), Ground.FEE, "Asked.")
    with pytest.raises(PauseRefused, match="stands already"):
        pause(standing, at("2026-03-06T12:00"), Ground.IDENTITY, "Asked.")
    with pytest.raises(PauseRefused, match="before it was"):
        resume(standing, at("2026-03-04T12:00"))
    with pytest.raises(PauseRefused, match="not standing"):
        resume(ran, at("2026-03-09T12:00"))
    with pytest.raises(NaiveMoment):
        pause(clock, datetime(2026, 3, 5), Ground.FEE, "Asked.")  # noqa: DTZ001 - the point of the test
