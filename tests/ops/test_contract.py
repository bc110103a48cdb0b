"""A day of one installation, told from outside: every metric and log line of the contract, and nobody's name in them.

Two web workers, a Celery worker and a command share one database and one folder of counters. What they did is read
from the operations port and from what they wrote to their logs.
"""

import http.client
import json
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit import sequencer
from dsar.models import RequestType
from dsar.requests.services import create_request
from kaireon.jobs import services as jobs
from kaireon.lib import clock
from kaireon.outbox import destinations
from kaireon.outbox import services as outbox
from kaireon.tenancy.authentication import ACCESS_COOKIE
from kaireon.tenancy.context import platform_scope, transaction
from kaireon.tenancy.models import User
from tests.cast import ADA, KEYS, MALLORY, PASSWORD, SETUP
from tests.live import PROJECT, Answer, Worker, wait_until
from tests.ops.stage import Site, lines
from tests.ops.test_refusals import sent
from tests.servers import SUITE

NUMBER = "CU-88121-carla"
EMAIL = "carla.brandt@customer.example"
NAME = "Carla Brandt"
PHONE = "+49 30 9018201"
NOTE = "allergic-to-penicillin"
ADDRESS = "203.0.113.77"
# No log line and no label has any of these. Addresses are where the contract wants them and nowhere else.
PERSONAL = (NUMBER, "carla", "Carla", "Brandt", "9018201", NOTE, "1980-02-29", "ada@acme", "hunter2", *KEYS.values())


def key(nick: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[nick]}", "X-Forwarded-For": ADDRESS, **more}


@dataclass
class Day:
    """What was seen of it: the figures before and after, the page of them, and the logs."""

    before: dict[str, float]
    after: dict[str, float]
    page: str
    web: Path
    worker: Path

    def grew(self, name: str) -> float:
        return self.after.get(name, 0) - self.before.get(name, 0)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[Day]:
    folder = tmp_path_factory.mktemp("day")
    shared = folder / "metrics"
    shared.mkdir()
    common = {"PROMETHEUS_MULTIPROC_DIR": str(shared)}
    with ExitStack() as stack:
        stack.enter_context(django_db_blocker.unblock())
        name = stack.enter_context(SUITE.database())
        web = {"WEB_CONCURRENCY": "2", "TRUSTED_PROXIES": "1", **common}
        site = stack.enter_context(Site(folder / "web.log", **web))
        before = site.figures()
        traffic(site)
        sign_ins(site)
        log = folder / "worker.log"
        with Worker(log, "dsar-jobs", "batch-jobs", "journey-jobs", **common):
            work(site, log)
            errors(site, log, SUITE.superuser_url(name))
        be_late()
        while sequencer.sweep():
            pass
        verified = site.get("/audit-logs/verify", headers=key("aud")).json()
        assert verified["intact"], verified
        while sequencer.sweep():
            pass
        yield Day(before, site.figures(), site.ask("/metrics").body.decode(), site.log, log)
    SUITE.flush_redis()


def traffic(site: Site) -> None:
    """A person's data comes in, is read and is searched for; some of it is malformed."""
    carla = {"customerId": NUMBER, "name": NAME, "email": EMAIL, "phone": PHONE, "birthDate": "1980-02-29"}
    bad = [{"customerId": f"{NUMBER}-{n}", "email": f"{EMAIL}@@"} for n in range(3)]
    answer = site.post("/customers", {"customers": [{**carla, "attributes": {"note": NOTE}}, *bad]}, headers=key("ed"))
    assert answer.status == 200, answer.body
    old = clock.rfc3339(clock.now() - timedelta(days=90))
    bought = {"customerId": NUMBER, "externalId": f"{NUMBER}-1", "kind": "purchase", "occurredAt": old}
    assert site.post("/customers", {"customers": [carla]}, headers=key("mallory")).status == 200
    for nick in ("ed", "mallory"):
        assert site.post("/interactions", {"interactions": [bought]}, headers=key(nick)).json()["created"] == 1
    quoted = urllib.parse.quote(EMAIL)
    for path in (
        f"/customers/{NUMBER}",
        f"/customers/{quoted}",
        f"/customers?email={quoted}",
        f"/customers?{urllib.parse.urlencode({NAME: PHONE})}",
        f"/audit-logs?entityId={quoted}&limit={NAME.replace(' ', '')}",
        f"/{quoted}",
        f"/dsar/{NUMBER}",
    ):
        site.get(path, headers={**key("ada"), "User-Agent": NAME, "Referer": f"https://shop.example/{quoted}"})
    for body in ({EMAIL: NAME}, {"customers": EMAIL}, {"customers": [{"customerId": {EMAIL: 1}}]}):
        assert site.post("/customers", body, headers=key("ed")).status in (200, 400)
    assert raw(site, f'{{"customers": [{{"name": "{NAME}", }}]}}').status == 400
    sent(site.port, f"GET /api/v1/customers/{NUMBER} HTTP/1.1\r\nHost: localhost\r\nX-Note: {EMAIL}\0\r\n\r\n")


def raw(site: Site, body: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    try:
        connection.request("POST", "/api/v1/customers", body, {"Content-Type": "application/json", **key("ed")})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def sign_ins(site: Site) -> None:
    """Every way to be refused, once or more, and a few to be let in."""
    here = {"X-Forwarded-For": ADDRESS}
    site.get("/auth/me", headers=here)
    site.get("/auth/me", headers={"Authorization": f"Bearer krn_{NAME}_x", **here})
    site.get("/auth/me", headers={"Authorization": f"Bearer {EMAIL}", **here})
    session = site.post("/auth/login", {"email": "ada@acme.example", "password": PASSWORD}, headers=here).json()
    token = {"Authorization": f"Bearer {session['accessToken']}", **here}
    site.get("/auth/me", headers={**token, "X-Tenant-Id": NAME})
    site.post("/api-keys", {"name": "x"}, headers={"Cookie": f"{ACCESS_COOKIE}={session['accessToken']}", **here})
    site.post("/auth/login", {"email": EMAIL, "password": "hunter2-hunter2"}, headers=here)
    vi = site.post("/auth/login", {"email": "vi@acme.example", "password": PASSWORD}, headers=here).json()
    for _ in range(6):
        site.post("/auth/login", {"email": "vi@acme.example", "password": "hunter2-hunter2"}, headers=here)
    site.post("/auth/refresh", {"refreshToken": EMAIL}, headers=here)
    with platform_scope(actor=SETUP), transaction():
        User.objects.filter(email="vi@acme.example").update(is_active=False)
    site.get("/auth/me", headers={"Authorization": f"Bearer {vi['accessToken']}", **here})
    site.post("/cron/cleanup", headers={"Authorization": f"Bearer {NAME}", **here})


def work(site: Site, log: Path) -> None:
    """Jobs that end well and badly, a message nobody takes, and the nightly cleanup."""
    policy = {"dataClass": "interactions", "retentionDays": 30}
    assert site.post("/admin/retention-configs", policy, headers=key("ada")).status == 200
    assert site.post("/admin/retention-configs", {**policy, "legalHold": True}, headers=key("mallory")).status == 200
    filed = site.post(
        "/dsar", {"requestType": "export", "subjectId": EMAIL, "subjectType": "email"}, headers=key("ada")
    )
    assert filed.status == 202, filed.body
    path = f"/dsar/{filed.json()['requestId']}"
    wait_until(lambda: site.get(path, headers=key("ada")).json()["status"] == "completed", or_show=log)
    now = clock.now()
    mail = {"to": [EMAIL], "subject": f"Dear {NAME}", "text": f"{NOTE} {PHONE}"}
    with ADA.here(), transaction():
        destinations.save(
            name="inside", kind="webhook", given={"url": "https://localhost/"}, secret="s" * 32, enabled=True, now=now
        )
        message = outbox.publish(topic="mail", destination="inside", payload=mail, now=now)
    assert outbox.wake(message)
    wait_until(lambda: lines(log, "moved_to_dlq"), or_show=log)
    ran = site.post("/cron/cleanup", headers={"Authorization": "Bearer test-cron-secret"})
    assert ran.status == 200, ran.body


def errors(site: Site, log: Path, superuser_url: str) -> None:
    """Errors nobody expected, in a request and in a job, whose text is about a person."""
    with psycopg.connect(superuser_url, autocommit=True) as root:
        root.execute(
            f"CREATE FUNCTION public.tells() RETURNS trigger LANGUAGE plpgsql"
            f" AS $$ BEGIN RAISE EXCEPTION '{NAME} <{EMAIL}> is not wanted'; END $$"
        )
        for table in ("customers_customer", "dsar_dossier"):
            root.execute(f"CREATE TRIGGER tells BEFORE INSERT ON public.{table} EXECUTE FUNCTION public.tells()")
        row = {"customerId": f"{NUMBER}-2", "name": f"{NAME} II", "email": EMAIL}
        assert site.post("/customers", {"customers": [row]}, headers=key("ed")).status == 500
        ask = {"requestType": "export", "subjectId": EMAIL, "subjectType": "email"}
        assert site.post("/dsar", ask, headers=key("ada")).status == 202
        wait_until(lambda: lines(log, "job_failed"), or_show=log)
        root.execute("DROP FUNCTION public.tells CASCADE")
    assert lines(site.log, "unexpected_error")


def be_late() -> None:
    """Two requests past their last day: one that nobody works on, one whose worker does not come to an end."""
    now = clock.now()
    with MALLORY.here(), transaction():
        taken = create_request(
            request_type=RequestType.EXPORT,
            subject_type="customer_id",
            subject_id=f"{NUMBER}-2",
            received_at=now - timedelta(days=400),
            actor=MALLORY.actor,
            now=now,
        )
        assert jobs.claim(job_id=taken.job.pk, now=now)
        create_request(
            request_type=RequestType.EXPORT,
            subject_type="customer_id",
            subject_id=NUMBER,
            received_at=now - timedelta(days=400),
            actor=MALLORY.actor,
            now=now,
        )


# What has moved by the end of the day, and at least how far.
GREW = {
    'http_responses_total{route="/api/v1/customers",status="200"}': 1,
    'http_responses_total{route="/api/v1/customers/<path:customer_id>",status="200"}': 1,
    'http_responses_total{route="unmatched",status="404"}': 1,
    'http_responses_total{route="unread",status="400"}': 1,
    'kaireon_http_request_duration_seconds_count{method="POST",route="/api/v1/auth/login"}': 9,
    "kaireon_auth_attempts_total": 30,
    **{
        f'kaireon_auth_failures_total{{reason="{reason}"}}': 1
        for reason in (
            *("no_credentials", "api_key", "session", "tenant", "csrf", "inactive"),
            *("unknown_user", "wrong_password", "locked", "refresh_token", "cron_secret"),
        )
    },
    'kaireon_worker_jobs_enqueued_total{queue="dsar-jobs"}': 1,
    'kaireon_rows_purged_total{entity="interactionHistory"}': 1,
    'queue_depth{queue="dsar-jobs"}': 1,
    'kaireon_active_worker_jobs{queue="dsar-jobs"}': 1,
    'kaireon_dlq_depth{queue="outbox"}': 1,
    'kaireon_dsar_open{status="queued"}': 1,
    "kaireon_dsar_overdue": 1,
    "kaireon_dsar_oldest_open_seconds": 399 * 86400,
    'kaireon_held_classes{data_class="interactions"}': 1,
    'kaireon_held_rows{entity="interactionHistory"}': 1,
    'kaireon_job_last_success_timestamp_seconds{name="cleanup"}': 1_700_000_000,
    'kaireon_job_last_duration_seconds{name="cleanup"}': 0.001,
    'kaireon_job_last_run_ok{name="cleanup"}': 1,
    "kaireon_audit_records_total": 5,
    'kaireon_audit_chains{state="intact"}': 1,
    "kaireon_audit_last_verification_timestamp_seconds": 1_700_000_000,
}

# Each event of the log, the process that wrote it, and what it says besides.
EVENTS = {
    "request": ("web", {"method", "route", "status", "duration_ms", "requestId"}),
    "auth_failure": ("web", {"reason", "source_ip", "requestId"}),
    "internal_service_auth": ("web", {"service", "accepted", "requestId"}),
    "processing_duration": ("worker", {"type", "queue", "state", "duration_ms"}),
    "moved_to_dlq": ("worker", {"queue", "error_type"}),
}


@pytest.mark.parametrize("name", GREW)
def test_it_has_moved(day: Day, name: str) -> None:
    assert day.grew(name) >= GREW[name], {
        k: v for k, v in day.after.items() if k.split("{")[0] == name.split("{", maxsplit=1)[0]
    }


def test_every_source_was_there(day: Day) -> None:
    assert {name: value for name, value in day.after.items() if "source_up" in name and value != 1} == {}


@pytest.mark.parametrize("event", EVENTS)
def test_it_stands_in_the_log(day: Day, event: str) -> None:
    process, facts = EVENTS[event]
    found = lines(getattr(day, process), event)
    assert found
    assert all(facts <= set(line) for line in found if line.get("route") != "unread"), found[0]


@pytest.mark.parametrize("value", PERSONAL)
def test_nobody_is_named_in_logs_or_metrics(day: Day, value: str) -> None:
    for where, text in (("metrics", day.page), ("web", day.web.read_text()), ("worker", day.worker.read_text())):
        plain = json.dumps(urllib.parse.unquote(text), ensure_ascii=False) + text
        assert value not in plain, (where, [line for line in text.splitlines() if value in line][:3])


def test_an_address_stands_where_it_was_asked_for_only(day: Day) -> None:
    assert ADDRESS not in day.page
    assert ADDRESS not in day.worker.read_text()
    with_it = [json.loads(line) for line in day.web.read_text().splitlines() if ADDRESS in line]
    assert {line["event"] for line in with_it} == {"auth_failure"}


def test_every_line_of_the_web_server_is_json_with_its_request(day: Day) -> None:
    said = [json.loads(line) for line in day.web.read_text().splitlines()]
    assert all({"time", "level", "logger", "event"} <= set(line) for line in said)
    answered = [line["requestId"] for line in said if line["event"] == "request"]
    assert len(answered) == len(set(answered))


@pytest.mark.parametrize(("switch", "said"), [("true", True), ("false", False)])
def test_a_sign_in_to_fall_back_on_says_that_it_has_nothing_to_do(db: str, switch: str, *, said: bool) -> None:
    ran = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=PROJECT,
        env={**Site(Path("unused")).environment, "AUTH_FALLBACK_ENABLED": switch},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ("AUTH_FALLBACK_ENABLED is set and has nothing to do" in ran.stdout + ran.stderr) is said


def test_without_a_cron_secret_everybody_is_refused_and_the_log_says_why(tmp_path: Path, db: str) -> None:
    with Site(tmp_path / "web.log", CRON_SECRET="") as site:
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer test-cron-secret"}):
            assert site.post("/cron/cleanup", headers=headers).status == 401
        assert site.figures()['kaireon_auth_failures_total{reason="cron_secret_unset"}'] == 3
    wrong = lines(site.log, "cron_misconfigured")
    assert [(line["level"], line["reason"]) for line in wrong] == [("error", "CRON_SECRET is not set")] * 3
