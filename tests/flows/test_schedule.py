"""Schedules where clocks are changed: each slot once, none doubled, none lost."""

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from kaireon.flows import pipelines, schedule, scheduler
from kaireon.flows.crontab import CronInvalid, Crontab
from kaireon.flows.models import FlowRun, Pipeline, RunState, RunTrigger
from kaireon.flows.schedule import ScheduleInvalid
from kaireon.jobs.models import Job
from kaireon.lib.budget import Budget
from kaireon.lib.clock import at, freeze
from kaireon.tenancy.context import current, transaction
from tests.flows.conftest import begin, make, work

NOW = at("2026-01-01T00:00:00Z")
# Zone, the day on which an hour (or half of one) is left out, and the day on which it comes twice.
ZONES = {
    "Europe/Berlin": ((2026, 3, 29), (2026, 10, 25)),
    "America/New_York": ((2026, 3, 8), (2026, 11, 1)),
    "Australia/Lord_Howe": ((2026, 10, 4), (2026, 4, 5)),
}
STEPS = [
    {"name": "read", "node": "load_entity", "params": {"entity": "customers"}},
    {"name": "store", "node": "write_entity", "params": {"entity": "customers"}},
]


def day(zone: str, date: tuple[int, int, int]) -> tuple[datetime, datetime]:
    """The beginning and the end of a local day, in UTC."""
    first = datetime(*date, tzinfo=ZoneInfo(zone))
    return first.astimezone(UTC), (first + timedelta(days=1)).astimezone(UTC)


def shown(given: dict[str, object], zone: str, date: tuple[int, int, int]) -> list[str]:
    found = schedule.parse({**given, "timeZone": zone}, now=NOW)
    return [slot.astimezone(found.zone).strftime("%H:%M%z") for slot in found.between(*day(zone, date))]


@pytest.mark.parametrize(
    ("zone", "gap", "overlap"),
    [
        ("Europe/Berlin", ["03:30+0200"], ["02:30+0200"]),
        ("America/New_York", ["03:30-0400"], ["02:30-0500"]),
        ("Australia/Lord_Howe", ["02:30+1100"], ["02:30+1030"]),
    ],
)
def test_a_daily_time_comes_once_whatever_the_clocks_do(zone: str, gap: list[str], overlap: list[str]) -> None:
    for given in (
        {"cron": "30 2 * * *"},
        {"rrule": "FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "start": "2026-01-01T00:00:00"},
    ):
        assert shown(given, zone, ZONES[zone][0]) == gap
        assert shown(given, zone, ZONES[zone][1]) == overlap


@pytest.mark.parametrize("zone", ZONES)
def test_what_runs_oftener_than_hourly_follows_elapsed_time(zone: str) -> None:
    for date in ZONES[zone]:
        first, end = day(zone, date)
        minutes = (end - first) // timedelta(minutes=1)
        for given in ({"cron": "*/10 * * * *"}, {"rrule": "FREQ=MINUTELY;INTERVAL=10", "start": "2026-01-01T00:00:00"}):
            found = schedule.parse({**given, "timeZone": zone}, now=NOW)
            slots = list(found.between(first, end))
            assert slots == [first + timedelta(minutes=10) * n for n in range(minutes // 10)]


def test_two_ticks_at_once_start_a_slot_once(acme: str) -> None:
    with freeze(NOW):
        pipeline = make(STEPS, schedule_given={"cron": "0 * * * *"})
    now = NOW + timedelta(hours=1, seconds=5)
    assert scheduler.tick(now=now, budget=Budget(9)).started == 1
    with transaction():
        # As if the first one's end had been lost.
        Pipeline.objects.filter(pk=pipeline.pk).update(next_run_at=NOW + timedelta(hours=1))
    assert scheduler.tick(now=now, budget=Budget(9)).started == 0
    with transaction():
        assert FlowRun.objects.count() == Job.objects.count() == 1
        assert Pipeline.objects.get().next_run_at == NOW + timedelta(hours=2)


def test_a_slot_is_skipped_and_said_so_while_the_run_before_it_goes_on(acme: str) -> None:
    with freeze(NOW):
        pipeline = make(STEPS, schedule_given={"every": 60})
        begin(pipeline)
    done = scheduler.tick(now=NOW + timedelta(seconds=61), budget=Budget(9))
    assert (done.started, done.skipped) == (0, 1)
    with transaction():
        assert FlowRun.objects.get(state=RunState.SKIPPED).error == "overlap"


@pytest.mark.parametrize(("missed", "slots"), [("all", [1, 2, 3]), ("last", [3]), ("skip", [])])
def test_missed_slots_are_made_up_for_as_the_schedule_says(missed: str, slots: list[int]) -> None:
    found = schedule.parse({"cron": "0 * * * *", "missed": missed}, now=NOW)
    hours = [NOW + timedelta(hours=n) for n in range(5)]
    assert scheduler.due_slots(found, hours[1], NOW + timedelta(hours=3, minutes=30)) == (
        [hours[n] for n in slots],
        hours[4],
    )


def test_with_all_what_was_missed_is_run_one_after_the_other(acme: str) -> None:
    with freeze(NOW):
        pipeline = make(STEPS, schedule_given={"cron": "0 * * * *", "missed": "all"})
    late = NOW + timedelta(hours=3, minutes=10)
    assert scheduler.tick(now=late, budget=Budget(9)).as_dict() == {
        "started": 3,
        "skipped": 0,
        "resumed": 0,
        "cleared": 0,
    }
    # Two more ticks change nothing while the first is under way.
    for _ in range(2):
        assert scheduler.tick(now=late, budget=Budget(9)).resumed == 0
    with transaction():
        pipelines.change(
            pipeline,
            name="renamed meanwhile",
            definition={"steps": STEPS},
            schedule_given={"cron": "0 * * * *", "missed": "all"},
            actor=current().actor,
            now=late,
        )
    order = []
    for _ in range(3):
        with transaction():
            [run] = FlowRun.objects.open().exclude(job_ref=None)
        with freeze(late):
            order.append((run.slot, work(run).state))
    slots = [NOW + timedelta(hours=n) for n in (1, 2, 3)]
    # The first was begun as it was; those that waited run as the pipeline is by now.
    assert order == [(slots[0], RunState.FAILED), (slots[1], RunState.DONE), (slots[2], RunState.DONE)]
    with transaction():
        assert not FlowRun.objects.open().exists()


def test_a_run_that_waits_for_nobody_is_found_by_the_next_tick(acme: str) -> None:
    with freeze(NOW):
        pipeline = make(STEPS, schedule_given={"cron": "0 * * * *", "missed": "all"})
    with transaction():
        waiting = pipelines.line_up(pipeline, trigger=RunTrigger.SCHEDULE, slot=NOW, now=NOW)
    assert scheduler.tick(now=NOW, budget=Budget(9)).resumed == 1
    assert work(waiting).state == RunState.DONE


def test_a_schedule_that_went_bad_stops_no_other(acme: str) -> None:
    with freeze(NOW):
        bad, good = (make(STEPS, name=name, schedule_given={"cron": "0 * * * *"}) for name in ("bad", "good"))
    rule = {"rrule": "FREQ=HOURLY;BYMINUTE=60", "start": "2026-01-01T00:00:00", "timeZone": "UTC"}
    with transaction():
        Pipeline.objects.filter(pk=bad.pk).update(schedule=rule, next_run_at=NOW)
    done = scheduler.tick(now=NOW + timedelta(hours=1), budget=Budget(9))
    assert (done.started, done.errors) == (1, ["a schedule cannot be read any more"])
    with transaction():
        assert FlowRun.objects.get().pipeline_id == good.pk
        assert Pipeline.objects.get(pk=bad.pk).next_run_at is None


def test_of_an_outage_of_months_the_newest_slot_is_run() -> None:
    found = schedule.parse({"cron": "0 0 1 * *"}, now=NOW)
    first, now = at("2026-02-01T00:00:00Z"), at("2026-09-20T00:00:00Z")
    assert scheduler.due_slots(found, first, now) == ([at("2026-09-01T00:00:00Z")], at("2026-10-01T00:00:00Z"))


def test_a_disabled_pipeline_starts_nothing(acme: str) -> None:
    with freeze(NOW):
        pipeline = make(STEPS, schedule_given={"every": 60}, enabled=False)
    assert pipeline.next_run_at is None
    assert scheduler.tick(now=NOW + timedelta(days=1), budget=Budget(9)).started == 0
    with transaction(), pytest.raises(pipelines.PipelineDisabled):
        pipelines.start(pipeline, trigger="api", now=NOW)


def test_changing_something_else_loses_no_slot_that_is_due(acme: str) -> None:
    given = {"cron": "0 * * * *"}
    with freeze(NOW):
        pipeline = make(STEPS, schedule_given=given)
    with transaction():
        changed = pipelines.change(
            pipeline,
            name="other",
            definition={"steps": STEPS},
            schedule_given=given,
            actor=current().actor,
            now=NOW + timedelta(hours=3),
        )
    assert changed.next_run_at == NOW + timedelta(hours=1)


def test_next_five_are_five_and_later_than_now() -> None:
    found = schedule.parse({"rrule": "FREQ=WEEKLY;BYDAY=MO,FR;BYHOUR=6;BYMINUTE=0", "timeZone": "Asia/Tokyo"}, now=NOW)
    assert [f"{slot:%m-%d %H:%M}" for slot in found.next(NOW)] == [
        "01-01 21:00",
        "01-04 21:00",
        "01-08 21:00",
        "01-11 21:00",
        "01-15 21:00",
    ]
    assert schedule.parse(found.as_dict(), now=at("2026-09-09T09:09:00Z")).next(NOW) == found.next(NOW)


def test_a_rule_of_twenty_years_is_as_fast_as_a_young_one() -> None:
    found = schedule.parse({"rrule": "FREQ=MINUTELY;INTERVAL=7", "start": "2001-01-01T00:00:00"}, now=NOW)
    [first, second, *_] = found.next(at("2026-06-01T00:00:00Z"))
    assert (first - at("2001-01-01T00:00:00Z")) % timedelta(minutes=7) == timedelta(0)
    assert second - first == timedelta(minutes=7)


@pytest.mark.parametrize("zone", ZONES)
def test_minutes_that_do_not_fit_into_an_hour_keep_their_pace(zone: str) -> None:
    for date in ZONES[zone]:
        found = schedule.parse({"rrule": "FREQ=MINUTELY;INTERVAL=7", "timeZone": zone}, now=NOW)
        slots = list(found.between(*day(zone, date)))
        assert {b - a for a, b in itertools.pairwise(slots)} == {timedelta(minutes=7)}


@pytest.mark.parametrize("rule", ["FREQ=MINUTELY;INTERVAL=1440", "FREQ=MINUTELY;BYHOUR=1;BYMINUTE=45"])
@pytest.mark.parametrize("zone", ZONES)
def test_a_day_said_in_minutes_is_a_day(rule: str, zone: str) -> None:
    """Neither twice on the longer day nor lost on the shorter one."""
    for date in ZONES[zone]:
        assert len(shown({"rrule": rule, "start": "2026-01-01T01:45:00"}, zone, date)) == 1


def test_a_rule_ends_where_it_says() -> None:
    start = "2026-01-01T06:00:00"
    counted = schedule.parse({"rrule": "FREQ=DAILY;COUNT=3", "start": start}, now=NOW)
    assert len(counted.next(NOW, count=9)) == 3
    until = schedule.parse({"rrule": "FREQ=DAILY;UNTIL=20260104T060000Z", "start": start}, now=NOW)
    assert len(until.next(NOW, count=9)) == 4


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("0 0 13 * 5", ["01-02", "01-09", "01-13", "01-16", "01-23", "01-30"]),
        ("0 0 * * sun", ["01-04", "01-11", "01-18", "01-25"]),
        ("0 0 */10 jan 7", ["01-11"]),
        ("0 0 1,15-16 1-3/2 *", ["01-01", "01-15", "01-16"]),
    ],
)
def test_days_of_cron_are_those_of_cron(text: str, days: list[str]) -> None:
    found = Crontab.parse(text).times_from(NOW.replace(tzinfo=None), at("2026-02-01T00:00:00Z").replace(tzinfo=None))
    assert [f"{moment:%m-%d}" for moment in found] == days


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "60 * * * *", "* 24 * * *", "a * * * *", "*/0 * * * *", "5-1 * * * *", "0 0 31 2 *", "* * 0 * *"],
)
def test_what_is_no_cron_is_refused(text: str) -> None:
    with pytest.raises(CronInvalid):
        Crontab.parse(text)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ("0 0 * * *", ""),
        ({}, ""),
        ({"cron": "0 0 * * *", "every": 60}, ""),
        ({"cron": "0 0 * *"}, "cron"),
        ({"cron": 5}, "cron"),
        ({"cron": "0 0 * * *", "timeZone": "Mars/Olympus"}, "timeZone"),
        ({"cron": "0 0 * * *", "timeZone": "../etc/passwd"}, "timeZone"),
        ({"cron": "0 0 * * *", "timeZone": 3}, "timeZone"),
        ({"cron": "0 0 * * *", "missed": "some"}, "missed"),
        ({"cron": "0 0 * * *", "color": 1}, "color"),
        ({"every": 59}, "every"),
        ({"every": True}, "every"),
        ({"every": "60"}, "every"),
        ({"every": 60, "start": "yesterday"}, "start"),
        ({"rrule": "FREQ=SOMETIMES"}, "rrule"),
        ({"rrule": "BYDAY=MO"}, "rrule"),
        ({"rrule": "FREQ=SECONDLY"}, "rrule"),
        ({"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, "rrule"),
        ({"rrule": "FREQ=DAILY;COUNT=99999999"}, "rrule"),
        ({"rrule": "FREQ=DAILY;UNTIL=soon"}, "rrule"),
        ({"rrule": "FREQ=DAILY\nDTSTART=x"}, "rrule"),
        ({"rrule": "FREQ=DAILY;BYHOUR=25"}, "rrule"),
        # dateutil takes these and breaks when it is asked for their dates.
        ({"rrule": "FREQ=HOURLY;BYMINUTE=60;BYHOUR=0"}, "rrule"),
        ({"rrule": "FREQ=MINUTELY;BYHOUR=24"}, "rrule"),
        ({"rrule": "FREQ=YEARLY;BYMONTH=2;BYDAY=53SU"}, "rrule"),
        ({"rrule": "FREQ=MINUTELY;INTERVAL=30;BYMINUTE=7", "start": "2026-01-01T00:00:00"}, "rrule"),
        ({"rrule": "FREQ=WEEKLY;BYDAY=1MO"}, "rrule"),
        ({"rrule": "FREQ=WEEKLY;BYDAY=MOON"}, "rrule"),
        ({"rrule": "FREQ=YEARLY;BYYEARDAY=0"}, "rrule"),
        ({"rrule": "FREQ=YEARLY;BYWEEKNO=54"}, "rrule"),
        ({"rrule": "FREQ=MONTHLY;BYSETPOS=1,x"}, "rrule"),
        ({"rrule": "FREQ=DAILY;UNTIL=20250101T000000Z"}, "rrule"),
        ({"rrule": "FREQ=DAILY;DTSTART=20260101T000000"}, "rrule"),
        ({"rrule": "FREQ=DAILY;TZID=Europe/Berlin"}, "rrule"),
        ({"rrule": "x" * 501}, "rrule"),
        ({"cron": "0 0 * * *\n* * * * *"}, "cron"),
        ({"cron": "0 0 * * * *"}, "cron"),
        ({"cron": "@daily"}, "cron"),
        ({"cron": "٠ 0 * * *"}, "cron"),
        ({"every": 60.0}, "every"),
        ({"every": 10**12}, "every"),
        ({"every": 60, "start": "1999-12-31T00:00:00"}, "start"),
        ({"cron": "0 0 * * *", "timeZone": "CEST"}, "timeZone"),
        ({"cron": "0 0 * * *", "timeZone": ""}, "timeZone"),
        ({"cron": "0 0 * * *", "timeZone": "europe/berlin"}, "timeZone"),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused_by_its_field(given: object, field: str) -> None:
    with pytest.raises(ScheduleInvalid) as refused:
        schedule.parse(given, now=NOW)
    assert refused.value.field == field
