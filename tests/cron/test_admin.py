"""The runs page: how each job is doing, what each run came to and for whom, and who may change when it runs."""

import html
import re

import pytest
from django.db import connections
from django.test import Client, override_settings
from django_celery_beat.models import PeriodicTask

from audit import services as log
from cron import beat_rows, runner
from cron.jobs import JOBS
from cron.models import JobRun, Trigger
from cron.timings import when
from kaireon.lib import clock
from tests.cast import ADA, AUD, ED, MALLORY, PASSWORD, VI

RUNS = "/admin/cron/jobrun/"
SCHEDULE = f"{RUNS}schedule/"


@pytest.fixture
def sign_in(db):
    def signed_in(person):
        client = Client(raise_request_exception=False)
        assert client.post("/admin/login/", {"username": person.email, "password": PASSWORD}).status_code == 302
        return client

    return signed_in


def text_of(answer):
    assert answer.status_code == 200
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


def row(name="cleanup"):
    return PeriodicTask.objects.get(name=name)


def test_it_shows_the_state_of_every_job(sign_in, run):
    beat_rows.install()
    assert runner.run_job("dlq-replay", trigger=Trigger.BEAT).ok
    JobRun.objects.create(job="dlq-archive", trigger=Trigger.BEAT, started_at=clock.now())
    client = sign_in(ADA)
    assert client.post(SCHEDULE, {"job": "outbox-reaper", "cron": "*/2 * * * *"}).status_code == 302
    page = client.get(RUNS).content.decode()
    table = page.split('id="jobs"')[1].split("</table>")[0]
    states = dict(re.findall(r'\?job=([a-z-]+)">.*?k-run-([a-z]+)"', table, re.DOTALL))
    # A minute may pass meanwhile.
    states = {name: "new" if state == "late" and row(name).enabled else state for name, state in states.items()}
    assert states == {
        "alerts-evaluate": "new",
        "approvals-expire": "new",
        "audit-publish": "new",
        "audit-verify": "new",
        "audit-witness": "new",
        "certificate-audit": "new",
        "cleanup": "down",
        "disk-projection": "new",
        "dlq-archive": "running",
        "dlq-replay": "up",
        "dsar-purge": "new",
        "engagement-health-recompute": "new",
        "gitops-drift-check": "new",
        "export-interactions": "new",
        "flow-scheduler-tick": "new",
        "hold-reminders": "new",
        "outbox-reaper": "paused",
        "reports-due": "new",
        "vacuum-analyze": "new",
        "security-behavioral-scan": "new",
        "scheduled-retrains": "new",
        "siem-ship": "new",
        "tick": "new",
    }
    assert set(states) == set(JOBS)


def test_a_run_shows_slot_trigger_duration_and_every_tenants_outcome_to_operators(sign_in, run):
    page = text_of(sign_in(ADA).get(f"{RUNS}{run.pk}/change/"))
    slot = f"{run.slot:%Y-%m-%d %H:%M:%S}".removesuffix(":00")
    for said in (slot, "HTTP", "2.5 s", "Failed", "1 of 2 tenants failed", "Ada", "req-7"):
        assert said in page, said
    for said in ("acme", "globex", "OperationalError", "interactionHistory", '"partitionsCreated": 7'):
        assert said in page, said


def test_others_see_what_it_came_to_at_home(sign_in, run):
    page = text_of(sign_in(MALLORY).get(f"{RUNS}{run.pk}/change/"))
    assert "OperationalError" in page
    for hidden in ("interactionHistory", "1 of 2 tenants", "acme", "Ada", "partitionsCreated"):
        assert hidden not in page, hidden


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("job=cleanup", True),
        ("job=dlq-archive", False),
        ("trigger__exact=http", True),
        ("trigger__exact=beat", False),
        ("state__exact=failed", True),
        ("state__exact=succeeded", False),
        ("started_at_days=1", True),
        ("q=req-7", True),
        ("q=cleanup", True),
        ("q=req-8", False),
    ],
)
def test_runs_are_filtered_and_found(sign_in, run, query, found):
    page = sign_in(ADA).get(f"{RUNS}?{query}").content.decode()
    assert (str(run.pk) in page.split('id="changelist-form"')[1]) is found


def test_the_list_says_what_was_extra_and_what_only_pretended(sign_in, db):
    runner.run_job("cleanup", trigger=Trigger.COMMAND, dry_run=True)
    runner.run_job("cleanup", trigger=Trigger.COMMAND)
    listed = sign_in(ADA).get(RUNS).content.decode().split('id="result_list"')[1]
    slots = re.findall(r"field-slot_label[^>]*>(.*?)</td>", listed, re.DOTALL)
    assert [re.sub(r"<[^>]+>|\s+", " ", slot).strip() for slot in slots] == ["extra", "dry run"]


def test_an_operator_says_when_a_job_runs_and_takes_it_back(sign_in, db):
    beat_rows.install()
    client = sign_in(ADA)
    form = client.get(f"{SCHEDULE}?job=cleanup").content.decode()
    assert 'value="30 4 * * *"' in form
    assert client.post(SCHEDULE, {"job": "cleanup", "cron": " 0  5 * * * ", "enabled": "on"}).status_code == 302
    assert (when(row()), row().enabled) == ("0 5 * * *", True)
    assert "edited here" in text_of(client.get(RUNS))
    beat_rows.install()
    assert when(row()) == "0 5 * * *"
    assert client.post(SCHEDULE, {"job": "cleanup", "cron": "0 5 * * *"}).status_code == 302
    assert row().enabled is False
    assert client.post(SCHEDULE, {"job": "cleanup", "cron": "nonsense", "back": "on"}).status_code == 302
    assert (when(row()), row().enabled) == ("30 4 * * *", True)
    assert "edited here" not in text_of(client.get(RUNS))
    log.drain("_platform")
    with connections["sequencer"].cursor() as cursor:
        cursor.execute(
            "SELECT user_name FROM audit_record WHERE tenant_id = '_platform' AND entity_type = 'PeriodicTask'"
            " AND entity_name = 'cleanup' AND action = 'update'"
        )
        assert cursor.fetchall() == [("Ada",)] * 3


@pytest.mark.parametrize("cron", ["", "daily", "* * * *", "61 * * * *", "0 0 31 2 *", "* * * * *\x00", "0 5 * * * UTC"])
def test_what_is_no_schedule_is_refused_beside_the_form(sign_in, db, cron):
    beat_rows.install()
    answer = sign_in(ADA).post(SCHEDULE, {"job": "cleanup", "cron": cron, "enabled": "on"})
    assert answer.status_code == 200
    assert when(row()) == "30 4 * * *"


def test_an_unknown_job_is_refused_at_both_buttons(sign_in, db):
    client = sign_in(ADA)
    assert client.post(SCHEDULE, {"job": "nonsense", "cron": "* * * * *"}).status_code == 200
    assert client.post(f"{RUNS}start/", {"job": "nonsense"}).status_code == 200
    assert client.get(f"{SCHEDULE}?job=nonsense").status_code == 200
    assert not PeriodicTask.objects.exists()


@pytest.mark.parametrize("person", [MALLORY, ED, VI, AUD], ids=["other tenant", "editor", "viewer", "auditor"])
def test_nobody_else_changes_a_schedule(sign_in, person):
    beat_rows.install()
    client = sign_in(person)
    for answer in (client.get(SCHEDULE), client.post(SCHEDULE, {"job": "cleanup", "cron": "0 5 * * *"})):
        assert answer.status_code == 403
    assert (when(row()), row().enabled) == ("30 4 * * *", True)
    assert "Change a schedule" not in client.get(RUNS).content.decode()


def test_without_an_operators_tenant_nobody_does(sign_in, run):
    client = sign_in(ADA)
    with override_settings(OPERATOR_TENANT=""):
        assert client.get(SCHEDULE).status_code == 403
        assert "globex" not in text_of(client.get(f"{RUNS}{run.pk}/change/"))


def test_a_job_without_a_schedule_of_ours_gets_one_and_loses_it_again(sign_in, db, monkeypatch):
    from dataclasses import replace

    monkeypatch.setitem(JOBS, "cleanup", replace(JOBS["cleanup"], schedule=None, unscheduled="The operator chooses."))
    monkeypatch.setattr(beat_rows, "SCHEDULE", tuple(e for e in beat_rows.SCHEDULE if e.name != "cleanup"))
    client = sign_in(ADA)
    assert "The operator chooses." in text_of(client.get(RUNS))
    assert client.post(SCHEDULE, {"job": "cleanup", "cron": "0 5 * * *", "enabled": "on"}).status_code == 302
    beat_rows.install()
    assert (row().task, row().kwargs, when(row())) == ("cron.run", '{"job": "cleanup"}', "0 5 * * *")
    assert client.post(SCHEDULE, {"job": "cleanup", "back": "on"}).status_code == 302
    assert not PeriodicTask.objects.filter(name="cleanup").exists()


@pytest.mark.parametrize("person", [ED, VI, AUD], ids=lambda p: p.role)
def test_only_admins_start_a_job(sign_in, person):
    assert sign_in(person).post(f"{RUNS}start/", {"job": "cleanup"}).status_code == 403


def test_a_broker_that_is_away_is_told(sign_in, db, monkeypatch):
    from kombu.exceptions import OperationalError

    from cron import tasks

    def away(**_):
        raise OperationalError

    monkeypatch.setattr(tasks.run, "delay", away)
    answer = sign_in(ADA).post(f"{RUNS}start/", {"job": "cleanup"}, follow=True)
    assert "cleanup was not started: the message broker does not answer" in text_of(answer)
