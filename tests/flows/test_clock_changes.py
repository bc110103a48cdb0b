"""A day of simulated time on which clocks are changed, in three zones: each schedule as its row says.

What is expected is worked out here by looking at the clock of the zone minute by minute, not by the code under test.
"""

import signal
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db.models import Min

from cron.models import Trigger
from cron.runner import run_job
from kaireon.flows import pipelines, schedule, scheduler
from kaireon.flows.models import FlowRun, Pipeline, RunState
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.lib.clock import at
from kaireon.tenancy.context import transaction
from tests.cast import ADA
from tests.flows.conftest import make, process

MINUTE = timedelta(minutes=1)
# Zone, the day a part of which is left out, the day a part of which comes twice, and how long both are.
DAYS = [
    ("Europe/Berlin", date(2026, 3, 29), 23.0),
    ("Europe/Berlin", date(2026, 10, 25), 25.0),
    ("America/New_York", date(2026, 3, 8), 23.0),
    ("America/New_York", date(2026, 11, 1), 25.0),
    ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
    ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
]
STEPS = [
    {"name": "read", "node": "load_entity", "params": {"entity": "customers"}},
    {"name": "store", "node": "write_entity", "params": {"entity": "customers"}},
]
RULES: dict[str, dict[str, Any]] = {
    "quarter to two": {"cron": "45 1 * * *", "missed": "last"},
    "quarter past two": {"cron": "15 2 * * *", "missed": "all"},
    "by rule": {"rrule": "FREQ=DAILY;BYHOUR=2;BYMINUTE=15", "start": "2026-01-01T00:00:00", "missed": "all"},
    "hourly, all": {"cron": "5 * * * *", "missed": "all"},
    "hourly, last": {"cron": "5 */1 * * *", "missed": "last"},
    "hourly, skip": {"rrule": "FREQ=HOURLY;BYMINUTE=5", "start": "2026-01-01T00:00:00", "missed": "skip"},
    "third hours": {"rrule": "FREQ=HOURLY;INTERVAL=3", "start": "2026-01-01T00:05:00", "missed": "all"},
    "interval": {"every": 9000, "start": "2026-01-01T00:05:00Z", "missed": "all"},
    "odd minutes": {"rrule": "FREQ=MINUTELY;INTERVAL=50", "start": "2026-01-01T00:05:00Z", "missed": "last"},
}
BEGUN = at("2026-01-01T00:05:00Z")


@dataclass(frozen=True)
class Day:
    zone: str
    on: date

    @property
    def first(self) -> datetime:
        return datetime.combine(self.on, time(), ZoneInfo(self.zone)).astimezone(UTC)

    @property
    def end(self) -> datetime:
        return datetime.combine(self.on + timedelta(days=1), time(), ZoneInfo(self.zone)).astimezone(UTC)

    @cached_property
    def shown(self) -> dict[datetime, time]:
        """Each minute of the day, and what the clock of the zone shows in it."""
        length = (self.end - self.first) // MINUTE
        minutes = (self.first + n * MINUTE for n in range(length))
        return {minute: minute.astimezone(ZoneInfo(self.zone)).time() for minute in minutes}

    def when(self, wall: time) -> datetime:
        """The first minute whose clock shows this; of a time that is left out, as much later as clocks jump."""
        for minute, shown in self.shown.items():
            if shown == wall:
                return minute
        # The last minute before the gap, and from there on as if nothing had been left out.
        before = self._gap() - MINUTE
        return before + (datetime.combine(self.on, wall) - datetime.combine(self.on, self.shown[before]))

    def _gap(self) -> datetime:
        walls = {minute: datetime.combine(self.on, shown) for minute, shown in self.shown.items()}
        return next(after for before, after in pairwise(walls) if walls[after] - walls[before] > MINUTE)

    def slots(self, name: str) -> list[datetime]:
        match name:
            case "quarter to two":
                return [self.when(time(1, 45))]
            case "quarter past two" | "by rule":
                return [self.when(time(2, 15))]
            case "third hours":
                return [self.when(time(hour, 5)) for hour in range(0, 24, 3)]
            case "interval":
                return [m for m in self.shown if (m - BEGUN) % timedelta(seconds=9000) == timedelta(0)]
            case "odd minutes":
                return [m for m in self.shown if (m - BEGUN) % timedelta(minutes=50) == timedelta(0)]
        return [minute for minute, shown in self.shown.items() if shown.minute == 5]

    def runs(self, name: str, away: tuple[datetime, datetime]) -> list[datetime]:
        """The slots that are to be run, when nobody looked for a while."""
        slots, missed = self.slots(name), RULES[name]["missed"]
        if missed == "all":
            return slots
        late = [slot for slot in slots if away[0] <= slot < away[1]]
        kept = late[-1:] if missed == "last" or (late and away[1] - late[-1] < timedelta(minutes=5)) else []
        return [slot for slot in slots if slot not in late or slot in kept]


@pytest.fixture(params=DAYS, ids=lambda d: f"{d[0].split('/')[1]} {d[2]} h")
def day(request: pytest.FixtureRequest) -> Day:
    zone, on, hours = request.param
    found = Day(zone, on)
    assert found.end - found.first == timedelta(hours=hours)
    return found


def put_up(day: Day) -> dict[str, Pipeline]:
    with clock.freeze(day.first - MINUTE):
        return {
            name: make(STEPS, name=name, schedule_given={**rule, "timeZone": day.zone}) for name, rule in RULES.items()
        }


def tick(now: datetime) -> None:
    """Of the scheduler; now and then as its beat row does it, in every tenant and with a run of the job."""
    with clock.freeze(now):
        if now.hour % 4:
            with ADA.here():
                assert not scheduler.tick(now=now, budget=Budget(60)).errors
        else:
            assert run_job("flow-scheduler-tick", trigger=Trigger.BEAT, slot=now.replace(second=0)).ok


def work_off(now: datetime) -> None:
    """What workers do: one run after the other ends."""
    with ADA.here(), transaction():
        while True:
            begun = FlowRun.objects.open().exclude(job_ref=None)
            if not begun.update(state=RunState.DONE, started_at=now, finished_at=now, keeps_batches=False):
                return
            Job.objects.all().delete()
            for waiting in FlowRun.objects.open().values_list("pipeline_id", flat=True).distinct():
                pipelines.next_in_line(waiting, now=now)


def next_due() -> datetime:
    with ADA.here(), transaction():
        first: datetime = Pipeline.objects.aggregate(at=Min("next_run_at"))["at"]
        return first


def test_the_next_slots_are_those_the_clock_shows(day: Day) -> None:
    for name, rule in RULES.items():
        found = schedule.parse({**rule, "timeZone": day.zone}, now=BEGUN)
        assert list(found.between(day.first, day.end)) == day.slots(name), name
        assert (
            found.next(day.first - MINUTE)[:3]
            == [*day.slots(name), *found.between(day.end, day.end + 3 * (day.end - day.first))][:3]
        )


def test_each_schedule_is_run_as_its_row_says(db: str, day: Day) -> None:
    """Ticks as beat sends them, now and then one too many, and none for hours around the change of clocks."""
    with ADA.here():
        made = put_up(day)
    away = (day.first + timedelta(hours=1), day.first + timedelta(hours=5, minutes=1))
    due = next_due()
    for minute in day.shown:
        now = minute + timedelta(seconds=2)
        if away[0] <= minute < away[1]:
            continue
        # Where nothing is due a tick finds nothing: some are tried.
        if due <= now or (minute.hour % 6 == 0 and minute.minute == 7):
            tick(now)
            if minute.hour % 4 == 0:
                tick(now + timedelta(seconds=20))
            work_off(now)
            due = next_due()
    with ADA.here(), transaction():
        for name, pipeline in made.items():
            runs = FlowRun.objects.filter(pipeline=pipeline).order_by("slot")
            assert list(runs.values_list("slot", flat=True)) == day.runs(name, away), name
            assert set(runs.values_list("state", flat=True)) == {RunState.DONE}, name


# Schedulers that tick each minute when something is due, one after the other, each killed in one of them.
SCHEDULERS = """
import os, signal, sys
from datetime import datetime, timedelta
import django

django.setup()
from django.db import connections
from cron.runner import run_job
from kaireon.flows import pipelines, scheduler
from kaireon.flows.models import FlowRun, Pipeline
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy.context import Actor, scope, transaction

minute, end = map(datetime.fromisoformat, sys.argv[1:3])
deaths = [death.split() for death in sys.argv[3:]]
looked = open(os.environ["LOOKED"], "a+")

def kill(owner, name, which):
    there, calls = getattr(owner, name), []
    def killed(*args, **kwargs):
        calls.append(name)
        given = there(*args, **kwargs)
        if len(calls) == which:
            os.kill(os.getpid(), signal.SIGKILL)
        return given
    setattr(owner, name, killed)

def live(minute):
    due = minute
    while minute < end:
        now = minute + timedelta(seconds=2)
        if due <= now:
            print(minute.isoformat(), file=looked, flush=True)
            with clock.freeze(now):
                assert run_job("flow-scheduler-tick", trigger="beat").ok
            with scope(tenant_id="acme", actor=Actor.system("test")), transaction():
                FlowRun.objects.open().exclude(job_ref=None).update(state="done", finished_at=now, keeps_batches=False)
                Job.objects.all().delete()
                due = min(Pipeline.objects.values_list("next_run_at", flat=True))
        minute += timedelta(minutes=1)

# Nothing was opened yet that two processes must not share.
for how, which in [*deaths, ("not at all", 0)]:
    pid = os.fork()
    if pid == 0:
        match how:
            case "uncommitted": kill(scheduler, "_start", int(which))
            case "unsaid": kill(pipelines, "wake", int(which))
        live(minute)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    looked.seek(0)
    minute = datetime.fromisoformat(looked.read().split()[-1]) + timedelta(minutes=1)
"""


def test_a_scheduler_that_is_killed_and_started_again_loses_and_doubles_nothing(db: str, tmp_path: Path) -> None:
    """Killed before its transaction is committed, and between that and the messages to the workers."""
    day = Day("Australia/Lord_Howe", date(2026, 4, 5))
    with ADA.here():
        made = put_up(day)
    deaths = ("uncommitted 2", "unsaid 9", "uncommitted 14", "unsaid 2", "uncommitted 25", "unsaid 14")
    # Beat sends no minute again that it has sent.
    ran = process(SCHEDULERS, day.first.isoformat(), day.end.isoformat(), *deaths, LOOKED=str(tmp_path / "looked"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [*[str(-signal.SIGKILL)] * len(deaths), "0"], ran.stderr
    with ADA.here(), transaction():
        for name, pipeline in made.items():
            slots = list(FlowRun.objects.filter(pipeline=pipeline).order_by("slot").values_list("slot", flat=True))
            assert Counter(slots) == Counter(day.slots(name)), name
