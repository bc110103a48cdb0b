"""Every switch with its effect, seen from outside."""

import base64
import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis
from django.test import override_settings

from dsar.models import RequestType
from dsar.requests.services import create_request
from kaireon.api.blocked_routes import is_blocked
from kaireon.jobs import pauses
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.ops import checks
from kaireon.tenancy.context import transaction
from tests.cast import ADA, KEYS
from tests.live import Worker, together, wait_until
from tests.ops.stage import Site, Unready, lines
from tests.servers import SUITE

ADA_S_KEY = {"Authorization": f"Bearer {KEYS['ada']}"}
PAUSED = 'kaireon_paused_jobs{queue="dsar-jobs",type="dsar_export"}'


def test_a_blocked_route_answers_503_and_so_does_what_is_below_it(tmp_path: Path, db: str):
    with Site(tmp_path / "web.log", BLOCKED_ROUTES="/api/v1/dsar,/api/v1/pipelines/execute,/metrics") as site:
        for path in ("/dsar", "/dsar/", "/dsar/0190/clock", "/pipelines/execute"):
            answer = site.get(path, headers=ADA_S_KEY)
            assert answer.status == 503, path
            assert int(answer.headers["Retry-After"]) > 0
            error = answer.json()["error"]
            assert (error["code"], error["status"]) == ("route_blocked", 503)
            assert error["requestId"] == answer.headers["X-Request-Id"]
        assert site.get("/audit-logs", headers=ADA_S_KEY).status == 200
        # The operations port cannot be blocked; it tells of the switch.
        assert site.figures()['http_responses_total{route="/api/v1/dsar",status="503"}'] == 1
        ready = site.ask("/readyz")
        assert (ready.status, ready.json()["status"]) == (200, "degraded")
        assert "routes_blocked" in ready.json()["degraded"]


@pytest.mark.parametrize(
    ("path", "blocked"),
    [
        ("/api/v1/dsar", True),
        ("/api/v1/dsar/", True),
        ("/api/v1/dsar/1/clock", True),
        ("/api/v1/dsar-archive", False),
        ("/api/v1", False),
        ("/", False),
    ],
)
def test_prefixes_count_whole_segments(path: str, *, blocked: bool):
    assert is_blocked(path, ["/api/v1/dsar"]) is is_blocked(path, [" api/v1/dsar/ "]) is blocked
    assert is_blocked(path, ["", "/"]) is False


def test_a_skipped_type_waits_and_nothing_is_lost(tmp_path: Path, db: str):
    log = tmp_path / "worker.log"
    site = Site(tmp_path / "web.log")
    skipping = Worker(log, "dsar-jobs", "batch-jobs", SKIP_JOB_TYPES="dsar_export")
    with together(site, skipping):
        answer = site.post("/dsar", {"requestType": "export", "subjectId": "c-1"}, headers=ADA_S_KEY)
        request = f"/dsar/{answer.json()['requestId']}"
        # The message of that request is taken, and the job is left where it is.
        wait_until(lambda: lines(log, "job_not_claimed"), or_show=log)
        seen = site.figures()
        assert (seen[PAUSED], seen['queue_depth{queue="dsar-jobs"}']) == (1, 1)
        assert "job_types_paused" in site.ask("/readyz").json()["degraded"]
        assert site.get(request, headers=ADA_S_KEY).json()["status"] == "queued"
        skipping.kill()
        with Worker(log, "dsar-jobs", "batch-jobs"):
            wait_until(lambda: site.get(request, headers=ADA_S_KEY).json()["status"] == "completed", or_show=log)
        assert PAUSED not in site.figures()


def test_the_sweep_looks_past_what_is_skipped(db: str):
    from kaireon.jobs import bursts

    now = clock.now()
    with ADA.here(), transaction():
        skipped = jobs.enqueue(type="dsar_export", payload={}, now=now)
        wanted = jobs.enqueue(type="dsar_erasure", payload={}, now=now)
    with override_settings(SKIP_JOB_TYPES=["dsar_export"]):
        # One place only, and the skipped one is first in line.
        found = bursts.due(now=now, most=1, queues=None)
        with ADA.here(), transaction():
            assert jobs.claim(job_id=skipped.pk, now=now) is None
            assert Job.objects.get(pk=skipped.pk).state == JobState.QUEUED
    assert [job_id for _, job_id, _, _ in found] == [wanted.pk]


def test_pauses_are_known_without_redis_to_whoever_has_the_switch(monkeypatch: pytest.MonkeyPatch):
    away = redis.Redis.from_url("redis://127.0.0.1:1")
    monkeypatch.setattr("kaireon.api.cache.client", lambda: away)
    with override_settings(SKIP_JOB_TYPES=["dsar_export"]):
        pauses.announce()
        assert pauses.everywhere() == {"dsar_export"}


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"CIRCUIT_BREAKER_ENABLED": "maybe"}, "kaireon.E020"),
        ({"BLOCKED_ROUTES": "https://example.com/api"}, "kaireon.E021"),
        ({"BLOCKED_ROUTES": "/api/*"}, "kaireon.E021"),
        ({"SKIP_JOB_TYPES": "dsar_exprot"}, "kaireon.W020"),
        ({"AUTH_FALLBACK_ENABLED": "true"}, "kaireon.W021"),
    ],
)
def test_a_malformed_switch_is_told_with_a_hint(environment: dict[str, str], found: str, monkeypatch, settings):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
        current = getattr(settings, name)
        setattr(settings, name, value.split(",") if isinstance(current, list) else value == "true")
    said = [
        message
        for check in (
            checks.booleans_are_words,
            checks.blocked_routes_are_paths,
            checks.skipped_types_exist,
            checks.fallback_has_a_use,
        )
        for message in check(None)
    ]
    assert [message.id for message in said] == [found]
    assert said[0].hint


def test_a_session_that_idles_in_a_transaction_is_ended_after_30_seconds(db: str):
    with psycopg.connect(SUITE.urls(db)["default"]) as connection:
        row = connection.execute("SHOW idle_in_transaction_session_timeout").fetchone()
    assert row == ("30s",)


def test_a_database_that_does_not_answer_fails_clearly_within_its_time(tmp_path: Path, db: str):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"postgresql://kaireon_app:x@127.0.0.1:{port}/kaireon"
        with Unready(tmp_path / "web.log", DATABASE_URL=url) as site:
            # All at once: each waits for the database as long as it may, and not for the others.
            with ThreadPoolExecutor(3) as pool:
                refused = pool.submit(site.get, "/auth/me", headers=ADA_S_KEY)
                asked = pool.submit(site.ask, "/readyz")
                figures = pool.submit(site.figures)
            answer, ready = refused.result(), asked.result()
            assert (answer.status, answer.json()["error"]["code"]) == (503, "unavailable")
            assert (ready.status, ready.json()["checks"]["database"]) == (503, "failed")
            assert ready.json()["checks"]["redis"] == "ok"
            assert site.ask("/healthz").status == 200
            assert figures.result()['kaireon_source_up{source="queues"}'] == 0
        # It was given up as a connection that takes too long, not as one that is refused.
        [said] = [line for line in lines(site.log, "request") if line["route"] == "/api/v1/auth/me"]
        assert 4_000 < said["duration_ms"] < 20_000


def test_what_happened_stands_in_the_log_as_json_and_nothing_personal(tmp_path: Path, db: str):
    log = tmp_path / "web.log"
    with Site(log, TRUSTED_PROXIES="1") as site:
        site.post(
            "/auth/login",
            {"email": "carla@customer.example", "password": "hunter2-hunter2"},
            headers={"X-Forwarded-For": "203.0.113.9", "X-Request-Id": "r-login"},
        )
        site.get("/customers/carla@customer.example", headers={**ADA_S_KEY, "X-Request-Id": "r-customer"})
        site.post("/cron/cleanup", headers={"Authorization": "Bearer wrong", "X-Request-Id": "r-cron"})
        site.post("/cron/cleanup", headers={"Authorization": "Bearer test-cron-secret"})
        wait_until(lambda: lines(log, "processing_duration"), or_show=log)
    (refused,) = [line for line in lines(log, "auth_failure") if line["requestId"] == "r-login"]
    assert (refused["reason"], refused["source_ip"]) == ("unknown_user", "203.0.113.9")
    assert [line["accepted"] for line in lines(log, "internal_service_auth")] == [False, True]
    (read,) = [line for line in lines(log, "request") if line["requestId"] == "r-customer"]
    assert (read["status"], read["route"]) == (404, "/api/v1/customers/<path:customer_id>")
    (ran,) = lines(log, "processing_duration")
    assert (ran["job"], ran["state"]) == ("cleanup", "succeeded")
    text = log.read_text()
    for personal in ("carla", "hunter2", "krn_ada_", "test-cron-secret"):
        assert personal not in text
    # What the address is logged for is said by the event, and by no other.
    assert all("203.0.113.9" not in json.dumps(line) for line in lines(log, "request"))


def test_workers_log_json_too_and_say_what_ended_for_good(tmp_path: Path, db: str):
    log = tmp_path / "worker.log"
    with ADA.here(), transaction():
        filed = create_request(
            request_type=RequestType.EXPORT,
            subject_type="customer_id",
            subject_id="c-1",
            actor=ADA.actor,
            now=clock.now(),
        )
        Job.objects.filter(pk=filed.job.pk).update(failures=3)
    # Whose keys are wrong cannot read whom the request is about.
    keys = "v1:" + base64.b64encode(bytes(32)).decode()
    with Worker(log, "dsar-jobs", "batch-jobs", SEALING_KEYS=keys):
        wait_until(lambda: lines(log, "processing_duration"), or_show=log)
    (ended,) = lines(log, "moved_to_dlq")
    assert (ended["queue"], ended["type"], ended["error_type"]) == ("dsar-jobs", "dsar_export", "seal_broken")
    # A random id may hold these characters too, never as a word.
    assert re.search(r"\bc-1\b", log.read_text()) is None
