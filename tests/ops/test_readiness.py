"""Alive is not ready: what a probe is told while something is away, and that one process sees it come back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit import sequencer
from audit import services as log
from kaireon.local.redis import EmbeddedRedis
from kaireon.tenancy.context import transaction
from tests.cast import ADA
from tests.live import wait_until
from tests.ops.stage import Unready, database_away, lines, redis_of_its_own

WELL = {"database": "ok", "redis": "ok", "migrations": "ok", "audit_coverage": "ok", "serving": "ok"}


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    with redis_of_its_own(tmp_path) as server:
        yield server


@pytest.fixture
def site(db: str, own_redis: EmbeddedRedis, tmp_path: Path) -> Iterator[Unready]:
    # The cast's own records wait since the template was made, which counts as a sequencer that lags.
    while sequencer.sweep():
        pass
    with Unready(tmp_path / "web.log", REDIS_URL=own_redis.url()) as server:
        yield server


def told(site: Unready) -> tuple[int, dict[str, Any]]:
    """What /readyz says. Whatever that is, the process is alive."""
    answer = site.ask("/readyz")
    alive = site.ask("/healthz")
    assert (alive.status, alive.json()) == (200, {"status": "ok"})
    return answer.status, answer.json()


def assert_well(site: Unready) -> None:
    wait_until(lambda: site.ask("/readyz").status == 200, or_show=site.log, patience=20)
    assert told(site) == (200, {"status": "ok", "checks": WELL})


def test_database_and_redis_go_and_come_back(
    site: Unready, own_redis: EmbeddedRedis, db: str, superuser_url: str
) -> None:
    assert_well(site)
    with database_away(superuser_url, db):
        status, said = told(site)
        # Its migrations are known since they were seen: neither changes while we run.
        assert (status, said["checks"]) == (503, WELL | {"database": "failed"})
        assert said["status"] == "unavailable"
        assert "degraded" not in said
    assert_well(site)

    own_redis.stop()
    status, said = told(site)
    assert (status, said["checks"]) == (503, WELL | {"redis": "failed"})
    own_redis.start()
    assert_well(site)
    # Why is in the log, for those who may read it.
    assert {line["check"] for line in lines(site.log, "readiness")} >= {"database", "redis"}


def test_a_database_that_lacks_migrations_is_not_ready_until_it_has_them(site: Unready, superuser_url: str) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as root:
        taken = root.execute(
            "DELETE FROM django_migrations WHERE app = 'sessions' RETURNING app, name, applied"
        ).fetchone()
        assert taken
        for _ in range(2):
            status, said = told(site)
            assert (status, said["checks"]) == (503, WELL | {"migrations": "failed"})
        root.execute("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", taken)
    assert_well(site)


def test_a_sequencer_that_is_stuck_degrades_and_sends_no_request_away(site: Unready, superuser_url: str) -> None:
    assert_well(site)
    with ADA.here(), transaction():
        log.record(action="test.waits", entity_type="Test", entity_id="1")
    with psycopg.connect(superuser_url, autocommit=True) as root:
        # As if it had waited for long; the inbox lets nobody but its superuser do this.
        root.execute("SET session_replication_role = replica")
        root.execute("""UPDATE public.audit_inbox SET "timestamp" = "timestamp" - interval '5 minutes'""")
    assert told(site) == (200, {"status": "degraded", "checks": WELL, "degraded": ["sequencing_lags"]})
    seen = site.figures()
    assert seen["kaireon_audit_inbox_records"] == 1
    assert seen["kaireon_audit_inbox_lag_seconds"] > 299
    while sequencer.sweep():
        pass
    assert_well(site)
    assert site.figures()["kaireon_audit_inbox_lag_seconds"] == 0
