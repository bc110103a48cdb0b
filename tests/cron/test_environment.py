"""What an environment says otherwise: schedule, enabled and deadline of each job, and who wins."""

import json
import os
import subprocess
import sys

import pytest
from django.conf import settings
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from cron import beat_rows, checks, environment, jobs, schedule, timings
from cron.jobs import JOBS, SHIPPED
from cron.work import Job
from kaireon import env
from kaireon.tenancy.context import Actor, platform_scope, transaction
from tests.cron.test_schedule import command

CLEANUP = next(job for job in SHIPPED if job.name == "cleanup")


def configured(**given):
    return environment.configured(CLEANUP, {f"CRON_CLEANUP_{name}": text for name, text in given.items()})


def test_without_a_word_a_job_is_as_it_is_shipped():
    assert environment.configured(CLEANUP, {}) is CLEANUP
    assert configured(SCHEDULE="", ENABLED=" ", DEADLINE="") is CLEANUP
    assert list(JOBS.values()) == list(SHIPPED)


def test_each_of_the_three_is_followed():
    job = configured(SCHEDULE=" 15  3 * * * ", ENABLED="False", DEADLINE="900")
    assert (job.schedule, job.enabled, job.deadline) == ("15 3 * * *", False, 900)
    assert (job.said_by, job.shipped) == ("environment", CLEANUP)
    assert configured(DEADLINE="900").said_by == "default"
    for word in ("true", "ON", "yes", "1"):
        assert configured(ENABLED=word).enabled is True


def test_a_job_of_the_operators_choice_gets_its_schedule_there():
    job = Job(name="dsar-purge", help="Purges.", for_all=lambda work: {}, unscheduled="The operator chooses.")
    chosen = environment.configured(job, {"CRON_DSAR_PURGE_SCHEDULE": "0 1 * * 0"})
    assert (chosen.schedule, chosen.unscheduled) == ("0 1 * * 0", "")


MALFORMED = [
    ("CRON_CLEANUP_SCHEDULE", "daily"),
    ("CRON_CLEANUP_SCHEDULE", "* * * *"),
    ("CRON_CLEANUP_SCHEDULE", "61 * * * *"),
    ("CRON_CLEANUP_SCHEDULE", "0 0 31 2 *"),
    ("CRON_CLEANUP_SCHEDULE", ",".join(str(n) for n in range(60)) + " * * * *"),
    ("CRON_CLEANUP_ENABLED", "maybe"),
    ("CRON_CLEANUP_ENABLED", "2"),
    ("CRON_CLEANUP_DEADLINE", "0"),
    ("CRON_CLEANUP_DEADLINE", "-5"),
    ("CRON_CLEANUP_DEADLINE", "10m"),
    ("CRON_CLEANUP_DEADLINE", "3001"),
    ("CRON_CLEANUP_DEADLINE", "9" * 40),
    ("CRON_CLEANUP_DEADLINE", "٣"),
]


@pytest.mark.parametrize(("variable", "text"), MALFORMED)
def test_what_is_malformed_changes_nothing_and_is_told_by_name_with_a_remedy(monkeypatch, variable, text):
    assert environment.configured(CLEANUP, {variable: text}) == CLEANUP
    monkeypatch.setattr(env, "CRON_JOBS", {variable: text})
    (message,) = checks.jobs_are_configured(None)
    assert (message.id, message.is_serious()) == ("kaireon.E030", True)
    assert message.msg.startswith(f"{variable} is ")
    assert message.hint


def test_a_variable_about_no_job_is_told_with_those_there_are(monkeypatch):
    monkeypatch.setattr(env, "CRON_JOBS", {"CRON_CLEANPU_SCHEDULE": "0 4 * * *"})
    (message,) = checks.jobs_are_configured(None)
    assert "CRON_CLEANPU_SCHEDULE" in message.msg
    assert "cleanup" in message.hint


def test_enabling_what_has_no_schedule_is_told():
    job = Job(name="siem-ship", help="Ships.", for_all=lambda work: {}, unscheduled="The operator chooses.")
    (fault,) = environment.faults([job], {"CRON_SIEM_SHIP_ENABLED": "true"})
    assert fault.remedy == "Set CRON_SIEM_SHIP_SCHEDULE too."
    assert environment.faults([job], {"CRON_SIEM_SHIP_ENABLED": "on", "CRON_SIEM_SHIP_SCHEDULE": "* * * * *"}) == []


def test_no_two_jobs_share_a_variable():
    names = [environment.variable(job.name, "SCHEDULE") for job in SHIPPED]
    assert len(names) == len(set(names))


def test_runs_are_kept_a_day_at_least(settings):
    settings.JOB_RUN_DAYS = 0
    assert [message.id for message in checks.runs_are_kept(None)] == ["kaireon.E031"]


def test_a_number_that_is_none_is_told_by_name_and_with_what_to_do(monkeypatch):
    monkeypatch.setenv("JOB_RUN_DAYS", "ninety days")
    with pytest.raises(env.NotANumber) as told:
        env.whole_number("JOB_RUN_DAYS", default=90)
    assert str(told.value) == ("JOB_RUN_DAYS is not a whole number: set it to one, such as 90, or unset it for that.")
    monkeypatch.setenv("JOB_RUN_DAYS", " 30 ")
    assert env.whole_number("JOB_RUN_DAYS", default=90) == 30
    monkeypatch.setenv("JOB_RUN_DAYS", "")
    assert env.whole_number("JOB_RUN_DAYS", default=90) == 90


def test_every_number_of_the_environment_is_told_so():
    ran = subprocess.run(
        [sys.executable, "-c", "import kaireon.env"],
        env={**os.environ, "KAIREON_ENV_FILE": os.devnull, "JOB_RUN_DAYS": "1_0 days"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "NotANumber: JOB_RUN_DAYS is not a whole number" in ran.stderr
    assert "1_0 days" not in ran.stderr.splitlines()[-1]


def row():
    return PeriodicTask.objects.get(name="cleanup")


@pytest.fixture
def say(db, monkeypatch):
    """Start anew in an environment that says this about cleanup; the rows are reconciled."""

    def said(**given):
        entries = [e for e in schedule.SCHEDULE if e.name != "cleanup"]
        job = configured(**given)
        monkeypatch.setitem(jobs.JOBS, "cleanup", job)
        monkeypatch.setattr(beat_rows, "SCHEDULE", (schedule.entry_of(job), *entries))
        return beat_rows.install()

    return said


def edit(**changes):
    with platform_scope(actor=Actor.system("operator")), transaction():
        task = row()
        if cron := changes.pop("cron", ""):
            minute, hour, *_ = cron.split()
            task.crontab = CrontabSchedule.objects.create(minute=minute, hour=hour, timezone="UTC")
        for name, value in changes.items():
            setattr(task, name, value)
        task.save()


def shown():
    return next(j for j in json.loads(command("list", "--json")) if j["name"] == "cleanup")


def test_the_rows_follow_the_environment(say):
    say(SCHEDULE="15 3 * * *", ENABLED="false")
    assert (timings.when(row()), row().enabled) == ("15 3 * * *", False)
    assert (shown()["scheduleFrom"], shown()["state"], shown()["nextAt"]) == ("environment", "paused", None)
    say(SCHEDULE="16 3 * * *", ENABLED="true", DEADLINE="60")
    assert (timings.when(row()), row().enabled, shown()["deadlineSeconds"]) == ("16 3 * * *", True, 60)
    say()
    assert (timings.when(row()), shown()["scheduleFrom"]) == ("30 4 * * *", "default")


def test_an_operators_edit_wins_over_the_environment_until_it_is_reset(say):
    say()
    edit(cron="0 5 * * *")
    assert say(SCHEDULE="15 3 * * *")["edited"] == 0
    assert (timings.when(row()), shown()["scheduleFrom"]) == ("0 5 * * *", "edited")
    assert json.loads(command("install", "--reset", "cleanup", "--dry-run", "--json"))["updated"] == 1
    assert timings.when(row()) == "0 5 * * *"
    command("install", "--reset", "cleanup")
    assert (timings.when(row()), shown()["scheduleFrom"]) == ("15 3 * * *", "environment")
    assert "edited" not in command("install")


def test_a_pause_by_an_operator_stays_and_so_does_an_end_of_one(say):
    say()
    edit(enabled=False)
    say(ENABLED="true")
    assert (row().enabled, shown()["scheduleFrom"]) == (False, "edited")
    edit(enabled=True)
    say(ENABLED="false")
    assert row().enabled is False
    edit(enabled=True)
    assert say(ENABLED="false")["edited"] == 1
    assert row().enabled is True


def test_only_a_row_of_ours_is_reset(db):
    with pytest.raises(Exception, match="known are"):
        command("install", "--reset", "nonsense")


def test_processes_read_it(db):
    said = {"CRON_CLEANUP_SCHEDULE": "7 7 * * *", "CRON_CLEANUP_DEADLINE": "77"}
    code = "from cron.jobs import JOBS; j = JOBS['cleanup']; print(j.schedule, j.deadline)"
    start = "import django; django.setup(); "
    ran = subprocess.run(
        [sys.executable, "-c", start + code],
        cwd=settings.BASE_DIR,
        env={**os.environ, **said},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split("\n")[-2] == "7 7 * * * 77"


def test_every_variable_is_explained():
    text = (settings.BASE_DIR / ".env.example").read_text() + (settings.BASE_DIR / "docs/operations.md").read_text()
    for setting in environment.SETTINGS:
        assert text.count(f"CRON_<JOB>_{setting}") >= 2, setting
