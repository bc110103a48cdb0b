"""Plans of a purge over HTTP, as a background job, and from the console."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from audit import services as log
from audit.models import AuditRecord
from compliance.models import PurgePlan
from compliance.purging import applying, jobs, plans, refusals
from customers.models import Interaction
from kaireon.approvals import services as approvals
from kaireon.jobs import runner
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.caller import error_of, with_key
from tests.cast import ACME
from tests.compliance.rows import ADA, NOW, count, customer, interactions, policy

URL = "/retention/plans"


@pytest.fixture(autouse=True)
def _noon():
    with clock.freeze(NOW):
        yield


@pytest.fixture
def old(db):
    who = customer()
    interactions(who, 40, 50, 60, 1)
    policy("interactions", 30)
    return who


def work(job_id):
    with ADA.here():
        return runner.run(job_id=job_id)


def test_it_is_made_shown_and_applied_by_a_worker(old):
    ada = with_key("ada")
    made = ada.post(URL, {"dataClasses": ["interactions"]})
    assert made.status_code == 201
    plan = made.json()
    assert (plan["state"], plan["rows"], plan["percent"], plan["dataClasses"]) == ("planned", 3, 0, ["interactions"])
    (item,) = plan["items"]
    assert (item["entity"], item["rows"], item["rowsNow"], item["retentionDays"]) == ("interactionHistory", 3, 3, 30)
    listed = ada.get(URL).json()
    assert (listed["total"], listed["plans"][0]["id"]) == (1, plan["id"])
    answer = ada.post(f"{URL}/{plan['id']}/apply")
    assert (answer.status_code, answer.json()["state"]) == (202, "applying")
    assert error_of(ada.post(f"{URL}/{plan['id']}/apply"))["code"] == "plan_under_way"
    job = work(answer.json()["jobId"])
    assert (job.state, job.result) == (JobState.DONE, {"rows": 3})
    after = ada.get(f"{URL}/{plan['id']}").json()
    assert (after["state"], after["deleted"], after["percent"], after["error"]) == ("applied", 3, 100, None)
    assert after["items"][0]["rowsNow"] == 0
    assert count(Interaction) == 1
    (disposed,) = ada.get("/retention/dispositions").json()["dispositions"]
    # Not the job's name: it was she who had it applied.
    assert (disposed["plan"], disposed["doneByName"]) == (plan["id"], after["appliedByName"])


def test_beside_now_it_shows_what_came_since_and_is_refused(old):
    ada = with_key("ada")
    plan = ada.post(URL, {}).json()
    interactions(old, 45)
    (item,) = ada.get(f"{URL}/{plan['id']}").json()["items"]
    assert (item["rows"], item["rowsNow"]) == (3, 4)
    error = error_of(ada.post(f"{URL}/{plan['id']}/apply"))
    assert (error["status"], error["code"]) == (409, "set_grew")
    assert "Make a new plan" in error["message"]
    log.drain(ACME)
    with ADA.here(), transaction():
        assert AuditRecord.objects.get(action=refusals.VERB).changes == {"reason": "set_grew"}
    assert count(Interaction) == 5


def test_a_job_that_ran_out_of_time_is_queued_again_and_goes_on(old, monkeypatch):
    monkeypatch.setattr(jobs, "SECONDS", 0)
    plain = applying.go_on
    monkeypatch.setattr(applying, "go_on", lambda **given: plain(size=2, **given))
    ada = with_key("ada")
    plan = ada.post(URL, {}).json()
    job_id = ada.post(f"{URL}/{plan['id']}/apply").json()["jobId"]
    job = work(job_id)
    assert (job.state, job.failures, count(Interaction)) == (JobState.QUEUED, 0, 2)
    assert ada.get(f"{URL}/{plan['id']}").json()["percent"] == 66
    assert (work(job_id).state, count(Interaction)) == (JobState.DONE, 1)


def test_a_hold_on_the_way_ends_the_job_for_good(old):
    ada = with_key("ada")
    plan = ada.post(URL, {}).json()
    job_id = ada.post(f"{URL}/{plan['id']}/apply").json()["jobId"]
    policy("interactions", 30, hold=True)
    job = work(job_id)
    assert (job.state, job.error) == (JobState.FAILED, "hold_appeared")
    assert ada.get(f"{URL}/{plan['id']}").json()["state"] == "stopped"
    assert count(Interaction) == 4
    with ADA.here(), transaction():
        assert not Job.objects.open().filter(type=applying.JOB_TYPE).exists()


def test_where_two_must_agree_it_waits(old):
    with ADA.here(), transaction():
        approvals.demand_second_person(plans.VERB, demanded=True, now=NOW)
    ada = with_key("ada")
    plan = ada.post(URL, {}).json()
    assert plan["approvalId"]
    assert error_of(ada.post(f"{URL}/{plan['id']}/apply"))["code"] == "plan_not_approved"


def test_another_tenants_is_not_there(old):
    plan = with_key("ada").post(URL, {}).json()
    mallory = with_key("mallory")
    assert mallory.get(f"{URL}/{plan['id']}").status_code == 404
    assert mallory.post(f"{URL}/{plan['id']}/apply").status_code == 404
    assert mallory.get(URL).json()["plans"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"dataClasses": ["nonsense"]}, "dataClasses"),
        ({"dataClasses": []}, "dataClasses"),
        ({"dataClasses": "interactions"}, "dataClasses"),
        ({"sweptBy": "broom"}, "sweptBy"),
        ({"tenantId": "globex"}, "tenantId"),
    ],
)
def test_it_names_what_is_wrong(db, body, field):
    answer = with_key("ada").post(URL, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(field)


def command(*arguments):
    out = StringIO()
    name, *rest = arguments
    call_command(name, "--tenant", "acme", *rest, stdout=out, no_color=True, verbosity=0)
    return out.getvalue()


def test_the_commands_plan_show_and_apply(old):
    dry = json.loads(command("retention_plan", "--dry-run", "--json"))
    assert (dry["rows"], dry["dryRun"]) == (3, True)
    assert "There are no plans." in command("retention_plan", "--list")
    made = json.loads(command("retention_plan", "--data-class", "interactions", "--json"))
    assert "interactions/interactionHistory" in command("retention_plan", "--show", made["id"])
    assert "0 of 3 rows" in command("retention_plan", "--list")
    tried = json.loads(command("retention_apply", made["id"], "--dry-run", "--json"))
    assert (tried["rows"], tried["finished"], count(Interaction)) == (3, True, 4)
    assert "3 of 3 rows deleted." in command("retention_apply", made["id"])
    assert count(Interaction) == 1
    with pytest.raises(CommandError, match="plan_already_applied"):
        command("retention_apply", made["id"])


def test_the_commands_say_what_is_wrong(old):
    nobodys = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(CommandError, match="no such plan"):
        command("retention_apply", nobodys)
    with pytest.raises(CommandError, match="no such plan"):
        command("retention_plan", "--show", nobodys)
    with pytest.raises(CommandError, match="known are"):
        command("retention_plan", "--data-class", "nonsense")
    with ADA.here(), transaction():
        approvals.demand_second_person(plans.VERB, demanded=True, now=NOW)
    with pytest.raises(CommandError, match="--ask-as"):
        command("retention_plan")
    with pytest.raises(CommandError, match="no member"):
        command("retention_plan", "--ask-as", "nobody@acme.example")
    with pytest.raises(CommandError, match="may not manage retention"):
        command("retention_plan", "--ask-as", "vi@acme.example")
    asked = json.loads(command("retention_plan", "--ask-as", "ada@acme.example", "--json"))
    assert asked["approvalId"]
    with clock.freeze(NOW + timedelta(days=2)), pytest.raises(CommandError, match="plan_stale"):
        command("retention_apply", asked["id"])
    with ADA.here(), transaction():
        assert PurgePlan.objects.count() == 1
