"""When a report is due, against tables worked out by hand: clocks that change, months that end, downtime, and doubt."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from compliance.reporting import schedule
from compliance.reporting.schedule import MOST_CAUGHT_UP, MOST_SKIPPED, Cadence, Slot, Span, Terms


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def daily(zone: str, at: str = "08:00", **more: Any) -> Terms:
    given = {"span": Span.DAY, "cadence": Cadence.DAILY, **more}
    return Terms(at=time.fromisoformat(at), zone=ZoneInfo(zone), **given)


def weekly(zone: str, weekday: int, at: str = "08:00") -> Terms:
    return daily(zone, at, span=Span.WEEK, cadence=Cadence.WEEKLY, weekday=weekday)


def monthly(zone: str, day: int, at: str = "08:00", span: Span = Span.MONTH) -> Terms:
    return daily(zone, at, span=span, cadence=Cadence.MONTHLY, day=day)


def told(terms: Terms, after: str, until: str) -> list[str]:
    """`2026-03-29T01:30 2026-03-28..2026-03-29` of each slot: when it is due (UTC), the days it covers, half open."""
    found = schedule.slots(terms, after=utc(after), until=utc(until))
    return [f"{s.at:%Y-%m-%dT%H:%M} {s.first}..{s.last + timedelta(days=1)}" for s in found]


# Each as the zone database has it: the clock's jump is named beside.
DUE = [
    # 29 March 2026, 02:00 CET becomes 03:00 CEST: 02:30 is not there, and is 03:30.
    (
        daily("Europe/Berlin", "02:30"),
        "2026-03-28T00:00",
        "2026-03-30T12:00",
        [
            "2026-03-28T01:30 2026-03-27..2026-03-28",
            "2026-03-29T01:30 2026-03-28..2026-03-29",
            "2026-03-30T00:30 2026-03-29..2026-03-30",
        ],
    ),
    # 25 October 2026, 03:00 CEST becomes 02:00 CET: 02:30 comes twice, the first counts.
    (
        daily("Europe/Berlin", "02:30"),
        "2026-10-24T12:00",
        "2026-10-26T12:00",
        ["2026-10-25T00:30 2026-10-24..2026-10-25", "2026-10-26T01:30 2026-10-25..2026-10-26"],
    ),
    # 8 March 2026, 02:00 EST becomes 03:00 EDT.
    (
        daily("America/New_York", "02:15"),
        "2026-03-07T12:00",
        "2026-03-09T12:00",
        ["2026-03-08T07:15 2026-03-07..2026-03-08", "2026-03-09T06:15 2026-03-08..2026-03-09"],
    ),
    # 1 November 2026, 02:00 EDT becomes 01:00 EST.
    (
        daily("America/New_York", "01:30"),
        "2026-10-31T12:00",
        "2026-11-02T12:00",
        ["2026-11-01T05:30 2026-10-31..2026-11-01", "2026-11-02T06:30 2026-11-01..2026-11-02"],
    ),
    # 4 October 2026, 02:00 becomes 02:30: 02:15 is not there, and is 02:45. Half an hour is left out, not one.
    (
        daily("Australia/Lord_Howe", "02:15"),
        "2026-10-02T20:00",
        "2026-10-04T20:00",
        ["2026-10-03T15:45 2026-10-03..2026-10-04", "2026-10-04T15:15 2026-10-04..2026-10-05"],
    ),
    # 5 April 2026, 02:00 becomes 01:30: 01:45 comes twice, the first counts.
    (
        daily("Australia/Lord_Howe", "01:45"),
        "2026-04-03T20:00",
        "2026-04-05T20:00",
        ["2026-04-04T14:45 2026-04-04..2026-04-05", "2026-04-05T15:15 2026-04-05..2026-04-06"],
    ),
    # Half an hour off, and never changed.
    (
        daily("Asia/Kolkata", "00:00"),
        "2026-03-28T00:00",
        "2026-03-30T00:00",
        ["2026-03-28T18:30 2026-03-28..2026-03-29", "2026-03-29T18:30 2026-03-29..2026-03-30"],
    ),
    # 30 December 2011 was left out: it has no hours to report on.
    (
        daily("Pacific/Apia"),
        "2011-12-29T00:00",
        "2011-12-31T12:00",
        ["2011-12-29T18:00 2011-12-28..2011-12-29", "2011-12-30T18:00 2011-12-29..2011-12-30"],
    ),
    # Weeks are of ISO, whatever day they are told on.
    (
        weekly("Europe/Berlin", 1),
        "2026-10-19T00:00",
        "2026-11-02T12:00",
        [
            "2026-10-19T06:00 2026-10-12..2026-10-19",
            "2026-10-26T07:00 2026-10-19..2026-10-26",
            "2026-11-02T07:00 2026-10-26..2026-11-02",
        ],
    ),
    (weekly("Asia/Kolkata", 7), "2026-01-03T00:00", "2026-01-05T00:00", ["2026-01-04T02:30 2025-12-22..2025-12-29"]),
    # 31 is the last day of each month, in a leap year too.
    (
        monthly("UTC", 31),
        "2028-01-30T00:00",
        "2028-04-30T12:00",
        [
            "2028-01-31T08:00 2027-12-01..2028-01-01",
            "2028-02-29T08:00 2028-01-01..2028-02-01",
            "2028-03-31T08:00 2028-02-01..2028-03-01",
            "2028-04-30T08:00 2028-03-01..2028-04-01",
        ],
    ),
    (monthly("UTC", 29), "2027-02-01T00:00", "2027-03-01T00:00", ["2027-02-28T08:00 2027-01-01..2027-02-01"]),
    (monthly("UTC", 29), "2028-02-01T00:00", "2028-03-01T00:00", ["2028-02-29T08:00 2028-01-01..2028-02-01"]),
    # Every month says which quarter ended; each is told once.
    (
        monthly("America/New_York", 5, span=Span.QUARTER),
        "2025-12-06T00:00",
        "2026-07-06T00:00",
        [
            "2026-01-05T13:00 2025-10-01..2026-01-01",
            "2026-04-05T12:00 2026-01-01..2026-04-01",
            "2026-07-05T12:00 2026-04-01..2026-07-01",
        ],
    ),
    # And every day which month did. One that is made in the middle of a month waits for its end.
    (
        daily("Europe/Berlin", span=Span.MONTH),
        "2026-02-14T00:00",
        "2026-04-15T00:00",
        ["2026-03-01T07:00 2026-02-01..2026-03-01", "2026-04-01T06:00 2026-03-01..2026-04-01"],
    ),
    # The moment itself belongs to those who look then, and to nobody who looked before.
    (daily("UTC"), "2026-05-01T08:00", "2026-05-02T08:00", ["2026-05-02T08:00 2026-05-01..2026-05-02"]),
    (daily("UTC"), "2026-05-01T08:00", "2026-05-02T07:59", []),
    (daily("UTC"), "2026-05-02T08:00", "2026-05-01T08:00", []),
]


@pytest.mark.parametrize(("terms", "after", "until", "slots"), DUE)
def test_it_is_due_when_the_wall_clock_says_so(terms: Terms, after: str, until: str, slots: list[str]) -> None:
    assert told(terms, after, until) == slots


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
@pytest.mark.parametrize("at", ["00:00", "01:45", "02:15", "23:59"])
@pytest.mark.parametrize("span", list(Span))
def test_periods_follow_each_other_without_gap_or_overlap(zone: str, at: str, span: Span) -> None:
    terms = daily(zone, at, span=span)
    found = list(schedule.slots(terms, after=utc("2026-01-01T00:00"), until=utc("2027-12-31T00:00")))
    for before, after in pairwise(found):
        assert before.last + timedelta(days=1) == after.first
        assert before.at < after.at
    for slot in found:
        # What it covers was over when it was due.
        start, end = schedule.moments(slot.first, slot.last, terms.zone)
        assert start < end <= slot.at


def test_a_day_on_which_clocks_change_has_its_own_length() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    lengths = {
        day: schedule.midnight(day + timedelta(days=1), berlin) - schedule.midnight(day, berlin)
        for day in (date(2026, 3, 28), date(2026, 3, 29), date(2026, 10, 25))
    }
    assert [length // timedelta(hours=1) for length in lengths.values()] == [24, 23, 25]
    # Where midnight itself is left out the day begins at the first moment after: 8 March 2026, 01:00 in Havana.
    assert schedule.midnight(date(2026, 3, 8), ZoneInfo("America/Havana")) == utc("2026-03-08T05:00")


def test_however_it_is_looked_at_each_slot_is_found_once() -> None:
    terms = daily("Europe/Berlin", "02:30")
    begin, end = utc("2026-03-20T00:00"), utc("2026-04-05T00:00")
    whole = list(schedule.slots(terms, after=begin, until=end))
    for step in (timedelta(minutes=30), timedelta(hours=7), timedelta(days=3)):
        pieces: list[Slot] = []
        at = begin
        while at < end:
            pieces += schedule.slots(terms, after=at, until=min(at + step, end))
            at += step
        assert pieces == whole
    assert len(whole) == 16


class TestDowntime:
    """A daily report that was due last on 1 June."""

    terms = daily("UTC")
    last = utc("2026-06-01T08:00")

    @pytest.mark.parametrize(
        ("days", "run", "skipped"),
        [
            (0, 0, 0),
            (1, 1, 0),
            (MOST_CAUGHT_UP, MOST_CAUGHT_UP, 0),
            (MOST_CAUGHT_UP + 1, MOST_CAUGHT_UP, 1),
            (100, MOST_CAUGHT_UP, 100 - MOST_CAUGHT_UP),
            (3650, MOST_CAUGHT_UP, MOST_SKIPPED),
        ],
    )
    def test_the_newest_are_made_up_for_and_the_rest_is_skipped(self, days: int, run: int, skipped: int) -> None:
        now = self.last + timedelta(days=days, minutes=1)
        found = schedule.due(self.terms, after=self.last, now=now)
        assert (len(found.run), len(found.skipped)) == (run, skipped)
        both = (*found.skipped, *found.run)
        assert [slot.at for slot in both] == sorted(slot.at for slot in both)
        if run:
            assert found.run[-1].at == self.last + timedelta(days=days)

    def test_what_is_done_is_not_due_again_wherever_the_clock_was_set(self) -> None:
        now = self.last + timedelta(days=5)
        done = {slot.period for slot in schedule.due(self.terms, after=self.last, now=now).run}
        for set_back in (timedelta(0), timedelta(hours=1), timedelta(days=2), timedelta(days=30)):
            again = schedule.due(self.terms, after=self.last - set_back, now=now - set_back, done=done)
            assert done.isdisjoint(slot.period for slot in again.run)

    def test_another_zone_does_not_bring_a_day_again(self) -> None:
        now = self.last + timedelta(days=2)
        done = {slot.period for slot in schedule.due(self.terms, after=self.last, now=now).run}
        moved = daily("Pacific/Auckland")
        found = schedule.due(moved, after=self.last, now=now, done=done)
        assert done.isdisjoint(slot.period for slot in found.run)


def test_the_next_one_is_always_to_be_had() -> None:
    for terms in (daily("UTC"), monthly("UTC", 31, span=Span.QUARTER), weekly("Asia/Kolkata", 3)):
        slot = schedule.following(terms, after=utc("2026-01-06T00:00"))
        assert slot.at > utc("2026-01-06T00:00")
    assert schedule.newest(daily("UTC", span=Span.QUARTER), now=utc("2026-05-05T00:00")) == (
        date(2026, 1, 1),
        date(2026, 3, 31),
    )
