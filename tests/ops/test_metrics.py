"""/metrics as Prometheus reads it: from the operations port, over all processes, whatever is away."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.test import override_settings
from prometheus_client.multiprocess import MultiProcessCollector

from audit import services as log
from audit.verification.verify import verify
from compliance.holding import holds
from dsar.models import RequestType
from dsar.requests.services import create_request
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.lib.ids import uuid7
from kaireon.lib.metric_files import fold
from kaireon.ops import gauges
from kaireon.tenancy.context import transaction
from tests.cast import ADA, KEYS, MALLORY, PASSWORD
from tests.live import PROJECT, Worker, together, wait_until
from tests.ops.stage import Site, lines
from tests.servers import SUITE

ADA_S_KEY = {"Authorization": f"Bearer {KEYS['ada']}"}
# The contract's names, and ours, that are there before anything happened.
ALWAYS = {
    *(f'queue_depth{{queue="{queue}"}}' for queue in gauges.settings.QUEUES),
    *(f'kaireon_active_worker_jobs{{queue="{queue}"}}' for queue in gauges.settings.QUEUES),
    *(f'kaireon_dlq_depth{{queue="{queue}"}}' for queue in gauges.DEAD_LETTERS),
    *(f'kaireon_source_up{{source="{source}"}}' for source in gauges.SOURCES),
    *(f'kaireon_audit_chains{{state="{state}"}}' for state in ("intact", "broken", "unverified")),
    "kaireon_audit_inbox_records",
    "kaireon_audit_inbox_lag_seconds",
    "kaireon_audit_last_verification_timestamp_seconds",
    "kaireon_audit_checkpoint_age_seconds",
    "kaireon_audit_unpublished_checkpoints",
    "kaireon_audit_unpublished_seconds",
    "kaireon_dsar_oldest_open_seconds",
    "kaireon_dsar_overdue",
    'kaireon_dsar_open{status="failed"}',
    'kaireon_job_last_success_timestamp_seconds{name="cleanup"}',
    'kaireon_breaker_state{dependency="storage"}',
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[Site]:
    """One with two workers for all that ask it things: each looks at figures that no other moves."""
    with (
        django_db_blocker.unblock(),
        SUITE.database(),
        Site(tmp_path_factory.mktemp("site") / "web.log", WEB_CONCURRENCY="2") as web,
    ):
        yield web


@pytest.fixture(scope="module")
def at_first(site: Site) -> dict[str, float]:
    """What it told before anything happened."""
    return site.figures()


@pytest.fixture(autouse=True)
def _at_first(request: pytest.FixtureRequest) -> None:
    """Whichever test comes first: the figures are taken before it does anything."""
    if "site" in request.fixturenames:
        request.getfixturevalue("at_first")


def figures_now() -> dict[str, float]:
    """The gauges in this process, by the same path as a scrape."""
    return {
        f"{s.name}{sorted(s.labels.values())}" if s.labels else s.name: s.value
        for family in gauges.STATE.collect()
        for s in family.samples
    }


def test_it_counts_every_answer_of_every_worker_by_route_and_never_by_path(site: Site):
    for number in range(40):
        site.get(f"/dsar/01890000-0000-7000-8000-{number:012d}", headers=ADA_S_KEY)
    seen = site.figures()
    assert seen['http_responses_total{route="/api/v1/dsar/<uuid:request_id>",status="404"}'] == 40
    assert (
        seen['kaireon_http_request_duration_seconds_count{method="GET",route="/api/v1/dsar/<uuid:request_id>"}'] == 40
    )
    # Each worker answers some of the scrapes; all tell the same.
    assert {
        site.figures()['http_responses_total{route="/api/v1/dsar/<uuid:request_id>",status="404"}'] for _ in range(8)
    } == {40}
    assert b"01890000" not in site.ask("/metrics").body


def test_every_figure_is_there_before_anything_happened(at_first: dict[str, float]):
    assert set(at_first) >= ALWAYS
    assert {name: at_first[name] for name in ALWAYS if name.startswith("kaireon_source_up")} == dict.fromkeys(
        (f'kaireon_source_up{{source="{source}"}}' for source in gauges.SOURCES), 1.0
    )


def test_it_speaks_openmetrics_when_asked(site: Site):
    answer = site.ask("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.body.rstrip().endswith(b"# EOF")


def test_it_counts_attempts_and_refusals_by_reason(site: Site):
    before = site.figures()
    site.get("/auth/me", headers=ADA_S_KEY)
    site.get("/auth/me", headers={"Authorization": "Bearer krn_nobody_not-a-key"})
    site.get("/auth/me", headers={"Authorization": "Bearer not.a.token"})
    site.post("/auth/login", {"email": "ada@acme.example", "password": "wrong"})
    site.post("/auth/login", {"email": "ada@acme.example", "password": PASSWORD})
    site.post("/auth/refresh", {"refreshToken": "spent"})
    site.post("/cron/cleanup", headers={"Authorization": "Bearer wrong"})
    seen = site.figures()
    assert seen["kaireon_auth_attempts_total"] - before["kaireon_auth_attempts_total"] == 7
    for reason in ("api_key", "session", "wrong_password", "refresh_token", "cron_secret"):
        name = f'kaireon_auth_failures_total{{reason="{reason}"}}'
        assert seen[name] - before.get(name, 0) == 1, reason


def test_it_sees_the_worker_that_runs_beside_it(tmp_path: Path, db: str):
    shared = tmp_path / "metrics"
    shared.mkdir()
    site = Site(tmp_path / "web.log", PROMETHEUS_MULTIPROC_DIR=str(shared))
    worker = Worker(tmp_path / "worker.log", "dsar-jobs", "batch-jobs", PROMETHEUS_MULTIPROC_DIR=str(shared))
    with together(site, worker):
        answer = site.post("/dsar", {"requestType": "export", "subjectId": "c-1"}, headers=ADA_S_KEY)
        assert answer.status == 202, answer.body
        wait_until(lambda: lines(tmp_path / "worker.log", "processing_duration"), or_show=tmp_path / "worker.log")
        seen = site.figures()
        assert seen['kaireon_worker_jobs_enqueued_total{queue="dsar-jobs"}'] == 1
        assert seen['queue_depth{queue="dsar-jobs"}'] == 0
        done = lines(tmp_path / "worker.log", "processing_duration")[0]
        assert (done["type"], done["queue"], done["state"]) == ("dsar_export", "dsar-jobs", "done")
        assert done["duration_ms"] > 0
        # What runs outside the web server counts in the same place.
        subprocess.run(
            [sys.executable, "manage.py", "cron", "run", "cleanup"],
            cwd=PROJECT,
            env={**site.environment, "PROMETHEUS_MULTIPROC_DIR": str(shared)},
            check=True,
            capture_output=True,
        )
        after = site.figures()
        assert after['kaireon_job_last_success_timestamp_seconds{name="cleanup"}'] > time.time() - 60
        assert after['kaireon_job_last_duration_seconds{name="cleanup"}'] > 0
        assert after['kaireon_job_last_run_ok{name="cleanup"}'] == 1


def test_a_worker_that_was_replaced_leaves_its_counts(tmp_path: Path, db: str):
    shared = tmp_path / "metrics"
    with Site(tmp_path / "web.log", PROMETHEUS_MULTIPROC_DIR=str(shared)) as site:
        site.get("/dsar", headers=ADA_S_KEY)
        name = 'http_responses_total{route="/api/v1/dsar",status="200"}'
        assert site.figures()[name] == 1
        assert site.process is not None
        site.process.send_signal(signal.SIGHUP)
        wait_until((shared / "counter_ended.db").exists, or_show=site.log)
        wait_until(site.is_ready, or_show=site.log)
        assert site.figures()[name] == 1
        assert len(list(shared.glob("counter_*.db"))) <= 2


def test_a_scrape_survives_an_outage_and_says_which(tmp_path: Path, db: str, superuser_url: str):
    with Site(tmp_path / "web.log", REDIS_URL="redis://127.0.0.1:1") as site:
        seen = site.figures()
        assert seen['kaireon_source_up{source="breakers"}'] == 0
        assert seen['kaireon_source_up{source="queues"}'] == 1
        with psycopg.connect(superuser_url, autocommit=True) as connection:
            connection.execute("ALTER FUNCTION public.gauge_holds() RENAME TO gone")
        seen = site.figures()
        assert seen['kaireon_source_up{source="holds"}'] == 0
        assert seen['kaireon_source_up{source="audit"}'] == 1
        with psycopg.connect(superuser_url, autocommit=True) as connection:
            connection.execute("BEGIN")
            connection.execute("LOCK TABLE public.dsar_dsarrequest IN ACCESS EXCLUSIVE MODE")
            started = time.monotonic()
            seen = site.figures()
            assert time.monotonic() - started < 10
            assert seen['kaireon_source_up{source="requests"}'] == 0
            connection.execute("ROLLBACK")


def test_it_tells_the_state_of_the_queues(db: str):
    now = clock.now()
    for person in (ADA, MALLORY):
        with person.here(), transaction():
            for _ in range(2):
                jobs.enqueue(type="dsar_export", payload={"request_id": uuid7()}, now=now - timedelta(minutes=3))
    with ADA.here(), transaction():
        first, second = Job.objects.order_by("id")
        assert jobs.claim(job_id=first.pk, now=now)
        failing = jobs.claim(job_id=second.pk, now=now)
        jobs.fail(job=failing, code="broken", now=now, retry=False)
    seen = figures_now()
    assert seen["queue_depth['dsar-jobs']"] == 2
    assert seen["kaireon_active_worker_jobs['dsar-jobs']"] == 1
    assert seen["kaireon_dlq_depth['dsar-jobs']"] == 1
    assert 170 < seen["kaireon_queue_lag_seconds['dsar-jobs']"] < 300
    with override_settings(SKIP_JOB_TYPES=["dsar_export"]):
        paused = figures_now()
    assert paused["kaireon_paused_jobs['dsar-jobs', 'dsar_export']"] == 2
    assert paused["kaireon_queue_lag_seconds['dsar-jobs']"] == 0


def test_it_tells_the_state_of_the_logs(db: str):
    assert figures_now()["kaireon_audit_inbox_records"] > 0
    for tenant in ("acme", "globex", "_platform"):
        log.drain(tenant)
    seen = figures_now()
    assert seen["kaireon_audit_inbox_records"] == seen["kaireon_audit_inbox_lag_seconds"] == 0
    assert seen["kaireon_audit_records_total"] > 0
    assert (seen["kaireon_audit_chains['unverified']"], seen["kaireon_audit_chains['intact']"]) == (3, 0)
    verified("acme", intact=True, window=False)
    verified("globex", intact=True, window=True)
    seen = figures_now()
    assert (seen["kaireon_audit_chains['unverified']"], seen["kaireon_audit_chains['intact']"]) == (2, 1)
    assert seen["kaireon_audit_last_verification_timestamp_seconds"] > time.time() - 60
    assert seen["kaireon_audit_oldest_verification_timestamp_seconds"] == 0
    verified("globex", intact=False, window=True)
    assert figures_now()["kaireon_audit_chains['broken']"] == 1


def verified(tenant: str, *, intact: bool, window: bool) -> None:
    person = ADA if tenant == "acme" else MALLORY
    with person.here(), transaction():
        verify()
        log.record(
            action="audit_log.verify",
            entity_type="AuditLog",
            entity_id=tenant,
            changes={"intact": intact, "scanned": 1, "window": window},
        )
    log.drain(tenant)


def test_it_tells_of_open_and_overdue_requests_and_of_holds(db: str):
    now = clock.now()
    for person, days in ((ADA, 400), (MALLORY, 1)):
        with person.here(), transaction():
            create_request(
                request_type=RequestType.EXPORT,
                subject_type="customer_id",
                subject_id="c-1",
                received_at=now - timedelta(days=days),
                actor=person.actor,
                now=now,
            )
            holds.place_hold(data_class="interactions", reason="litigation", actor=person.actor, now=now)
    seen = figures_now()
    assert seen["kaireon_dsar_open['queued']"] == 2
    assert seen["kaireon_dsar_overdue"] == 1
    assert seen["kaireon_dsar_oldest_open_seconds"] == pytest.approx(400 * 86400, rel=0.01)
    assert seen["kaireon_held_classes['interactions']"] == 2


def test_the_application_learns_sums_only(db: str):
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT FROM audit_inbox")
        connection.rollback()
        seen = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'audit_inbox'::regclass AND attnum > 0"
            " AND has_column_privilege('kaireon_resolver', attrelid, attnum, 'SELECT')"
        )
        assert {column for (column,) in seen} == {"tenant_id", "id", "timestamp"}


def test_folding_adds_up(tmp_path: Path):
    script = (
        "from kaireon.api import metrics; import os;"
        "metrics.AUTH_ATTEMPTS.inc(3); metrics.answered(method='GET', route='/x', status=200, seconds=0.2);"
        "print(os.getpid())"
    )
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-c", script],
            cwd=PROJECT,
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            check=True,
            capture_output=True,
            text=True,
        )
        fold(tmp_path, int(run.stdout))
    files = [str(file) for file in tmp_path.glob("*.db")]
    assert sorted(file.rpartition("/")[2] for file in files) == ["counter_ended.db", "histogram_ended.db"]
    samples = {s.name: s.value for m in MultiProcessCollector.merge(files) for s in m.samples if not s.labels}
    assert samples["kaireon_auth_attempts_total"] == 6
