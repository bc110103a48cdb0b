"""What kills its worker is given up; what only takes long is not. With a real worker, whose processes really die."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from kaireon import env
from kaireon.jobs import services
from kaireon.jobs.checks import LEAST_SECONDS
from kaireon.jobs.models import Job, JobState
from kaireon.jobs.tasks import sweep_due
from kaireon.lib import clock
from kaireon.outbox.models import DeadLetter
from kaireon.tenancy.context import transaction
from tests.cast import ADA
from tests.chaos.work import TABLE
from tests.live import Worker, wait_until

# As short as the product allows.
LEASE = LEAST_SECONDS


@pytest.fixture
def root(db: str, superuser_url: str) -> Iterator[psycopg.Connection]:
    """Everything about effects, and Ada's scope around it."""
    with psycopg.connect(superuser_url, autocommit=True) as connection, ADA.here():
        connection.execute(TABLE)
        yield connection


@pytest.fixture
def worker(db: str, tmp_path: Path) -> Iterator[Worker]:
    """Of two processes."""
    ours = Worker(tmp_path / "worker.log", "batch-jobs", "retrain-jobs", JOB_LEASE_SECONDS=str(LEASE))
    ours.command = (*ours.command, "--concurrency", "2", "--include", "tests.chaos.work")
    with ours:
        yield ours


def enqueue(type_name: str, **payload: object) -> Job:
    with transaction():
        job = services.enqueue(type=type_name, payload=payload, now=clock.now())
    services.wake(job)
    return job


def row_of(job: Job) -> Job:
    with transaction():
        return Job.objects.get(pk=job.pk)


def ended(job: Job) -> Job | None:
    """The job once it has ended; looks for jobs that nobody works on, as beat has it done."""
    sweep_due(now=clock.now())
    row = row_of(job)
    return row if row.state in (JobState.DONE, JobState.FAILED) else None


def effects(root: psycopg.Connection, name: str) -> int:
    return len(root.execute("SELECT FROM chaos_effect WHERE name = %s", [name]).fetchall())


def over(job: Job, *, crashes: int) -> bool:
    """Whether so many of its processes died; the lease of the last one has run out then."""
    with transaction():
        died = Job.objects.filter(pk=job.pk, crashes=crashes)
        return died.exists() and (died.update(lease_until=clock.now()) == 1)


@pytest.mark.slow
def test_a_job_that_kills_its_process_each_time_is_given_up_and_one_that_only_takes_long_is_not(
    root: psycopg.Connection, worker: Worker
) -> None:
    """The long one also keeps its lease while the broker is away, and while processes die beside its own."""
    patient = enqueue("chaos_long", item="patient", seconds=2 * LEASE)
    wait_until(lambda: row_of(patient).state == JobState.RUNNING, or_show=worker.log)
    with redis.Redis.from_url(env.redis_url(2)) as broker:
        # Everything it knew is gone, and every connection with it.
        broker.flushall()
        broker.client_kill_filter(_type="normal", skipme=True)
        broker.client_kill_filter(_type="pubsub", skipme=True)

    poison, healthy = enqueue("chaos_poison"), enqueue("chaos_effect", item="healthy", ms=0)
    for crashes in range(1, services.MAX_CRASHES + 1):
        wait_until(lambda n=crashes: over(poison, crashes=n), or_show=worker.log)  # type: ignore[misc]
        sweep_due(now=clock.now())
    row = wait_until(lambda: ended(poison), or_show=worker.log)
    assert (row.state, row.error, row.crashes) == (JobState.FAILED, "worker_lost", 3)
    assert effects(root, "poison") == 3
    with transaction():
        letter = DeadLetter.objects.get(source_ref=poison.pk)
    assert (letter.queue, letter.topic, letter.classification) == ("batch-jobs", "chaos_poison", "permanent")

    # The worker itself lives, and so does what was beside it.
    assert wait_until(lambda: ended(healthy), or_show=worker.log).state == JobState.DONE
    assert effects(root, "healthy") == 1
    row = wait_until(lambda: ended(patient), or_show=worker.log)
    assert (row.state, row.attempts, row.losses) == (JobState.DONE, 1, 0)
    assert effects(root, "patient") == 1
    assert "Connection to broker lost" in worker.log.read_text()
