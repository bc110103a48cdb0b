"""POST /api/cron/tick, the address of older schedulers: three headers, one secret, what is due in every tenant."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.test import Client, override_settings

from compliance.models import ReportSchedule
from cron import alerts, runner
from cron.locks import only_run
from cron.models import JobRun, Trigger
from cron.work import Work
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import transaction
from tests.alerting.conftest import _figure, course, figure, make  # noqa: F401
from tests.caller import error_of
from tests.cast import ACME, ADA, GLOBEX, KEYS, MALLORY
from tests.reporting.conftest import made
from tests.reporting.conftest import make as report

URL = "/api/cron/tick"
SECRET = "test-cron-secret"
TOKEN = "a-token-of-the-tick-alone"
HEADERS = ("x-cron-token", "x-cron-secret", "authorization")

pytestmark = pytest.mark.usefixtures("db")


def tick(method: str = "POST", **headers: str) -> Any:
    return Client(raise_request_exception=False).generic(method, URL, headers=headers)


def by(header: str, secret: str) -> dict[str, str]:
    return {header: f"Bearer {secret}" if header == "authorization" else secret}


@pytest.mark.parametrize("header", HEADERS)
def test_each_of_three_headers_opens_it(header: str) -> None:
    answer = tick(**by(header, SECRET))
    assert answer.status_code == 200, answer.content
    assert answer.json()["ok"] is True
    nothing = {"rules": 0, "alerting": 0, "changes": 0, "notified": 0}
    none = {"schedules": 0, "queued": 0, "again": 0, "skipped": 0}
    assert answer.json()["perTenant"] == [
        {"tenantId": tenant, "alerts": nothing, "reports": none, "errors": []} for tenant in (ACME, GLOBEX)
    ]
    assert (JobRun.objects.get().job, JobRun.objects.get().trigger) == ("tick", "http")


@pytest.mark.parametrize("header", HEADERS)
def test_a_token_of_its_own_takes_the_place_of_the_secret(header: str) -> None:
    with override_settings(CRON_TOKEN=TOKEN):
        assert tick(**by(header, TOKEN)).status_code == 200
        assert tick(**by(header, SECRET)).status_code == 401


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("given", ["", "wrong", SECRET[:-1], SECRET + "2", "geheimnis-ü", "秘密", KEYS["ada"]])
def test_anything_else_is_refused(header: str, given: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = tick(**by(header, given))
    assert answer.status_code == 401
    assert error_of(answer)["code"] == "unauthenticated"
    assert "x-cron-token" in error_of(answer)["message"]
    assert not JobRun.objects.exists()
    assert [r.reason for r in caplog.records if r.getMessage() == "auth_failure"] == ["cron_secret"]
    assert given not in caplog.text or not given


@pytest.mark.parametrize("header", HEADERS)
def test_without_token_and_secret_nothing_is_right_and_that_is_logged(
    header: str, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(CRON_TOKEN="", CRON_SECRET=""):
        for given in ("", SECRET):
            assert tick(**by(header, given)).status_code == 401
    refusals = [record for record in caplog.records if record.getMessage() == "cron_misconfigured"]
    assert {record.levelno for record in refusals} == {logging.ERROR}
    assert not JobRun.objects.exists()


def test_other_headers_open_nothing() -> None:
    for headers in ({"x-api-key": KEYS["ada"]}, {"x-service-key": SECRET}, {"authorization": f"Basic {SECRET}"}):
        assert tick(**headers).status_code == 401


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_is_405(method: str) -> None:
    answer = tick(method, **by("x-cron-token", SECRET))
    assert answer.status_code == 405
    assert answer["Allow"] == "POST, OPTIONS"
    assert not JobRun.objects.exists()


def test_it_evaluates_the_rules_of_every_tenant() -> None:
    mine, theirs = make(), make(MALLORY)
    figure(11)
    figure(12, GLOBEX)
    answer = tick(**by("x-cron-token", SECRET)).json()
    assert [entry["alerts"]["changes"] for entry in answer["perTenant"]] == [1, 1]
    assert course(mine) == course(theirs, MALLORY) == ["firing"]


def test_one_tenants_failure_is_told_in_a_500_after_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = make(MALLORY)
    figure(12, GLOBEX)
    real = alerts.evaluate

    def failing(work: Work) -> alerts.Answer:
        if context.tenant_id() == ACME:
            raise ValueError("cust-17")
        return real(work)

    monkeypatch.setitem(alerts.DUE, "alerts", failing)
    monkeypatch.setitem(alerts.DUE, "more", lambda work: ({"done": 1}, ()))
    answer = tick(**by("x-cron-token", SECRET))
    assert answer.status_code == 500
    body = answer.json()
    assert (body["ok"], body["error"]) == (False, "1 of 2 tenants failed")
    acme, globex = body["perTenant"]
    none = {"schedules": 0, "queued": 0, "again": 0, "skipped": 0}
    said = {"alerts": {}, "reports": none, "more": {"done": 1}}
    assert acme == {"tenantId": ACME, **said, "errors": ["alerts: ValueError"]}
    assert globex["alerts"]["changes"] == 1
    assert course(theirs, MALLORY) == ["firing"]
    # With its trace: the answer has its class alone.
    (line,) = [record for record in caplog.records if record.getMessage() == "job_failed" and record.exc_info]
    assert (line.__dict__["job"], line.__dict__["tenant"]) == ("tick: alerts", ACME)


def test_a_run_whose_time_is_over_does_not_go_on_with_the_next_tenant() -> None:
    make()
    make(MALLORY)
    asked = []

    def ended() -> float:
        asked.append(context.tenant_id())
        raise SoftTimeLimitExceeded

    figure(ended)
    figure(ended, GLOBEX)
    answer = tick(**by("x-cron-token", SECRET))
    assert (answer.status_code, answer.json()["error"], asked) == (500, "SoftTimeLimitExceeded", [ACME])


def test_it_queues_the_reports_of_every_tenant_and_one_that_fails_does_not_keep_the_next() -> None:
    long_ago = clock.now() - timedelta(days=3)
    broken = report(now=long_ago, name="Broken")
    report(now=long_ago, name="Whole")
    report(MALLORY, now=long_ago)
    with ADA.here(), transaction():
        ReportSchedule.objects.filter(pk=broken.pk).update(time_zone="Europe/Atlantis")
    answer = tick(**by("x-cron-token", SECRET))
    assert answer.status_code == 500
    acme, globex = answer.json()["perTenant"]
    assert (acme["reports"]["queued"], acme["errors"]) == (3, ["reports: TimeZoneGone"])
    assert (globex["reports"]["queued"], globex["errors"]) == (3, [])
    assert [len(made()), len(made(MALLORY))] == [3, 3]
    # Its own job finds nothing more to do, nor does the next tick.
    assert runner.run_job("reports-due", trigger=Trigger.COMMAND).body["perTenant"][1]["queued"] == 0
    assert len(made()) == 3
    # Of a dry run only that there are some.
    dry = runner.run_job("reports-due", trigger=Trigger.COMMAND, dry_run=True).body["perTenant"]
    assert [entry["schedules"] for entry in dry] == [2, 1]


def test_a_figure_that_fails_is_told_too() -> None:
    make()
    figure(ValueError("cust-17"))
    answer = tick(**by("x-cron-token", SECRET))
    assert answer.status_code == 500
    assert answer.json()["perTenant"][0]["errors"] == ["alerts: test_figure: ValueError"]
    assert b"cust-17" not in answer.content


def test_one_at_a_time() -> None:
    with only_run("tick") as free:
        assert free
        assert tick(**by("x-cron-token", SECRET)).json() == {"ok": True, "skipped": "already running"}
