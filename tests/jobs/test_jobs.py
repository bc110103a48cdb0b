"""A job that cannot be lost and is never done twice."""

import os
import subprocess
import sys
import textwrap
import threading
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, connections

from kaireon.jobs import registry, runner, services
from kaireon.jobs.heartbeat import Heartbeat
from kaireon.jobs.models import Job, JobState
from kaireon.jobs.registry import job_type
from kaireon.jobs.runner import JobError, JobRun
from kaireon.jobs.services import JobNotFailed, LeaseLost, PayloadRefused
from kaireon.jobs.tasks import sweep_due
from kaireon.lib import clock
from kaireon.tenancy.context import Actor, OutsideTransaction, current, scope, transaction
from kaireon.tenancy.models import Tenant
from tests.cast import ACME, GLOBEX, MALLORY

SEEN: list[str] = []
GAVE_UP: list[UUID] = []


def _gave_up(job: Job) -> None:
    GAVE_UP.append(job.pk)


@job_type("test_rename", queue="batch-jobs")
def _rename(run: JobRun) -> None:
    """Its effect and its end commit together."""
    with transaction():
        Tenant.objects.filter(pk=ACME).update(name=run.payload["name"])
        run.finish({"renamed": 1})


@job_type("test_plain", queue="dsar-jobs", time_limit=7, gave_up=_gave_up)
def _plain(run: JobRun) -> None:
    here = current()
    SEEN.append(f"{here.tenant_id} {here.actor.id} {here.request_id}")
    if code := run.payload.get("raise"):
        raise JobError(code, permanent=bool(run.payload.get("permanent")))
    if run.payload.get("bug"):
        raise ValueError("jane@example.com is in this text")


@pytest.fixture(autouse=True)
def _clean() -> None:
    SEEN.clear()
    GAVE_UP.clear()


def _enqueue(type_name: str = "test_plain", **payload: object) -> Job:
    with transaction():
        return services.enqueue(type=type_name, payload=payload, now=clock.now())


def _again(job: Job) -> Job:
    with transaction():
        return Job.objects.get(pk=job.pk)


def _make_due(job: Job) -> None:
    with transaction():
        Job.objects.filter(pk=job.pk).update(due_at=clock.now())


def _claim(job: Job, now: object = None) -> Job | None:
    with transaction():
        return services.claim(job_id=job.pk, now=now or clock.now())


def test_it_runs_a_job_in_its_tenant_as_the_job_with_the_callers_request_id(acme: str) -> None:
    job = _enqueue()
    done = runner.run(job_id=job.pk)
    assert done is not None
    assert done.state == JobState.DONE
    assert done.finished_at
    assert SEEN == ["acme job:test_plain req-1"]


def test_a_done_job_is_never_run_again(acme: str) -> None:
    job = _enqueue("test_rename", name="Once")
    assert runner.run(job_id=job.pk).result == {"renamed": 1}  # type: ignore[union-attr]
    with transaction():
        Tenant.objects.filter(pk=ACME).update(name="Since")
    assert runner.run(job_id=job.pk) is None
    assert _claim(job, clock.now() + timedelta(days=9)) is None
    with transaction():
        assert Tenant.objects.get(pk=ACME).name == "Since"


def test_enqueueing_rolls_back_with_its_transaction(acme: str) -> None:
    with pytest.raises(RuntimeError), transaction():
        services.enqueue(type="test_plain", payload={}, now=clock.now())
        raise RuntimeError
    with transaction():
        assert not Job.objects.exists()
    with pytest.raises(OutsideTransaction):
        services.enqueue(type="test_plain", payload={}, now=clock.now())


@pytest.mark.parametrize("payload", [{"x": {"deep": 1}}, {"x": "y" * 129}, {"x": [1]}, {"x": 1.5}, {"x": b"b"}])
def test_a_payload_takes_ids_and_plain_parameters_only(acme: str, payload: dict[str, object]) -> None:
    with transaction(), pytest.raises(PayloadRefused):
        services.enqueue(type="test_plain", payload=payload, now=clock.now())


def test_an_unknown_type_is_refused(acme: str) -> None:
    with transaction(), pytest.raises(registry.UnknownJobType):
        services.enqueue(type="nothing", payload={}, now=clock.now())
    with pytest.raises(registry.JobTypeTaken):
        job_type("test_plain", queue="batch-jobs")(_plain)


def test_a_second_claim_does_nothing_while_the_lease_is_alive(acme: str) -> None:
    job = _enqueue()
    now = clock.now()
    assert _claim(job, now) is not None
    assert _claim(job, now + timedelta(seconds=29)) is None
    assert _again(job).attempts == 1


def test_an_expired_lease_is_taken_over_and_the_first_holder_can_do_nothing_more(acme: str) -> None:
    job = _enqueue("test_rename", name="x")
    now = clock.now()
    first = _claim(job, now)
    second = _claim(job, now + services.LEASE)
    assert first is not None
    assert second is not None
    assert second.losses == 1
    with transaction():
        assert not services.heartbeat(job=first, now=now)
        assert services.heartbeat(job=second, now=now)
    for refused in (services.finish, lambda **kw: services.fail(code="x", **kw)):
        with pytest.raises(LeaseLost), transaction():
            refused(job=first, now=now)
    # The zombie's effect is rolled back with its refused finish.
    with pytest.raises(LeaseLost), transaction():
        Tenant.objects.filter(pk=ACME).update(name="zombie")
        JobRun(first).finish()
    with transaction():
        services.finish(job=second, now=now)
        assert Tenant.objects.get(pk=ACME).name != "zombie"
    assert _again(job).state == JobState.DONE


def test_of_workers_racing_for_one_job_exactly_one_runs_it(acme: str) -> None:
    job = _enqueue()
    gate = threading.Barrier(6)

    def work() -> None:
        try:
            with scope(tenant_id=ACME, actor=Actor.job("race")):
                gate.wait()
                runner.run(job_id=job.pk)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(SEEN) == 1
    assert _again(job).attempts == 1


@pytest.mark.parametrize("first", [5, 60])
def test_a_failure_is_retried_three_times_with_growing_pauses_and_then_given_up(
    acme: str, settings: Any, first: int
) -> None:
    settings.RETRY_SECONDS = first
    job = _enqueue(**{"raise": "no_luck"})
    pauses = []
    for _ in range(4):
        _make_due(job)
        before = clock.now()
        row = runner.run(job_id=job.pk)
        assert row is not None
        assert row.error == "no_luck"
        pauses.append(row.due_at - before)
    assert row.state == JobState.FAILED
    assert row.failures == 4
    assert len(SEEN) == 4
    assert [job.pk] == GAVE_UP
    for pause, base in zip(pauses[:3], (first, 3 * first, 9 * first), strict=True):
        assert base * 0.5 <= pause.total_seconds() <= base * 1.5 + 1
    assert runner.run(job_id=job.pk) is None


def test_a_permanent_failure_is_not_retried(acme: str) -> None:
    job = _enqueue(**{"raise": "never", "permanent": True})
    assert runner.run(job_id=job.pk).state == JobState.FAILED  # type: ignore[union-attr]
    assert [job.pk] == GAVE_UP


def test_a_bug_leaves_its_kind_and_none_of_its_text(acme: str) -> None:
    job = _enqueue(bug=True)
    row = runner.run(job_id=job.pk)
    assert row is not None
    assert row.state == JobState.QUEUED
    assert row.error == "value_error"


def test_a_failed_job_can_be_retried_and_only_a_failed_one(acme: str) -> None:
    job = _enqueue(**{"raise": "x", "permanent": True})
    with transaction(), pytest.raises(JobNotFailed):
        services.retry(job=job, now=clock.now())
    runner.run(job_id=job.pk)
    with transaction():
        services.retry(job=job, now=clock.now())
    row = _again(job)
    assert (row.state, row.failures, row.finished_at) == (JobState.QUEUED, 0, None)


@pytest.mark.parametrize(
    "before",
    [
        # Its worker said three times that its process died; or so many leases ran out that nobody can say why.
        {"crashes": services.MAX_CRASHES, "losses": services.MAX_CRASHES - 1},
        {"losses": services.MAX_LOSSES - 1},
    ],
)
def test_a_job_that_kills_its_worker_again_and_again_is_given_up(acme: str, before: dict[str, int]) -> None:
    job = _enqueue()
    with transaction():
        Job.objects.filter(pk=job.pk).update(**before)
    _claim(job)
    with clock.freeze(clock.now() + services.LEASE):
        row = runner.run(job_id=job.pk)
    assert row is not None
    assert (row.state, row.error) == (JobState.FAILED, "worker_lost")
    assert not SEEN
    assert [job.pk] == GAVE_UP


def test_a_job_that_lost_its_worker_a_few_times_runs_all_the_same(acme: str) -> None:
    job = _enqueue()
    with transaction():
        Job.objects.filter(pk=job.pk).update(crashes=services.MAX_CRASHES - 1, losses=services.MAX_LOSSES - 2)
    _claim(job)
    with clock.freeze(clock.now() + services.LEASE):
        row = runner.run(job_id=job.pk)
    assert row is not None
    assert row.state == JobState.DONE


def test_a_crash_is_noted_for_a_job_that_has_not_ended_and_takes_its_lease_from_nobody(acme: str) -> None:
    job = _enqueue()
    claimed = _claim(job)
    with transaction():
        assert services.crashed(job_id=job.pk)
    row = _again(job)
    assert (row.crashes, row.lease_token) == (1, claimed.lease_token)  # type: ignore[union-attr]
    with transaction():
        services.finish(job=row, now=clock.now())
        assert not services.crashed(job_id=job.pk)
    assert _again(job).crashes == 1


def test_the_heartbeat_renews_the_lease_while_the_handler_keeps_a_transaction_open(acme: str) -> None:
    job = _claim(_enqueue())
    assert job is not None
    with Heartbeat(job, threading.Event().set, every=0.05), transaction():
        Tenant.objects.filter(pk=ACME).update(name="slow")
        threading.Event().wait(0.5)
    assert _again(job).lease_until > job.lease_until


def test_the_heartbeat_tells_the_handler_that_its_lease_is_lost(acme: str) -> None:
    job = _claim(_enqueue())
    assert job is not None
    run = JobRun(job)
    run.check()
    with transaction():
        Job.objects.filter(pk=job.pk).update(lease_token=uuid4())
    with Heartbeat(job, run.lost.set, every=0.02):
        assert run.lost.wait(5)
    with pytest.raises(LeaseLost):
        run.check()


def test_past_its_time_limit_a_lease_is_not_renewed_any_more(acme: str) -> None:
    job = _claim(_enqueue())
    assert job is not None
    run = JobRun(job)
    with Heartbeat(job, run.lost.set, every=0.2), clock.freeze(clock.now() + timedelta(minutes=2)):
        assert run.lost.wait(5)


def test_another_tenant_neither_sees_nor_claims_it(acme: str) -> None:
    job = _enqueue()
    with MALLORY.here():
        assert runner.run(job_id=job.pk) is None
        with transaction():
            assert not Job.objects.exists()
            with connection.cursor() as cursor:
                cursor.execute("UPDATE jobs_job SET error = 'mallory' WHERE id = %s", [job.pk])
                assert cursor.rowcount == 0
    assert not SEEN


def test_the_sweep_finds_due_jobs_and_expired_leases_of_every_tenant_with_redis_empty(acme: str) -> None:
    now = clock.now()
    due, leased, expired, done = (_enqueue() for _ in range(4))
    with transaction():
        later = services.enqueue(type="test_plain", payload={}, now=now, delay=timedelta(hours=1))
    _claim(leased, now + timedelta(hours=2))
    _claim(expired, now)
    runner.run(job_id=done.pk)
    with MALLORY.here():
        theirs = _enqueue("test_rename", name="x")
        with transaction():
            Job.objects.filter(pk=theirs.pk).update(due_at=now)
    moment = now + services.LEASE
    with connection.cursor() as cursor:
        cursor.execute("SELECT tenant_id, id FROM public.due_jobs(%s, 100, '{}', NULL)", [moment])
        found = set(cursor.fetchall())
    assert found == {(ACME, due.pk), (ACME, expired.pk), (GLOBEX, theirs.pk)}
    assert later.pk not in {row[1] for row in found}
    assert sweep_due(now=moment, queues=["pipeline-jobs"]) == 0
    assert sweep_due(now=moment, queues=["batch-jobs"]) == 1
    assert sweep_due(now=moment) == 2
    # Their messages wait now: sending again would only bury the workers.
    assert sweep_due(now=moment) == 0


def test_waking_without_a_broker_is_no_error(acme: str) -> None:
    job = _enqueue()
    script = (
        "import sys, django; django.setup(); from uuid import UUID; from kaireon.jobs import registry, services;"
        "registry.job_type('test_plain', queue='dsar-jobs')(print);"
        "print(services.send(tenant_id='acme', job_id=UUID(sys.argv[1]), queue='dsar-jobs', type='test_plain'))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, str(job.pk)],
        env={**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert answer.stdout.strip() == "False"


_DIES = """
    import os, sys, django
    django.setup()
    from uuid import UUID
    from kaireon.jobs import runner
    from kaireon.jobs.registry import job_type
    from kaireon.tenancy.context import Actor, scope, transaction
    from kaireon.tenancy.models import Tenant

    @job_type("test_rename", queue="batch-jobs")
    def rename(run):
        with transaction():
            Tenant.objects.filter(pk="acme").update(name="from the dead")
            run.finish()
            os._exit(9)

    with scope(tenant_id="acme", actor=Actor.job("test")):
        runner.run(job_id=UUID(sys.argv[1]))
"""


def test_a_worker_killed_before_its_commit_leaves_nothing_and_the_next_one_finishes(acme: str) -> None:
    job = _enqueue("test_rename", name="done")
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(_DIES), str(job.pk)], timeout=60, check=False)
    assert died.returncode == 9
    with transaction():
        assert Tenant.objects.get(pk=ACME).name != "from the dead"
    assert _again(job).state == JobState.RUNNING
    assert runner.run(job_id=job.pk) is None
    with clock.freeze(clock.now() + services.LEASE):
        row = runner.run(job_id=job.pk)
    assert row is not None
    assert (row.state, row.attempts, row.losses) == (JobState.DONE, 2, 1)
