"""GET|POST security-behavioral-scan: the scheduler's key opens it; what goes wrong is heard."""

import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import OperationalError
from django.test import Client, override_settings

from compliance.detection import scanning, sentry
from cron import detection, environment, runner, scan_api
from cron.jobs import JOBS
from cron.locks import only_run
from cron.models import JobRun, RunState, Trigger
from kaireon.lib import clock
from kaireon.tenancy import internal_services
from tests.cast import ACME, KEYS
from tests.compliance.detection_log import joined, run_flow, signals

URLS = ("/api/v1/cron/security-behavioral-scan", "/api/cron/security-behavioral-scan")
RIGHT = {"X-Service-Key": "test-scheduler-key"}


def ask(url: str = URLS[0], method: str = "POST", **headers: str) -> Any:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client(raise_request_exception=False).generic(method, url, headers=given)


def right(url: str = URLS[0], method: str = "POST") -> Any:
    return Client(raise_request_exception=False).generic(method, url, headers=RIGHT)


def said(caplog: Any, event: str) -> list[Any]:
    return [r for r in caplog.records if r.getMessage() == event]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_scheduler_has_it_scan(db, url, method, caplog):
    caplog.set_level("INFO")
    run_flow(joined("new"))
    answer = right(url, method)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["newAccountFirstWorkflowEvents"], body["ok"], body["signals"], body["pages"]) == (1, True, 1, 0)
    assert isinstance(body["durationMs"], int)
    # Whose they are is not the scheduler's to know.
    assert "perTenant" not in body
    assert right(url, method).json()["newAccountFirstWorkflowEvents"] == 0
    assert JobRun.objects.filter(job=detection.NAME, trigger="http", state=RunState.SUCCEEDED).count() == 2
    assert len(said(caplog, "security.behavioral.scan_ok")) == 2
    assert [(r.service, r.accepted) for r in said(caplog, "internal_service_auth")] == [("scheduler", True)] * 2


REFUSED = {
    "nothing": {},
    "empty": {"X_Service_Key": ""},
    "wrong": {"X_Service_Key": "wrong"},
    "shorter": {"X_Service_Key": "test-scheduler-ke"},
    "longer": {"X_Service_Key": "test-scheduler-key2"},
    "mcp": {"X_Service_Key": "test-mcp-service-key"},
    "events": {"X_Service_Key": "test-events-service-key"},
    "hub": {"X_Service_Key": "test-hub-service-key"},
    "cron secret": {"X_Service_Key": "test-cron-secret"},
    "cron secret as bearer": {"Authorization": "Bearer test-cron-secret"},
    "its key as bearer": {"Authorization": "Bearer test-scheduler-key"},
    "an admin's key": {"X_API_Key": KEYS["ada"]},
    "not ASCII": {"X_Service_Key": "schlüssel"},
}


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
def test_nobody_else_does(db, url, headers, caplog):
    caplog.set_level("INFO")
    for method in ("GET", "POST"):
        answer = ask(url, method, **headers)
        assert (answer.status_code, answer.content) == (401, b'{"error":"unauthorized"}')
    assert not JobRun.objects.exists()
    assert [r.accepted for r in said(caplog, "internal_service_auth")] == [False, False]
    assert {r.reason for r in said(caplog, "auth_failure")} <= {"service_key", "service_scope"}


def test_a_service_without_the_right_is_named_in_the_log(db, caplog):
    caplog.set_level("INFO")
    ask(X_Service_Key="test-hub-service-key")
    ask(X_Service_Key="nonsense")
    assert [r.service for r in said(caplog, "internal_service_auth")] == ["hub", "unknown"]
    assert [r.reason for r in said(caplog, "auth_failure")] == ["service_scope", "service_key"]


@pytest.mark.parametrize("key", ["", "test-scheduler-key", "None"])
def test_unset_nothing_is_right(db, key):
    with override_settings(SCHEDULER_SERVICE_API_KEY=""):
        assert ask(X_Service_Key=key).status_code == 401


def test_a_key_that_two_services_share_opens_nothing(db):
    with override_settings(HUB_SERVICE_API_KEY="test-scheduler-key"):
        assert right().status_code == 401


def test_keys_that_are_short_or_shared_are_found_by_the_checks(monkeypatch):
    from kaireon import env
    from kaireon.tenancy import checks

    assert checks.one_key_each(None) == []
    monkeypatch.setattr(env, "HUB_SERVICE_API_KEY", env.CRON_SECRET)
    monkeypatch.setattr(env, "MCP_SERVICE_API_KEY", "short")
    [shared] = checks.one_key_each(None)
    assert (shared.id, shared.msg) == ("kaireon.E014", "CRON_SECRET and HUB_SERVICE_API_KEY are the same.")
    assert "MCP_SERVICE_API_KEY is shorter than 16 characters." in [
        fault.msg for fault in checks.secrets_are_long(None)
    ]


def test_the_table_of_services_is_the_contracts(db):
    may = {name: set(service.may_call) for name, service in internal_services.SERVICES.items()}
    assert may == {"scheduler": {"security-behavioral-scan"}, "mcp": set(), "events": set(), "hub": set()}
    assert all(hasattr(configured, service.setting) for service in internal_services.SERVICES.values())


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_405_and_start_nothing(db, method):
    assert right(method=method).status_code == 405
    assert not JobRun.objects.exists()


def test_a_failure_in_one_tenant_is_500_and_heard(db, monkeypatch, caplog):
    plan = scanning.coverage.plan

    def broken(*given: Any, **named: Any) -> Any:
        if scanning.context.tenant_id() == ACME:
            raise ValueError("broken")
        return plan(*given, **named)

    monkeypatch.setattr(scanning.coverage, "plan", broken)
    answer = right()
    assert (answer.status_code, answer.content) == (500, b'{"error":"scan_failed"}')
    assert len(said(caplog, "security.behavioral.scan_error")) == 1
    run = JobRun.objects.get()
    assert [(o["tenantId"], o["ok"]) for o in run.outcomes] == [("acme", False), ("globex", True)]


def away(*_: Any, **__: Any) -> Any:
    raise OperationalError("the database is away")


def test_a_database_that_is_away_during_authentication_is_500_and_heard(db, monkeypatch, caplog):
    monkeypatch.setattr(internal_services, "_is_key", away)
    answer = right()
    assert (answer.status_code, answer.content) == (500, b'{"error":"scan_failed"}')
    (line,) = said(caplog, "security.behavioral.scan_error")
    assert line.error_type == "OperationalError"


def test_a_database_that_is_gone_is_500_and_heard(db, caplog, django_db_blocker):
    from django.db import connection

    connection.close()
    there = connection.settings_dict["PORT"]
    connection.settings_dict["PORT"] = "1"
    try:
        answer = right()
    finally:
        connection.close()
        connection.settings_dict["PORT"] = there
    assert (answer.status_code, answer.content) == (500, b'{"error":"scan_failed"}')
    assert len(said(caplog, "security.behavioral.scan_error")) == 1
    assert right().status_code == 200


@pytest.mark.parametrize("production", [True])
def test_an_installation_that_may_not_serve_is_500_and_heard(db, monkeypatch, caplog, production):
    from kaireon.tenancy import serving

    monkeypatch.setattr(serving, "refusal", lambda: "restored from a backup")
    answer = right()
    assert (answer.status_code, answer.content) == (500, b'{"error":"scan_failed"}')
    assert said(caplog, "security.behavioral.scan_error")[0].error_type == "NotServing"
    assert Client().get("/api/v1/auth/me").status_code == 503


def test_what_goes_wrong_is_heard_whatever_started_it(db, monkeypatch, caplog):
    monkeypatch.setattr(runner, "_open", away)
    with pytest.raises(OperationalError):
        runner.run_job(detection.NAME, trigger=Trigger.BEAT)
    assert len(said(caplog, "security.behavioral.scan_error")) == 1
    caplog.clear()
    with pytest.raises(OperationalError):
        runner.run_job("cleanup", trigger=Trigger.BEAT)
    assert said(caplog, "security.behavioral.scan_error") == []


def test_an_overlap_is_skipped_and_is_no_failure(db, caplog):
    with only_run(detection.NAME):
        answer = right()
    assert answer.status_code == 200
    assert (answer.json()["skipped"], answer.json()["newAccountFirstWorkflowEvents"]) == ("already running", 0)
    assert said(caplog, "security.behavioral.scan_error") == []


def test_the_schedule_keeps_off_the_other_jobs_minutes_and_preview_scans_each_minute():
    job = JOBS[detection.NAME]
    assert job.schedule == "1-59/5 * * * *"
    assert {place: detection.schedule(place) for place in ("production", "development", "preview")} == {
        "production": "1-59/5 * * * *",
        "development": "1-59/5 * * * *",
        "preview": "* * * * *",
    }
    asked = environment.configured(job, {"CRON_SECURITY_BEHAVIORAL_SCAN_SCHEDULE": "*/2 * * * *"})
    assert asked.schedule == "*/2 * * * *"


def test_the_command_and_its_dry_run(db, capsys):
    from django.core.management import call_command

    run_flow(joined("new"))
    call_command("cron", "run", detection.NAME, "--dry-run")
    assert signals() == []
    call_command("cron", "run", detection.NAME)
    assert len(signals()) == 1


def test_a_tenant_that_was_made_before_the_first_run_is_looked_back_at_ten_minutes(db):
    now = clock.now()
    assert runner.run_job(detection.NAME, trigger=Trigger.COMMAND).body["scanningSince"] is None
    again = runner.run_job(detection.NAME, trigger=Trigger.COMMAND).body["scanningSince"]
    assert clock.at(again) - now < timedelta(minutes=1)


class Receiver(BaseHTTPRequestHandler):
    """As much of Sentry as takes an envelope."""

    received: list[bytes] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        import gzip

        self.received.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def test_sentry_gets_ids_and_counts_where_it_is_configured(db, settings):
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    member = joined("new")
    run_flow(member)
    settings.SENTRY_DSN = f"http://key@127.0.0.1:{server.server_port}/7"
    try:
        assert right().status_code == 200
    finally:
        server.shutdown()
        server.server_close()
        sentry._client.cache_clear()
    (envelope,) = Receiver.received
    event = json.loads(envelope.splitlines()[2])
    assert event["message"] == "security.behavioral.new_account_first_workflow"
    assert (event["level"], event["tags"]["tenant"], event["tags"]["severity"]) == ("warning", "acme", "routine")
    (row,) = signals()
    assert event["fingerprint"] == [row.fingerprint]
    for hidden in (b"new.example", member.id.encode(), b"test-scheduler-key", b"SECRET", b"stacktrace"):
        assert hidden not in envelope, hidden


def test_a_sentry_that_is_away_stops_nothing(db, settings, caplog):
    run_flow(joined("new"))
    settings.SENTRY_DSN = "this is no address"
    assert right().status_code == 200
    assert said(caplog, "sentry_failed")
    assert len(said(caplog, "security.behavioral.new_account_first_workflow")) == 1


def test_the_view_reads_no_body_and_has_no_other_way_in():
    assert scan_api.SecurityScanView.authentication_classes == []
