"""One thread beside each worker renews what it works on, job after job."""

import threading
import time

import pytest

from kaireon.jobs import heartbeat, services
from kaireon.jobs.heartbeat import Heartbeat
from kaireon.jobs.models import Job
from kaireon.jobs.registry import job_type
from kaireon.lib import clock
from kaireon.tenancy.context import transaction

TYPE = "heartbeat_test"
job_type(TYPE, queue="batch-jobs")(lambda run: None)


def claimed() -> Job:
    with transaction():
        job = services.enqueue(type=TYPE, payload={}, now=clock.now())
        taken = services.claim(job_id=job.pk, now=clock.now())
    assert taken is not None
    return taken


def renewed(job: Job) -> bool:
    with transaction():
        return Job.objects.get(pk=job.pk).lease_until > job.lease_until


def wait_until_renewed(job: Job) -> None:
    deadline = time.monotonic() + 5
    while not renewed(job):
        assert time.monotonic() < deadline, "the lease was not renewed"
        time.sleep(0.01)


def beating() -> set[int | None]:
    return {thread.ident for thread in threading.enumerate() if thread.name.startswith("heartbeat-")}


def lost() -> None:
    raise AssertionError("the lease was not lost")


@pytest.fixture(autouse=True)
def _no_thread_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_own", threading.local())


def test_jobs_one_after_the_other_share_a_thread(acme: str) -> None:
    others = beating()
    for _ in range(3):
        job = claimed()
        with Heartbeat(job, lost, every=0.02):
            wait_until_renewed(job)
            assert len(beating() - others) == 1


def test_a_job_begun_while_the_thread_waits_for_long_is_renewed_in_its_time(acme: str) -> None:
    with Heartbeat(claimed(), lost):
        pass
    job = claimed()
    with Heartbeat(job, lost, every=0.02):
        wait_until_renewed(job)


def test_a_thread_that_had_nothing_to_do_is_followed_by_another(acme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "IDLE_SECONDS", 0.0)
    with Heartbeat(claimed(), lost, every=0.02) as first:
        pass
    first._companion.join(10)
    assert not first._companion.is_alive()

    job = claimed()
    with Heartbeat(job, lost, every=0.02):
        wait_until_renewed(job)


def test_nothing_is_renewed_after_the_end(acme: str) -> None:
    job = claimed()
    with Heartbeat(job, lost, every=0.02) as ended:
        pass
    time.sleep(0.1)
    ended.beat()
    assert not renewed(job)


def test_what_is_worked_on_in_a_job_is_renewed_beside_it(acme: str) -> None:
    outer, inner = claimed(), claimed()
    with Heartbeat(outer, lost, every=0.02), Heartbeat(inner, lost, every=0.02):
        wait_until_renewed(outer)
        wait_until_renewed(inner)
