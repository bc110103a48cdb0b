"""The pipeline endpoints, as callers use them and misuse them."""

from typing import Any
from uuid import uuid4

import pytest

from kaireon.flows.models import FlowRun
from kaireon.jobs import runner
from kaireon.tenancy.context import transaction
from tests.caller import Caller, error_of, with_key
from tests.cast import ADA, KEYS
from tests.flows.conftest import put

DEFINITION = {
    "steps": [
        {"name": "read", "node": "load_file", "params": {"file": "in.csv", "format": "csv"}},
        {"name": "store", "node": "write_entity", "params": {"entity": "customers"}},
    ]
}


def body(**more: Any) -> dict[str, Any]:
    return {"name": "nightly", "definition": DEFINITION, **more}


@pytest.fixture
def ada(db: str) -> Caller:
    return with_key("ada")


def made(ada: Caller, **more: Any) -> dict[str, Any]:
    answer = ada.post("/pipelines", body(**more))
    assert answer.status_code == 201, answer.content
    shown: dict[str, Any] = answer.json()
    return shown


def test_a_pipeline_is_made_read_changed_and_deleted(ada: Caller) -> None:
    pipeline = made(ada, schedule={"cron": "0 2 * * *", "timeZone": "Europe/Berlin"}, description="by night")
    assert pipeline["version"] == 1
    assert pipeline["schedule"] == {"cron": "0 2 * * *", "timeZone": "Europe/Berlin", "missed": "last"}
    assert len(pipeline["nextRuns"]) == 5
    path = f"/pipelines/{pipeline['id']}"
    assert ada.get(path).json() == pipeline
    assert ada.get("/pipelines").json()["pipelines"] == [pipeline]
    changed = ada("PUT", path, body(name="daily", enabled=False, version=1)).json()
    assert (changed["name"], changed["version"], changed["nextRuns"]) == ("daily", 2, [])
    assert error_of(ada("PUT", path, body(version=1)))["code"] == "pipeline_changed"
    assert error_of(ada.post(f"{path}/execute"))["code"] == "pipeline_disabled"
    assert ada.delete(path).status_code == 204
    for method in ("GET", "PUT", "DELETE"):
        assert ada(method, path, body()).status_code == 404
    assert ada.get("/pipelines").json()["total"] == 0


def test_a_run_is_started_both_ways_and_its_progress_shown(ada: Caller) -> None:
    with ADA.here():
        put("in.csv", "customerId,birthDate\nc-1,1980-01-01\nc-2,tomorrow\n")
    pipeline = made(ada)
    first = ada.post(f"/pipelines/{pipeline['id']}/execute")
    second = ada.post("/pipelines/execute", {"pipelineId": pipeline["id"]})
    assert (first.status_code, second.status_code) == (202, 202)
    assert list(first.json()) == ["runId"]
    path = f"/pipelines/{pipeline['id']}/runs/{first.json()['runId']}/progress"
    waiting = ada.get(path).json()
    assert (waiting["state"], waiting["percent"], waiting["etaSeconds"]) == ("queued", 0.0, None)
    assert [(s["name"], s["node"], s["state"]) for s in waiting["steps"]] == [
        ("read", "load_file", "waiting"),
        ("store", "write_entity", "waiting"),
    ]
    with ADA.here():
        with transaction():
            job = FlowRun.objects.get(pk=first.json()["runId"]).job_ref
        runner.run(job_id=job)
    done = ada.get(path).json()
    assert (done["state"], done["percent"]) == ("done", 100.0)
    assert (done["rowsIn"], done["rowsOut"], done["rowsFailed"]) == (2, 1, 1)
    assert done["rejects"].startswith("flows/acme/rejects/")
    runs = ada.get(f"/pipelines/{pipeline['id']}/runs").json()
    assert [r["state"] for r in runs["runs"]] == ["queued", "done"]
    assert runs["total"] == 2


def test_a_replayed_start_is_the_same_run(ada: Caller) -> None:
    path = f"/pipelines/{made(ada)['id']}/execute"
    first, second = (ada.post(path, {}, idempotency_key="k").json() for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"definition": {"steps": []}}, "definition.steps"),
        ({"definition": []}, "definition"),
        ({"definition": {"steps": [{"name": "a", "node": "x"}]}}, "definition.steps[0].node"),
        ({"definition": {"steps": [{**DEFINITION["steps"][0], "params": {}}]}}, "definition.steps[0].params.file"),
        ({"definition": {"steps": [{"name": "a", "node": "filter", "needs": ["a"]}]}}, "definition.steps[0]"),
        ({"definition": {"steps": [{"name": "a\x00", "node": "filter"}]}}, "definition"),
        ({"schedule": {"cron": "61 * * * *"}}, "schedule.cron"),
        ({"schedule": {"rrule": "FREQ=NEVER"}}, "schedule.rrule"),
        ({"schedule": {"every": 1}}, "schedule.every"),
        ({"schedule": {"cron": "* * * * *", "timeZone": "Nowhere"}}, "schedule.timeZone"),
        ({"schedule": "daily"}, "schedule"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"enabled": "yes"}, "enabled"),
        ({"tenantId": "globex"}, "tenantId"),
    ],
)
def test_what_cannot_be_is_400_by_its_field(ada: Caller, more: dict[str, Any], field: str) -> None:
    answer = ada.post("/pipelines", body(**more))
    assert answer.status_code == 400, answer.content
    assert error_of(answer)["message"].startswith(field), answer.content


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"cron": "61 * * * *"}, "schedule.cron: '61' is no minute: 0 to 59, *, lists, ranges, /steps."),
        ({"cron": "0 0 30 2 *"}, "schedule.cron: names a day that never comes."),
        ({"rrule": "FREQ=DAILY;BYHOUR=24"}, "schedule.rrule: BYHOUR must be 0 to 23."),
        (
            {"rrule": "every day"},
            "schedule.rrule: 'EVERY DAY' is no NAME=VALUE, or comes twice.",
        ),
        (
            {"rrule": "FREQ=FORTNIGHTLY"},
            "schedule.rrule: is no RRULE of RFC 5545, such as FREQ=WEEKLY;BYDAY=MO;BYHOUR=6.",
        ),
        (
            {"every": 900, "timeZone": "Berlin"},
            "schedule.timeZone: must be a name of the IANA database, such as Europe/Berlin.",
        ),
        ({"every": "900"}, "schedule.every: must be whole seconds from 60 to 31622400."),
    ],
)
def test_a_wrong_schedule_is_told_what_to_write_instead(ada: Caller, schedule: object, message: str) -> None:
    answer = ada.post("/pipelines", body(schedule=schedule))
    assert (answer.status_code, error_of(answer)["message"]) == (400, message)
    assert ada.get("/pipelines").json()["total"] == 0


def test_a_name_is_taken_once(ada: Caller) -> None:
    made(ada)
    assert error_of(ada.post("/pipelines", body()))["code"] == "name_taken"
    other = made(ada, name="other")
    assert error_of(ada("PUT", f"/pipelines/{other['id']}", body()))["code"] == "name_taken"


def test_what_is_not_there_is_404(ada: Caller) -> None:
    nobody = uuid4()
    assert ada.post("/pipelines/execute", {"pipelineId": str(nobody)}).status_code == 404
    assert ada.get(f"/pipelines/{made(ada)['id']}/runs/{nobody}/progress").status_code == 404
    assert ada.post("/pipelines/execute", {"pipelineId": "x"}).status_code == 400
    assert ada.post("/pipelines/execute", {}).status_code == 400


@pytest.mark.parametrize("nick", ["ed", "aud", "vi"])
def test_only_admins_may(ada: Caller, nick: str) -> None:
    path = f"/pipelines/{made(ada)['id']}"
    for method, where in (("GET", "/pipelines"), ("POST", "/pipelines"), ("GET", path), ("POST", f"{path}/execute")):
        assert with_key(nick)(method, where, body()).status_code == 403


def test_another_tenants_pipeline_is_as_if_it_were_not(ada: Caller) -> None:
    pipeline = made(ada)
    run = ada.post(f"/pipelines/{pipeline['id']}/execute").json()["runId"]
    mallory = Caller(authorization=f"Bearer {KEYS['mallory']}")
    path = f"/pipelines/{pipeline['id']}"
    for method, where in (
        ("GET", path),
        ("PUT", path),
        ("DELETE", path),
        ("POST", f"{path}/execute"),
        ("GET", f"{path}/runs"),
        ("GET", f"{path}/runs/{run}/progress"),
    ):
        assert mallory(method, where, body() if method == "PUT" else None).status_code == 404, where
    assert mallory.post("/pipelines/execute", {"pipelineId": pipeline["id"]}).status_code == 404
    assert mallory.get("/pipelines").json()["pipelines"] == []
