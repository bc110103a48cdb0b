"""Beat's rows: installed once, reconciled ever after, and an operator's edit stays."""

import json
from io import StringIO

import pytest
from celery import current_app
from django.core.management import CommandError, call_command
from django.db import connections
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from audit import services as log
from cron import beat, beat_rows, runner, schedule, timings
from cron.schedule import SCHEDULE, Entry
from kaireon.tenancy.context import Actor, platform_scope, transaction

AS_OPERATOR = {"actor": Actor.system("operator")}


def installed():
    return {row.name: timings.when(row) for row in PeriodicTask.objects.all()}


def edit(change):
    with platform_scope(**AS_OPERATOR), transaction():
        row = PeriodicTask.objects.get(name="cleanup")
        change(row)
        row.save()


def records(action):
    log.drain("_platform")
    with connections["sequencer"].cursor() as cursor:
        cursor.execute(
            "SELECT entity_name, user_name FROM audit_record WHERE tenant_id = '_platform'"
            " AND entity_type = 'PeriodicTask' AND action = %s ORDER BY seq",
            [action],
        )
        return cursor.fetchall()


def test_it_installs_every_entry_once_in_utc(db):
    assert beat_rows.install()["created"] == len(SCHEDULE)
    assert installed() == {entry.name: entry.when for entry in SCHEDULE}
    assert {str(c.timezone) for c in CrontabSchedule.objects.all()} == {"UTC"}
    again = beat_rows.install()
    assert (again["unchanged"], sum(again.values())) == (len(SCHEDULE), len(SCHEDULE))
    assert len(records("create")) == len(SCHEDULE)
    assert records("update") == []


def test_the_pulse_of_the_layers_below_is_in_it():
    entries = {entry.task: entry for entry in SCHEDULE}
    assert entries["jobs.sweep"].every == 5
    assert entries["audit.drain_all"].every == 60


def test_every_entry_names_a_task_that_exists_and_a_queue_of_ours(settings):
    current_app.loader.import_default_modules()
    for entry in SCHEDULE:
        assert entry.task in current_app.tasks, entry.name
        assert entry.queue in settings.QUEUES


def test_an_operators_edits_stay(db):
    beat_rows.install()

    def to_five(row):
        row.crontab = CrontabSchedule.objects.create(minute="0", hour="5", timezone="UTC")
        row.enabled = False

    edit(to_five)
    assert beat_rows.install()["edited"] == 1
    row = PeriodicTask.objects.get(name="cleanup")
    assert (timings.when(row), row.enabled) == ("0 5 * * *", False)


def test_a_new_default_reaches_rows_nobody_edited(db, monkeypatch):
    beat_rows.install()
    moved = Entry(name="cleanup", task="cron.run", help="Moved.", cron="15 3 * * *", arguments={"job": "cleanup"})
    rest = [entry for entry in SCHEDULE if entry.name not in ("cleanup", "audit.drain")]
    monkeypatch.setattr(beat_rows, "SCHEDULE", (moved, *rest))
    done = beat_rows.install()
    assert (done["updated"], done["removed"]) == (1, 1)
    assert installed()["cleanup"] == "15 3 * * *"
    assert "audit.drain" not in installed()


def test_rows_of_others_are_left_alone(db):
    with platform_scope(**AS_OPERATOR), transaction():
        every = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.HOURS)
        PeriodicTask.objects.create(name="theirs", task="theirs", interval=every)
    beat_rows.install()
    assert installed()["theirs"] == "every 3600 s"


def test_a_schedule_changes_only_under_somebodys_name(db):
    beat_rows.install()
    from django.db.utils import ProgrammingError

    with pytest.raises(ProgrammingError, match="needs an actor"):
        PeriodicTask.objects.filter(name="cleanup").update(enabled=False)
    edit(lambda row: setattr(row, "enabled", False))
    assert records("update") == [("cleanup", "operator")]


def test_beat_installs_the_rows_and_notes_its_runs_without_records(db):
    scheduler = beat.Scheduler(app=current_app, lazy=False)
    scheduler.install()
    assert installed() == {entry.name: entry.when for entry in SCHEDULE}
    assert "celery.backend_cleanup" not in scheduler.schedule
    scheduler.reserve(scheduler.schedule["cleanup"])
    scheduler.sync()
    row = PeriodicTask.objects.get(name="cleanup")
    assert (row.total_run_count, row.last_run_at is not None) == (1, True)
    assert records("update") == []


def test_beat_may_disable_what_ran_its_one_time(db):
    with platform_scope(**AS_OPERATOR), transaction():
        every = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.SECONDS)
        row = PeriodicTask.objects.create(name="once", task="once", interval=every, one_off=True, total_run_count=1)
    beat.Entry(row, app=current_app).is_due()
    row.refresh_from_db()
    assert row.enabled is False
    assert records("update") == [("once", "beat")]


def test_the_commands(db):
    assert json.loads(command("install", "--json"))["created"] == len(SCHEDULE)
    assert "unchanged" in command("install")
    (job,) = [j for j in json.loads(command("list", "--json")) if j["name"] == "cleanup"]
    assert (job["schedule"], job["enabled"], job["lastState"]) == ("30 4 * * *", True, None)
    dry = json.loads(command("run", "cleanup", "--dry-run", "--json"))
    assert (dry["ok"], dry["dryRun"]) == (True, True)
    assert "last succeeded" not in command("list")
    assert json.loads(command("run", "cleanup", "--json"))["ok"] is True
    run, tried = json.loads(command("history", "cleanup", "--json"))
    assert (run["job"], run["trigger"], run["state"], run["dryRun"]) == ("cleanup", "command", "succeeded", False)
    assert (tried["slot"], tried["dryRun"]) == (None, True)
    assert "dry run" in command("history")
    assert json.loads(command("history", "--state", "failed", "--json")) == []
    assert "last succeeded" in command("list")
    with pytest.raises(CommandError, match="known are"):
        command("run", "nonsense")
    with pytest.raises(CommandError, match="known are"):
        command("history", "nonsense")


def test_a_failed_run_fails_the_command(db, monkeypatch):
    monkeypatch.setattr(runner, "_in_tenant", lambda job, *_: (_ for _ in ()).throw(OSError))
    with pytest.raises(CommandError, match="OSError"):
        command("run", "cleanup")


def test_the_schedule_module_and_the_table_agree():
    names = [entry.name for entry in schedule.SCHEDULE]
    assert len(names) == len(set(names))


def command(*arguments):
    out = StringIO()
    call_command("cron", *arguments, stdout=out, no_color=True)
    return out.getvalue()
