"""Every job through all four doors, with the processes of the product: web server, beat, workers, `manage.py`."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from django.conf import settings
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from cron import beat_rows
from cron.jobs import JOBS
from cron.models import JobRun, RunState, Trigger
from cron.slots import Cron
from kaireon import env
from kaireon.lib import clock
from kaireon.tenancy import tenants
from kaireon.tenancy.context import Actor, platform_scope, scope, transaction
from kaireon.tenancy.models import IdempotencyKey
from tests.cast import ACME, ADA, GLOBEX, PASSWORD, SETUP
from tests.cron.test_schedule import command
from tests.live import Beat, Web, Worker, together, wait_until

pytestmark = pytest.mark.slow

CRON = {"Authorization": "Bearer test-cron-secret"}
# The one job that is an internal service's to start.
SCHEDULER = {"X-Service-Key": "test-scheduler-key"}
SKIPPED = {"ok": True, "skipped": "already running"}
# Often enough for a test to wait for it.
SECONDS = 2


@pytest.fixture
def web(db: str, tmp_path: Path) -> Web:
    return Web(tmp_path / "web.log")


@pytest.fixture
def workers(db: str, tmp_path: Path) -> list[Worker]:
    return [Worker(tmp_path / f"worker-{n}.log", "batch-jobs") for n in (1, 2)]


@pytest.fixture
def beat(db: str, tmp_path: Path) -> Iterator[Beat]:
    """Not started yet."""
    process = Beat(tmp_path / "beat.log")
    yield process
    if process.process is not None:
        process.__exit__()


def by_http(web: Web, job: str) -> tuple[int, Any]:
    answer = web.post(f"/cron/{job}", headers=SCHEDULER if job == "security-behavioral-scan" else CRON)
    return answer.status, answer.json()


def by_command(job: str) -> tuple[int, Any]:
    """Its exit code and what it printed."""
    command = [sys.executable, "manage.py", "cron", "run", job, "--json"]
    ran = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)
    return ran.returncode, json.loads(ran.stdout)


def by_button(job: str) -> None:
    """Ada presses the button; a worker runs it."""
    client = Client()
    client.post("/admin/login/", {"username": ADA.email, "password": PASSWORD})
    assert client.post("/admin/cron/jobrun/start/", {"job": job}).status_code == 302


def runs(job: str, trigger: Trigger) -> list[JobRun]:
    return list(JobRun.objects.of(job).filter(trigger=trigger).exclude(state=RunState.RUNNING).order_by("started_at"))


def all_taken() -> bool:
    """Whether no message waits, and none is with a worker."""
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as broker:
        return not broker.llen("batch-jobs") and not broker.hlen("unacked")


def often(*jobs: str) -> None:
    """The schedule has stood for a week, in which no beat ran; an operator has these run every few seconds."""
    with clock.freeze(clock.now() - timedelta(days=7)):
        beat_rows.install()
        with platform_scope(actor=Actor.system("operator")), transaction():
            for job in JOBS.values():
                if job.schedule is None:
                    beat_rows.reschedule(job, cron="* * * * *", enabled=True, now=clock.now())
    with platform_scope(actor=Actor.system("operator")), transaction():
        every = IntervalSchedule.objects.create(every=SECONDS, period=IntervalSchedule.SECONDS)
        for row in PeriodicTask.objects.filter(name__in=jobs):
            row.crontab, row.interval = None, every
            row.save()


def test_every_job_through_every_door(
    web: Web, workers: list[Worker], beat: Beat, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the other processes have it.
    monkeypatch.setattr(env, "OWNER_DATABASE_URL", os.environ["OWNER_DATABASE_URL"])
    # Two keep the schedule they have, and beat was away when they were due; the others run every few seconds.
    missed = {name: Cron(JOBS[name].schedule or "") for name in ("cleanup", "dlq-archive")}
    often(*(JOBS.keys() - missed.keys()))
    PeriodicTask.objects.filter(name__in=missed).update(last_run_at=clock.now() - timedelta(days=7))
    expected = {name: timing.last(clock.now()) for name, timing in missed.items()}

    with together(web, workers[0], beat):
        wait_until(
            lambda: all(len(runs(name, Trigger.BEAT)) >= (1 if name in missed else 2) for name in JOBS),
            or_show=workers[0].log,
        )
        beat.__exit__()
        # What beat has sent last is done before the other doors are tried: they would find it running.
        wait_until(all_taken, or_show=workers[0].log)
        for name in JOBS:
            status, body = by_http(web, name)
            assert (status, body["ok"], body == SKIPPED) == (200, True, False), name
            # Here a process of its own would prove nothing more; the tests below use one.
            assert json.loads(command("run", name, "--json")) != SKIPPED
            by_button(name)
        wait_until(lambda: all(runs(name, Trigger.ADMIN) for name in JOBS), or_show=workers[0].log)

    for name in JOBS:
        for trigger in Trigger:
            found = runs(name, trigger)
            assert found, (name, trigger)
            assert {run.state for run in found} == {RunState.SUCCEEDED}, (name, trigger)
            assert all(run.result["ok"] and run.finished_at for run in found)
        assert {run.actor_name for run in runs(name, Trigger.ADMIN)} == {"Ada"}
        slots = [run.slot for run in runs(name, Trigger.BEAT)]
        assert len(set(slots)) == len(slots)
        if name in missed:
            assert slots == [expected[name]]
        else:
            assert all(slot is not None and slot.timestamp() % SECONDS == 0 for slot in slots)


class Held:
    """A lock on a table that `cleanup` needs: whoever runs it now is in the middle of it until this lets go."""

    def __init__(self, root: psycopg.Connection[Any]) -> None:
        self._root = root

    def __enter__(self) -> None:
        self._root.execute("BEGIN")
        self._root.execute("LOCK TABLE tenancy_idempotencykey IN ACCESS EXCLUSIVE MODE")

    def __exit__(self, *_: object) -> None:
        self._root.execute("ROLLBACK")


def under_way(trigger: Trigger) -> bool:
    return JobRun.objects.of("cleanup").unfinished().filter(trigger=trigger).exists()


def skipped(workers: list[Worker], trigger: Trigger) -> int:
    """How many runs through this door the workers say they skipped."""
    lines = [line for worker in workers for line in worker.log.read_text().splitlines() if '"job_skipped"' in line]
    return sum(json.loads(line)["trigger"] == trigger for line in lines)


def test_one_run_at_a_time_whichever_door_it_came_through(
    web: Web, workers: list[Worker], beat: Beat, superuser_url: str
) -> None:
    often("cleanup")
    answers: list[Any] = []

    def refused(trigger: Trigger, *by_worker: Trigger) -> None:
        """Each door in turn, those that a worker stands behind last, while a run through `trigger` is under way."""
        wait_until(lambda: under_way(trigger), or_show=workers[0].log)
        by_hand = pool.submit(by_command, "cleanup")
        assert by_http(web, "cleanup") == (200, SKIPPED)
        for worker_door in by_worker:
            before = skipped(workers, worker_door)
            if worker_door == Trigger.ADMIN:
                by_button("cleanup")
            wait_until(lambda w=worker_door, b=before: skipped(workers, w) > b, or_show=workers[1].log)  # type: ignore[misc]
        assert by_hand.result() == (0, SKIPPED)
        assert under_way(trigger)
        assert JobRun.objects.unfinished().count() == 1

    with (
        ThreadPoolExecutor(2) as pool,
        psycopg.connect(superuser_url, autocommit=True) as root,
        together(web, *workers),
    ):
        with Held(root):
            holder = pool.submit(by_http, web, "cleanup")
            wait_until(lambda: under_way(Trigger.HTTP), or_show=web.log)
            beat.__enter__()
            refused(Trigger.HTTP, Trigger.BEAT, Trigger.ADMIN)
        answers.append(holder.result())
        with Held(root):
            refused(Trigger.BEAT, Trigger.BEAT, Trigger.ADMIN)
        beat.__exit__()
        wait_until(all_taken, or_show=workers[0].log)
        with Held(root):
            holder = pool.submit(by_command, "cleanup")
            refused(Trigger.COMMAND, Trigger.ADMIN)
        answers.append(holder.result())
        with Held(root):
            by_button("cleanup")
            refused(Trigger.ADMIN, Trigger.ADMIN)
        wait_until(lambda: not JobRun.objects.unfinished().exists(), or_show=workers[0].log)

    assert [(code, body["ok"], "skipped" in body) for code, body in answers] == [(200, True, False), (0, True, False)]
    assert set(JobRun.objects.values_list("state", flat=True)) == {RunState.SUCCEEDED}
    assert set(JobRun.objects.values_list("trigger", flat=True)) == set(Trigger.values)


BREAKS_IN_GLOBEX = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE TRIGGER refuse BEFORE DELETE ON public.tenancy_idempotencykey FOR EACH ROW
  WHEN (OLD.tenant_id = 'globex') EXECUTE FUNCTION public.refuse()
"""
INITECH = "initech"


def used_up_keys() -> None:
    """One in each tenant, for `cleanup` to delete."""
    now = clock.now()
    for tenant in (ACME, GLOBEX, INITECH):
        with scope(tenant_id=tenant, actor=SETUP), transaction():
            IdempotencyKey.objects.create(
                principal="p", key=str(now), fingerprint="f", locked_until=now, expires_at=now - timedelta(days=1)
            )


def keys_left() -> dict[str, int]:
    left = {}
    for tenant in (ACME, GLOBEX, INITECH):
        with scope(tenant_id=tenant, actor=SETUP), transaction():
            left[tenant] = IdempotencyKey.objects.count()
    return left


def test_one_tenant_that_fails_fails_the_run_after_the_others_were_served(
    web: Web, workers: list[Worker], superuser_url: str
) -> None:
    tenants.create_tenant(tenant_id=INITECH, name="Initech", actor=SETUP)
    with psycopg.connect(superuser_url, autocommit=True) as root:
        root.execute(BREAKS_IN_GLOBEX)
    with together(web, workers[0]):
        used_up_keys()
        status, by_route = by_http(web, "cleanup")
        assert keys_left() == {ACME: 0, GLOBEX: 1, INITECH: 0}
        used_up_keys()
        code, by_hand = by_command("cleanup")
        assert keys_left() == {ACME: 0, GLOBEX: 2, INITECH: 0}
        used_up_keys()
        by_button("cleanup")
        (by_worker,) = wait_until(lambda: runs("cleanup", Trigger.ADMIN), or_show=workers[0].log)
        assert keys_left() == {ACME: 0, GLOBEX: 3, INITECH: 0}

    assert (status, code, by_worker.state) == (500, 1, RunState.FAILED)
    for body in (by_route, by_hand, by_worker.result):
        assert (body["ok"], body["error"], body["tenantsScanned"]) == (False, "1 of 3 tenants failed", 3)
        assert [(e["tenantId"], bool(e["errors"])) for e in body["perTenant"]] == [
            (ACME, False),
            (GLOBEX, True),
            (INITECH, False),
        ]
        assert body["perTenant"][1] == {"tenantId": GLOBEX, "errors": ["ProgrammingError"]}
        assert body["perTenant"][0]["deleted"]["idempotencyKey"] == 1
    for run in JobRun.objects.all():
        assert [outcome["ok"] for outcome in run.outcomes] == [True, False, True]
        assert run.error == "1 of 3 tenants failed"
