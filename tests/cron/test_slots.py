"""Each scheduled moment once: across changes of clocks, restarts and two beats; and how each job is doing."""

import json
import logging
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from celery import current_app
from django.core.management import call_command
from django.test import override_settings
from django.urls import URLResolver, get_resolver, include, path
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from cron import beat, beat_rows, jobs, runner, schedule, states, timings
from cron.cleanup import prune_runs
from cron.models import JobRun, RunState, Trigger
from cron.slots import BadSchedule, Cron, Every, between
from cron.work import Job, Missed, Work
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.lib.clock import at
from kaireon.lib.ids import uuid7
from kaireon.tenancy.context import Actor, platform_scope, transaction

# Zone, the day its clocks go forward, the day they go back: an hour, an hour, and half an hour.
CHANGES = [
    ("Europe/Berlin", "2026-03-29", "2026-10-25"),
    ("America/New_York", "2026-03-08", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-10-04", "2026-04-05"),
]


@pytest.fixture
def job(monkeypatch, db):
    def put(name="tidy", **parts):
        parts = {"schedule": "*/5 * * * *", "for_all": lambda work: {}, **parts}
        monkeypatch.setitem(jobs.JOBS, name, Job(name=name, help="Tidies.", **parts))
        return jobs.JOBS[name]

    return put


@pytest.fixture
def row(job):
    """A beat row of the job `tidy`."""

    def put(text="*/5 * * * *", zone="UTC", last=None, **parts):
        job(**parts)
        minute, hour, day, month, weekday = text.split()
        with platform_scope(actor=Actor.system("operator")), transaction():
            when = CrontabSchedule.objects.create(
                minute=minute, hour=hour, day_of_month=day, month_of_year=month, day_of_week=weekday, timezone=zone
            )
            return PeriodicTask.objects.create(
                name="tidy", task="cron.run", kwargs='{"job": "tidy"}', crontab=when, last_run_at=last
            )

    return put


class Sending(beat.Scheduler):
    """Beat without a broker: keeps what it would have sent."""

    def __init__(self):
        self.sent = []
        super().__init__(app=current_app, lazy=True)

    def send_task(self, name, args, kwargs, **options):
        self.sent.append(kwargs["slot"])

    def apply_async(self, entry, producer=None, advance=True, **kwargs):
        original, current_app.tasks[entry.task].apply_async = (
            current_app.tasks[entry.task].apply_async,
            lambda args, kwargs, **_: self.sent.append(kwargs["slot"]),
        )
        try:
            return super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        finally:
            current_app.tasks[entry.task].apply_async = original


def one_tick(scheduler, entry):
    """What Scheduler.tick does with one entry: ask, note, send."""
    if entry.is_due().is_due:
        following = next(entry)
        scheduler.apply_async(entry, advance=False)
        return following
    return entry


@pytest.mark.parametrize(("zone", "forward", "back"), CHANGES)
@pytest.mark.parametrize(
    "text", ["*/15 * * * *", "30 2 * * *", "10 2 * * *", "30 1 * * *", "0 */6 * * *", "59 23 * * *"]
)
@pytest.mark.parametrize("row_zone", ["UTC", "local"])
def test_a_day_of_a_change_of_clocks_fires_every_row_as_it_says(row, zone, forward, back, text, row_zone):
    made = row(text, "UTC" if row_zone == "UTC" else zone)
    for day in (forward, back):
        start = at(f"{day}T00:00:00Z") - timedelta(hours=14)
        made.last_run_at = start
        with clock.freeze(start):
            scheduler, entry = Sending(), beat.Entry(made, app=current_app)
        for minute in range(0, 40 * 60, 5):
            # Beat is stopped and started again, now and then.
            with clock.freeze(start + timedelta(minutes=minute, seconds=3)):
                entry = one_tick(scheduler, beat.Entry(made, app=current_app) if minute % 35 == 0 else entry)
        timing = timings.timing_of(made)
        assert scheduler.sent == [
            clock.rfc3339(m) for m in between(timing, start, start + timedelta(minutes=2395, seconds=3))
        ]
        assert len(set(scheduler.sent)) == len(scheduler.sent)
        # By a second reckoning: minutes in a row, read off the wall.
        if text == "*/15 * * * *":
            assert len(scheduler.sent) == 40 * 4 - 1


@pytest.mark.parametrize(("zone", "forward", "back"), CHANGES)
def test_a_fixed_hour_is_due_once_on_each_day(zone, forward, back):
    for day in (forward, back):
        start = at(f"{day}T00:00:00Z") - timedelta(days=3)
        for text in ("30 2 * * *", "15 1 * * *", "45 1 * * *", "0 3 * * *"):
            found = between(Cron(text, zone), start, start + timedelta(days=7))
            days = Counter(moment.astimezone(ZoneInfo(zone)).date() for moment in found)
            assert set(days.values()) == {1}, (zone, day, text)
            assert (max(days) - min(days)).days + 1 == len(days) >= 6


def test_what_is_skipped_and_doubled_in_berlin():
    berlin = "Europe/Berlin"
    assert Cron("30 2 * * *", berlin).next(at("2026-03-28T12:00:00Z")) == at("2026-03-29T01:30:00Z")
    assert Cron("30 2 * * *", berlin).next(at("2026-10-24T12:00:00Z")) == at("2026-10-25T00:30:00Z")
    quarter = list(between(Cron("*/30 * * * *", berlin), at("2026-10-25T00:00:00Z"), at("2026-10-25T02:00:00Z")))
    assert quarter == [at(f"2026-10-25T0{h}:{m}:00Z") for h, m in ((0, 30), (1, "00"), (1, 30), (2, "00"))]


def test_moments_at_the_edges():
    daily = Cron("30 4 * * *")
    assert daily.last(at("2026-01-15T04:30:00Z")) == at("2026-01-15T04:30:00Z")
    assert daily.next(at("2026-01-15T04:30:00Z")) == at("2026-01-16T04:30:00Z")
    assert Cron("0 0 29 2 *").next(at("2026-01-01T00:00:00Z")) == at("2028-02-29T00:00:00Z")
    assert Cron("0 0 31 2 *").next(at("2026-01-01T00:00:00Z")) is None
    assert Cron("0 9 * * 1-5").next(at("2026-01-16T10:00:00Z")) == at("2026-01-19T09:00:00Z")
    assert Every(300).last(at("2026-01-15T04:33:00Z")) == at("2026-01-15T04:30:00Z")
    assert Every(300).next(at("2026-01-15T04:30:00Z")) == at("2026-01-15T04:35:00Z")


@pytest.mark.parametrize("text", ["", "* * * *", "61 * * * *", "x * * * *", "* 25 * * *", "* * 0 * *", "* * * * * *"])
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(BadSchedule):
        Cron(text)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd"])
def test_what_is_no_zone_is_refused(zone):
    with pytest.raises(BadSchedule):
        Cron("* * * * *", zone)


def test_a_moment_runs_once_however_often_it_is_sent(job):
    seen = []
    job(for_all=lambda work: seen.append(1) or {})
    slot = at("09:00")
    assert runner.run_job("tidy", trigger=Trigger.BEAT, slot=slot).run.slot == slot
    again = runner.run_job("tidy", trigger=Trigger.BEAT, slot=slot)
    assert (again.body, len(seen)) == ({"ok": True, "skipped": "already ran"}, 1)
    assert not runner.run_job("tidy", trigger=Trigger.BEAT, slot=at("09:05")).skipped
    assert not runner.run_job("tidy", trigger=Trigger.HTTP).skipped
    assert not runner.run_job("tidy", trigger=Trigger.HTTP).skipped


def test_a_moment_whose_process_died_is_made_up_for_in_its_own_row(job):
    job()
    dead = JobRun.objects.create(job="tidy", trigger="beat", slot=at("09:00"), started_at=at("09:00"))
    assert runner.run_job("tidy", trigger=Trigger.BEAT, slot=at("09:00")).ok
    assert JobRun.objects.get().pk == dead.pk
    assert JobRun.objects.get().state == RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("missed", "expected"),
    [(Missed.SKIP, []), (Missed.LAST, ["11:00"]), (Missed.ALL, ["10:00", "11:00"])],
)
def test_what_was_missed_is_made_up_for_as_the_job_says(row, missed, expected):
    made = row("0 * * * *", last=at("09:00:01"), missed=missed)
    scheduler = Sending()
    with clock.freeze(at("11:30")):
        entry = one_tick(scheduler, beat.Entry(made, app=current_app))
        assert not entry.is_due().is_due
    assert scheduler.sent == [clock.rfc3339(at(text)) for text in expected]


def test_beat_sees_what_was_missed_long_ago(row):
    row("0 3 * * *", last=at("2026-01-01T03:00:00Z"))
    assert "tidy" in [model.name for model in Sending().enabled_models()]


def test_states(row):
    made = row("0 * * * *", last=at("08:00"), grace=timedelta(minutes=10), deadline=100)
    job = jobs.JOBS["tidy"]

    def state(moment):
        made.refresh_from_db()
        made.date_changed = at("08:30")
        return states.status_of(job, made, now=at(moment)).state

    assert [state(m) for m in ("08:45", "09:05", "09:11")] == ["new", "late", "down"]
    run = JobRun.objects.create(job="tidy", trigger="beat", slot=at("09:00"), started_at=at("09:12"))
    assert [state(m) for m in ("09:13", "09:30")] == ["running", "down"]
    run.state, run.finished_at = RunState.SUCCEEDED, at("09:14")
    run.save()
    assert [state(m) for m in ("09:20", "10:05", "10:11")] == ["up", "late", "down"]
    run.state = RunState.FAILED
    run.save()
    assert state("09:20") == "down"
    with platform_scope(actor=Actor.system("operator")), transaction():
        PeriodicTask.objects.filter(pk=made.pk).update(enabled=False)
    assert state("09:20") == "paused"


def test_a_late_job_is_reported_once_for_each_moment(row, caplog):
    row("0 * * * *", last=at("08:00"))
    JobRun.objects.create(
        job="tidy", trigger="beat", started_at=at("08:00"), finished_at=at("08:01"), state=RunState.SUCCEEDED
    )
    scheduler = Sending()
    for moment in ("09:01", "09:02", "09:03", "10:02"):
        with clock.freeze(at(moment)):
            scheduler.watch(clock.now())
    late = [r.slot for r in caplog.records if r.getMessage() == "job_late" and r.job == "tidy"]
    assert late == [clock.rfc3339(at("09:00")), clock.rfc3339(at("10:00"))]


def test_a_failed_run_raises_its_alarm(job, caplog):
    job(for_all=lambda work: 1 / 0)
    ran = runner.run_job("tidy", trigger=Trigger.COMMAND)
    assert [r.run for r in caplog.records if r.levelno == logging.ERROR and hasattr(r, "run")] == [str(ran.run.pk)]


def test_old_runs_are_pruned_and_the_newest_and_the_newest_success_stay(job):
    job()
    now = at("12:00")
    for days, state in ((300, "succeeded"), (200, "succeeded"), (100, "failed"), (95, "failed"), (10, "failed")):
        moment = now - timedelta(days=days)
        JobRun.objects.create(job="tidy", trigger="beat", started_at=moment, finished_at=moment, state=state)

    def ages():
        return sorted((now - run.started_at).days for run in JobRun.objects.all())

    work = Work(run_id=uuid7(), actor=Actor.job("cleanup"), now=now, budget=Budget(60))
    assert prune_runs(replace(work, dry_run=True)) == 3
    assert len(ages()) == 5
    assert prune_runs(work) == 3
    assert ages() == [10, 200]
    with override_settings(JOB_RUN_DAYS=5):
        prune_runs(work)
    assert ages() == [10, 200]


def test_the_command_says_how_each_job_is_doing(db):
    beat_rows.install()
    out = StringIO()
    call_command("cron", "list", "--json", stdout=out)
    (found,) = [j for j in json.loads(out.getvalue()) if j["name"] == "approvals-expire"]
    assert (found["state"], found["missed"], found["lastState"]) == ("new", "skip", None)
    assert found["nextAt"] > clock.rfc3339(clock.now())


def routes_of_jobs(patterns, prefix=""):
    """Every path of the public port with a segment `cron` in it, below the admin excepted."""
    for pattern in patterns:
        path = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from routes_of_jobs(pattern.url_patterns, path) if not path.startswith("admin/") else ()
        elif "cron" in path.split("/"):
            yield path


def named_by(routes):
    return {route.rpartition("/")[2] for route in routes} - {"<str:name>"}


def test_every_route_of_a_job_has_a_schedule_or_an_exemption():
    routes = set(routes_of_jobs(get_resolver().url_patterns))
    assert "api/v1/cron/<str:name>" in routes
    assert schedule.without_schedule(named_by(routes) | set(jobs.JOBS)) == set()


def test_a_route_without_either_would_be_noticed(monkeypatch):
    forgotten = [path("api/", include([path("cron/forgotten", lambda request: None)]))]
    assert named_by(routes_of_jobs(forgotten)) == {"forgotten"}
    assert schedule.without_schedule({"forgotten", "cleanup"}) == {"forgotten"}
    monkeypatch.setitem(schedule.EXEMPT, "forgotten", "An outside scheduler's own.")
    assert schedule.without_schedule({"forgotten"}) == set()
    monkeypatch.setitem(jobs.JOBS, "silent", Job(name="silent", help="Neither.", for_all=lambda work: {}))
    assert schedule.without_schedule({"silent"}) == {"silent"}


def test_no_moment_is_doubled_over_two_beats(row):
    made = row("*/5 * * * *", last=at("09:00"))
    one, two = Sending(), Sending()
    for minute in range(1, 31):
        with clock.freeze(at("09:00") + timedelta(minutes=minute)):
            for scheduler in (one, two):
                one_tick(scheduler, beat.Entry(PeriodicTask.objects.get(pk=made.pk), app=current_app))
    sent = Counter(one.sent + two.sent)
    ran = [runner.run_job("tidy", trigger=Trigger.BEAT, slot=at(slot)) for slot in (one.sent + two.sent)]
    assert sum(not r.skipped for r in ran) == len(sent) == 6


def test_a_run_by_another_door_makes_up_for_what_is_owed_and_the_schedule_does_not_repeat_it(row):
    row("0 * * * *")
    with clock.freeze(clock.now() + timedelta(hours=2)):
        newest = Cron("0 * * * *").last(clock.now())
        assert runner.run_job("tidy", trigger=Trigger.COMMAND, dry_run=True).run.slot is None
        first = runner.run_job("tidy", trigger=Trigger.HTTP)
        assert (first.run.slot, first.run.trigger) == (newest, Trigger.HTTP)
        assert runner.run_job("tidy", trigger=Trigger.BEAT, slot=newest).body["skipped"] == "already ran"
        # Asked for again within the same minute: it runs again, and is nobody's moment.
        again = runner.run_job("tidy", trigger=Trigger.HTTP)
        assert (again.skipped, again.run.slot) == (False, None)
    assert [r.state for r in JobRun.objects.real()] == [RunState.SUCCEEDED] * 2


def test_a_run_that_failed_keeps_its_moment_and_a_retry_is_a_run_of_its_own(row):
    row("0 * * * *", for_all=lambda work: 1 / 0)
    with clock.freeze(clock.now() + timedelta(hours=2)):
        failed = runner.run_job("tidy", trigger=Trigger.HTTP)
        retried = runner.run_job("tidy", trigger=Trigger.HTTP)
    assert failed.run.slot is not None
    assert (retried.skipped, retried.ok, retried.run.slot) == (False, False, None)


def test_a_paused_job_owes_nothing(row):
    made = row("0 * * * *")
    with platform_scope(actor=Actor.system("operator")), transaction():
        made.enabled = False
        made.save()
    with clock.freeze(clock.now() + timedelta(hours=2)):
        assert runner.run_job("tidy", trigger=Trigger.HTTP).run.slot is None


def test_a_run_that_was_under_way_at_the_moment_stands_for_it(row):
    made = row("0 * * * *", grace=timedelta(minutes=10))
    run = JobRun.objects.create(
        job="tidy", trigger="admin", started_at=at("08:58"), finished_at=at("09:02"), state=RunState.SUCCEEDED
    )
    assert states.status_of(jobs.JOBS["tidy"], made, now=at("09:03")).state == "up"
    run.finished_at = at("08:59")
    run.save()
    assert states.status_of(jobs.JOBS["tidy"], made, now=at("09:03")).state == "late"


def test_a_dry_run_is_no_run(row):
    made = row("0 * * * *", last=at("08:00"))
    runner.run_job("tidy", trigger=Trigger.COMMAND, dry_run=True)
    assert states.status_of(jobs.JOBS["tidy"], made, now=clock.now()).state == "new"


def test_another_schedule_makes_up_for_nothing_it_would_have_meant_before(db):
    beat_rows.install()
    cleanup = jobs.JOBS["cleanup"]
    with clock.freeze(at("2027-01-15T04:30:10Z")):
        assert runner.run_job("cleanup", trigger=Trigger.BEAT, slot=at("2027-01-15T04:30:00Z")).ok
    PeriodicTask.objects.filter(name="cleanup").update(last_run_at=at("2027-01-15T04:30:10Z"))
    # At ten, somebody moves it to seven: it was not due at seven today.
    with clock.freeze(at("2027-01-15T10:00:00Z")), platform_scope(actor=Actor.system("operator")), transaction():
        beat_rows.reschedule(cleanup, cron="0 7 * * *", enabled=True, now=clock.now())
    made = PeriodicTask.objects.get(name="cleanup")
    with clock.freeze(at("2027-01-15T10:00:05Z")):
        assert not beat.Entry(made, app=current_app).is_due().is_due
        assert states.status_of(cleanup, made, now=clock.now()).state == "up"
    with clock.freeze(at("2027-01-16T07:00:01Z")):
        entry = beat.Entry(made, app=current_app)
        assert entry.is_due().is_due
        assert entry.moments(clock.now()) == [at("2027-01-16T07:00:00Z")]
        assert states.status_of(cleanup, made, now=clock.now()).state == "late"


def test_a_message_nobody_takes_expires_a_while_after_the_next_moment(row):
    made = row("0 * * * *", last=at("09:00"), grace=timedelta(minutes=10))
    entry = beat.Entry(made, app=current_app)
    assert entry.expiry(at("10:00")) == {"expires": at("11:10")}
    row_of_all = replace(jobs.JOBS["tidy"], missed=Missed.ALL)
    jobs.JOBS["tidy"] = row_of_all
    assert entry.expiry(at("10:00")) == {}
