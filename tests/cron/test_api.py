"""POST /api/v1/cron/<name>: the cron secret opens it, nothing else does."""

import logging

import pytest
from django.test import override_settings

from cron import jobs, runner
from cron.locks import only_run
from cron.models import JobRun
from cron.work import Job
from kaireon.tenancy import context
from tests.cast import ACME, KEYS

URL = "/api/v1/cron/cleanup"
RIGHT = {"HTTP_AUTHORIZATION": "Bearer test-cron-secret"}


def test_it_runs_the_job_and_answers_its_body(http):
    answer = http.post(URL, **RIGHT)
    assert answer.status_code == 200
    assert answer.json()["ok"] is True
    assert [entry["tenantId"] for entry in answer.json()["perTenant"]] == ["acme", "globex"]
    assert JobRun.objects.get().trigger == "http"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer test-cron-secre",
        "Bearer test-cron-secret2",
        "Basic test-cron-secret",
        "test-cron-secret",
        "Bearer test-scheduler-key",
        "Bearer geheimnis-ü",
        "Bearer \xff\xfe",
        "Bearer 秘密",
        f"Bearer {KEYS['ada']}",
    ],
)
def test_anything_else_is_refused(http, header, caplog):
    answer = http.post(URL, HTTP_AUTHORIZATION=header)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthenticated"
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert not JobRun.objects.exists()
    (refusal,) = [r for r in caplog.records if r.getMessage() == "auth_failure"]
    assert (refusal.reason, refusal.source_ip) == ("cron_secret", "127.0.0.1")


def test_other_headers_and_parameters_open_nothing(http):
    for headers in ({"HTTP_X_API_KEY": KEYS["ada"]}, {"HTTP_X_CRON_SECRET": "test-cron-secret"}):
        assert http.post(URL, **headers).status_code == 401
    assert http.post(URL + "?secret=test-cron-secret").status_code == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer x", "Bearer test-cron-secret", "Bearer None"])
def test_without_a_secret_nothing_is_right_and_that_is_logged(http, header, caplog):
    with override_settings(CRON_SECRET=""):
        assert http.post(URL, HTTP_AUTHORIZATION=header).status_code == 401
    assert "cron_misconfigured" in [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]


def test_a_secret_may_be_any_text(http):
    with override_settings(CRON_SECRET="geheimnis-ü-秘密"):
        on_the_wire = "Bearer geheimnis-ü-秘密".encode().decode("latin-1")
        assert http.post(URL, HTTP_AUTHORIZATION=on_the_wire).status_code == 200
        assert http.post(URL, HTTP_AUTHORIZATION="Bearer geheimnis-ü").status_code == 401


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_other_methods_are_405(http, method):
    answer = getattr(http, method)(URL, **RIGHT)
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"
    assert not JobRun.objects.exists()


def test_an_unknown_job_is_404_only_to_those_who_may_ask(http):
    assert http.post("/api/v1/cron/nonsense", **RIGHT).status_code == 404
    assert http.post("/api/v1/cron/nonsense").status_code == 401


def test_an_overlap_answers_skipped(http):
    with only_run("cleanup"):
        answer = http.post(URL, **RIGHT)
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "skipped": "already running"})


def test_a_failure_inside_is_500_with_the_jobs_own_body(http, monkeypatch):
    def function(work):
        if context.tenant_id() == ACME:
            raise ValueError
        return {"tidied": 1}, ()

    monkeypatch.setitem(jobs.JOBS, "tidy", Job(name="tidy", help="Tidies.", for_tenant=function, unscheduled="test"))
    answer = http.post("/api/v1/cron/tidy", **RIGHT)
    assert answer.status_code == 500
    assert answer.json() == {
        "ok": False,
        "error": "1 of 2 tenants failed",
        "tenantsScanned": 2,
        "perTenant": [
            {"tenantId": "acme", "errors": ["ValueError"]},
            {"tenantId": "globex", "tidied": 1, "errors": []},
        ],
    }


def test_a_body_is_ignored_whatever_it_holds(http):
    answer = http.post(URL, data=b"{not json", content_type="application/json", **RIGHT)
    assert answer.status_code == 200
    assert runner.run_job("cleanup", trigger="http").ok
