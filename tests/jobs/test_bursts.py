"""Many jobs share few messages: who comes for one takes along what else is due, and nobody is left behind."""

import time
from typing import Any
from uuid import UUID

import pytest
from celery import current_app

from kaireon.jobs import bursts, services, tasks
from kaireon.jobs.models import Job, JobState
from kaireon.jobs.registry import job_type
from kaireon.jobs.runner import JobRun
from kaireon.lib import clock
from kaireon.tenancy.context import current, transaction
from tests.cast import ACME, GLOBEX, MALLORY

QUEUE = "journey-jobs"
DONE: list[tuple[str, str]] = []


def note(run: JobRun) -> None:
    here = current()
    DONE.append((here.tenant_id, here.actor.id))


job_type("burst_test", queue=QUEUE)(note)
job_type("burst_long_test", queue=QUEUE, time_limit=900)(note)


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    DONE.clear()


def enqueued(type_name: str = "burst_test") -> Job:
    with transaction():
        return services.enqueue(type=type_name, payload={}, now=clock.now())


def messages() -> int:
    with current_app.connection_for_write() as broker:
        channel: Any = broker.default_channel
        try:
            return int(channel.queue_declare(queue=QUEUE, passive=True).message_count)
        except broker.channel_errors:
            return 0


def come(job: Job) -> None:
    """What a worker does with the message of this job."""
    tasks.run(tenant_id=str(job.tenant_id), job_id=str(job.pk), queue=job.queue, type=job.type)


def states(*jobs: Job) -> list[str]:
    with transaction():
        return [Job.objects.get(pk=job.pk).state for job in jobs]


def test_who_comes_for_one_takes_along_what_is_due_in_the_queue_of_every_tenant(acme: str) -> None:
    first, second = enqueued(), enqueued()
    with MALLORY.here():
        enqueued()
    come(first)
    assert states(first, second) == [JobState.DONE] * 2
    assert sorted(DONE) == [(ACME, "job:burst_test")] * 2 + [(GLOBEX, "job:burst_test")]
    assert messages() == 0


def test_of_many_jobs_the_first_only_have_messages(acme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bursts, "MOST_WAITING", 2)
    jobs = [enqueued() for _ in range(4)]
    assert all(services.wake(job) for job in jobs)
    assert messages() == 2
    come(jobs[0])
    # One has been come for, and so another may wait.
    assert services.wake(enqueued())
    assert services.wake(enqueued())
    assert messages() == 3


def test_what_may_take_longer_has_a_message_of_its_own_and_is_not_taken_along(
    acme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bursts, "MOST_WAITING", 0)
    short, long = enqueued(), enqueued("burst_long_test")
    assert services.wake(short)
    assert services.wake(long)
    assert messages() == 1
    come(short)
    assert states(short, long) == [JobState.DONE, JobState.QUEUED]
    come(long)
    assert states(long) == [JobState.DONE]


def test_what_began_once_is_not_taken_along(acme: str) -> None:
    """Should it end its process again, its message says which one it was."""
    first, again = enqueued(), enqueued()
    with transaction():
        Job.objects.filter(pk=again.pk).update(attempts=1)
    come(first)
    assert states(first, again) == [JobState.DONE, JobState.QUEUED]


@pytest.mark.parametrize(("waiting", "sent"), [(0, 1), (bursts.MOST_WAITING, 0)])
def test_after_a_moment_what_is_left_is_for_the_next_who_comes(acme: str, waiting: int, sent: int) -> None:
    left = enqueued()
    for _ in range(waiting):
        bursts.sent(QUEUE, "burst_test")
    worked: list[UUID] = []

    def work(_tenant: str, job_id: UUID) -> bool:
        worked.append(job_id)
        return True

    long_ago = time.monotonic() - bursts.SECONDS
    assert bursts.take_along(queue=QUEUE, since=long_ago, work=work, wake=tasks._wake) == 0
    assert worked == []
    assert messages() == sent
    assert states(left) == [JobState.QUEUED]


def test_the_sweep_sends_no_more_than_workers_come_for(acme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bursts, "MOST_WAITING", 2)
    for name in ("burst_test", "burst_test", "burst_test", "burst_long_test"):
        enqueued(name)
    assert tasks.sweep_due(now=clock.now()) == 3
    assert tasks.sweep_due(now=clock.now()) == 0


def test_a_count_that_lost_messages_is_forgotten(acme: str) -> None:
    for _ in range(bursts.MOST_WAITING):
        bursts.sent(QUEUE, "burst_test")
    assert bursts.enough_wait(QUEUE, "burst_test")
    life = bursts.cache.client().ttl(f"jobs:messages:{QUEUE}")
    assert 0 < life <= 60
    bursts.sent(QUEUE, "burst_test")
    assert bursts.cache.client().ttl(f"jobs:messages:{QUEUE}") <= life
