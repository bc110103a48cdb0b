"""/api/v1/reports: what is taken, refused, recorded and given out, and to whom."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from compliance.models import ReportRun, ReportSchedule
from compliance.reporting import schedules
from customers import removals
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Role
from tests.caller import Caller, error_of, with_key
from tests.cast import ADA
from tests.race import at_once
from tests.reporting.conftest import (
    ALL,
    NOON,
    TEMPLATE,
    again,
    during,
    files_expire,
    give_up,
    look,
    made,
    make,
    provider,
    recorded,
    work,
)

pytestmark = pytest.mark.usefixtures("db")

SCHEDULE = {
    "name": "Monthly",
    "template": TEMPLATE,
    "formats": ["pdf", "csv"],
    "period": "month",
    "cadence": "monthly",
    "day": 31,
    "time": "08:00",
    "timeZone": "Europe/Berlin",
}
RUN = {"template": TEMPLATE, "formats": ["csv"], "from": "2026-01-01", "to": "2026-01-31", "timeZone": "Asia/Kolkata"}


def post(path: str, body: Any, status: int = 201) -> Any:
    answer = with_key("ada").post(path, body)
    assert answer.status_code == status, answer.content
    return answer.json() if answer.content else None


def refused(path: str, body: Any, *, method: str = "POST") -> str:
    answer = with_key("ada")(method, path, body)
    assert answer.status_code == 400, answer.content
    error = error_of(answer)
    assert error["code"] in ("report_refused", "invalid")
    return str(error["message"])


def test_a_schedule_from_making_to_its_end() -> None:
    desk = provider(kind="email", recipients=["desk@acme.example"])
    with clock.freeze(clock.at("12:00")):
        made_ = post("/reports/schedules", {**SCHEDULE, "channels": [str(desk.pk)]})
    assert {name: made_[name] for name in SCHEDULE} == SCHEDULE
    assert (made_["channels"], made_["enabled"], len(made_["next"])) == ([str(desk.pk)], True, 3)
    one = f"/reports/schedules/{made_['id']}"
    assert with_key("ada").get(one).json()["name"] == "Monthly"
    assert [row["id"] for row in with_key("ada").get("/reports/schedules").json()["schedules"]] == [made_["id"]]
    changed = with_key("ada")("PATCH", one, {"cadence": "weekly", "day": None, "weekday": 2, "period": "week"}).json()
    assert (changed["weekday"], changed["day"], changed["period"]) == (2, None, "week")
    assert with_key("ada")("PATCH", one, {"enabled": False}).json()["next"] == []
    # A provider that it names stays.
    answer = with_key("ada")("DELETE", f"/notifications/providers/{desk.pk}")
    assert (answer.status_code, "Monthly" in error_of(answer)["message"]) == (409, True)
    run = post(f"{one}/run", {}, 202)
    assert (run["trigger"], run["state"], run["scheduleId"], run["requestedBy"] is not None) == (
        "request",
        "queued",
        made_["id"],
        True,
    )
    assert with_key("ada")("DELETE", one).status_code == 204
    assert with_key("ada").get(one).status_code == 404
    assert with_key("ada").post(f"{one}/run", {}).status_code == 404
    assert with_key("ada").get(f"/reports/runs?schedule={made_['id']}").json()["total"] == 1
    verbs = ["report_schedule.create", *["report_schedule.update"] * 2, "report.request", "report_schedule.remove"]
    assert [record.action for record in recorded(*set(verbs))] == verbs


def test_a_report_from_asking_to_its_file_which_is_recorded() -> None:
    run = post("/reports/runs", RUN, 202)
    one = f"/reports/runs/{run['id']}"
    assert (run["from"], run["to"], run["files"], run["dueAt"]) == ("2026-01-01", "2026-01-31", [], None)
    early = with_key("ada").get(f"{one}/download?format=csv")
    assert (early.status_code, error_of(early)["code"]) == (409, "not_completed")
    work(made()[0])
    done = with_key("ada").get(one).json()
    [file] = done["files"]
    assert (done["state"], file["format"]) == ("completed", "csv")
    answer = with_key("ada").get(file["downloadUrl"].removeprefix("/api/v1"))
    assert answer.status_code == 200
    assert len(answer.content) == file["bytes"] == int(answer["Content-Length"])
    # Midnight in Kolkata.
    assert b"2025-12-31T18:30:00+00:00 to 2026-01-31T18:30:00+00:00" in answer.content
    name = f"{TEMPLATE}-acme-2026-01-01-2026-01-31.csv"
    assert (answer["Content-Disposition"], answer["Cache-Control"]) == (f'attachment; filename="{name}"', "no-store")
    [record] = recorded("report.download")
    assert (record.user_name, record.entity_id, record.changes["sha256"]) == ("ada", run["id"], file["sha256"])
    other = with_key("ada").get(f"{one}/download?format=pdf")
    assert (other.status_code, error_of(other)["message"]) == (400, "format: is one of csv.")
    assert with_key("ada").get(f"{one}/download").status_code == 400
    runs = with_key("ada").get("/reports/runs?state=completed").json()
    assert runs["total"] == 1
    # The same list under the name of what it lists.
    reports = with_key("ada").get("/reports?state=completed").json()
    assert reports["reports"] == runs.pop("runs")
    assert reports.items() >= runs.items()
    assert post("/reports", RUN, 202)["state"] == "queued"
    assert with_key("ada").get("/reports/runs?state=failed").json()["total"] == 0
    files_expire(clock.now() + timedelta(days=5000))
    gone = with_key("ada").get(f"{one}/download?format=csv")
    assert (gone.status_code, error_of(gone)["code"]) == (410, "file_gone")
    assert with_key("ada").get(one).json()["files"][0]["downloadUrl"] is None
    with ADA.here():
        removals.remove_doomed(now=clock.now())


def test_one_that_failed_says_why_and_is_tried_again() -> None:
    make(now=clock.now() - timedelta(days=1, hours=1))
    look(clock.now())
    during(ValueError("cust-17"))
    [run] = made()
    give_up(run)
    shown = with_key("ada").get(f"/reports/runs/{run.pk}").json()
    assert (shown["state"], shown["error"], shown["files"]) == ("failed", "template_failed", [])
    assert "ValueError" in shown["detail"]
    assert "cust-17" not in str(shown)
    assert post(f"/reports/runs/{run.pk}/again", None, 202)["state"] == "queued"
    again_ = with_key("ada").post(f"/reports/runs/{run.pk}/again")
    assert (again_.status_code, error_of(again_)["code"]) == (409, "not_failed")
    during(lambda: None)
    work(again(run))
    assert again(run).state == "completed"


def test_an_unknown_template_is_refused_with_those_there_are() -> None:
    for path, body in (("/reports/schedules", SCHEDULE), ("/reports/runs", RUN)):
        message = refused(path, {**body, "template": "audit_integritty"})
        assert message.startswith("template: 'audit_integritty' is no report; known are ")
        assert "audit_integrity," in message
    with ADA.here(), transaction():
        assert not ReportRun.objects.exists()
    assert {r.changes["field"] for r in recorded("report.refused")} == {"template"}


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"template": 7.5}, "template"),
        ({"formats": []}, "formats"),
        ({"formats": ["docx"]}, "formats"),
        ({"formats": "pdf"}, "formats"),
        ({"period": "year"}, "period"),
        ({"cadence": "hourly"}, "cadence"),
        ({"day": None}, "day"),
        ({"day": 0}, "day"),
        ({"day": 32}, "day"),
        ({"day": "1"}, "day"),
        ({"weekday": 1}, "weekday"),
        ({"cadence": "weekly", "day": None}, "weekday"),
        ({"cadence": "weekly", "day": None, "weekday": 8}, "weekday"),
        ({"cadence": "daily", "day": 31}, "day"),
        ({"time": "25:00"}, "time"),
        ({"time": "08:00:30"}, "time"),
        ({"time": 8}, "time"),
        ({"timeZone": "Europe/Atlantis"}, "timeZone"),
        ({"timeZone": "../../etc/passwd"}, "timeZone"),
        ({"timeZone": ""}, "timeZone"),
        ({"channels": ["desk"]}, "channels"),
        ({"channels": [str(uuid4())]}, "channels"),
        ({"channels": [str(uuid4()) for _ in range(11)]}, "channels"),
        ({"next": []}, "next"),
    ],
)
def test_bad_input_names_its_field_and_makes_nothing(more: dict[str, Any], field: str) -> None:
    assert refused("/reports/schedules", {**SCHEDULE, **more}).startswith(field)
    with ADA.here(), transaction():
        assert not ReportSchedule.objects.exists()
    row = make(cadence="monthly", span="month", day=31)
    # A template that there is: of a schedule it stays what it is.
    assert refused(f"/reports/schedules/{row.pk}", more, method="PATCH").startswith(field)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"from": "2026-02-30"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-02-01"}, "from"),
        ({"from": "1999-12-31", "to": "2000-01-01"}, "from"),
        ({"from": "2999-01-01", "to": "2999-01-02"}, "from"),
        # Behind the last day that there is.
        ({"from": "9999-12-31", "to": "9999-12-31", "timeZone": "America/New_York"}, "from"),
        ({"from": "2025-01-30"}, "to"),
        ({"to": None}, "to"),
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
        # Which was not there in Samoa.
        ({"from": "2011-12-30", "to": "2011-12-30", "timeZone": "Pacific/Apia"}, "to"),
        ({"formats": ["xml"]}, "formats"),
        ({"state": "completed"}, "state"),
    ],
)
def test_a_period_is_bounded(more: dict[str, Any], field: str) -> None:
    assert refused("/reports/runs", {**RUN, **more}).startswith(field)
    with ADA.here(), transaction():
        assert not ReportRun.objects.exists()


def test_another_cadence_needs_no_word_about_the_day_of_the_one_before() -> None:
    row = make(span="week", cadence="weekly", weekday=2)
    with ADA.here(), transaction():
        for given, days in (({"cadence": "monthly", "day": 5}, (None, 5)), ({"cadence": "daily"}, (None, None))):
            changed = schedules.change(row.pk, given=given, may=ALL, now=NOON)
            assert (changed.weekday, changed.day) == days
        with pytest.raises(schedules.ReportRefused):
            schedules.change(row.pk, given={"weekday": 2}, may=ALL, now=NOON)


def test_the_template_of_a_schedule_stays() -> None:
    row = make()
    message = refused(f"/reports/schedules/{row.pk}", {"template": "audit_integrity"}, method="PATCH")
    assert message.startswith("template: stays what it is")
    assert with_key("ada")("PATCH", f"/reports/schedules/{row.pk}", {"template": TEMPLATE}).status_code == 200


def test_a_name_is_taken_once_also_by_two_at_once_and_there_is_a_most(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = at_once(*[lambda: with_key("ada").post("/reports/schedules", SCHEDULE).status_code for _ in range(3)])
    assert sorted(answers) == [201, 400, 400]  # type: ignore[type-var]
    monkeypatch.setattr(schedules, "MOST_SCHEDULES", 1)
    assert "1 schedules already" in refused("/reports/schedules", {**SCHEDULE, "name": "Another"})


def test_only_so_many_wait_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from compliance.reporting import runs

    monkeypatch.setattr(runs, "MOST_OPEN", 1)
    post("/reports/runs", RUN, 202)
    answer = with_key("ada").post("/reports/runs", RUN)
    assert (answer.status_code, error_of(answer)["code"]) == (409, "too_many_reports")


def test_who_may_not_read_the_facts_sees_no_report_of_them() -> None:
    scopes = ["read_reports", "manage_reports", "read_dsar"]
    key = post("/api-keys", {"name": "narrow", "role": Role.ADMIN, "scopes": scopes})
    narrow = Caller(authorization=f"Bearer {key['key']}")
    row = make()
    run = post(f"/reports/schedules/{row.pk}/run", {}, 202)
    work(made()[0])
    assert TEMPLATE not in [one["name"] for one in narrow.get("/reports/templates").json()["templates"]]
    assert narrow.get("/reports/schedules").json()["total"] == narrow.get("/reports/runs").json()["total"] == 0
    for method, path in (
        ("GET", f"/reports/schedules/{row.pk}"),
        ("DELETE", f"/reports/schedules/{row.pk}"),
        ("POST", f"/reports/schedules/{row.pk}/run"),
        ("GET", f"/reports/runs/{run['id']}"),
        ("GET", f"/reports/runs/{run['id']}/download?format=csv"),
        ("POST", f"/reports/runs/{run['id']}/again"),
    ):
        assert narrow(method, path, {}).status_code == 404, path
    answer = narrow.post("/reports/runs", RUN)
    assert (answer.status_code, "read_audit" in error_of(answer)["message"]) == (400, True)
    assert recorded("report.download") == []
