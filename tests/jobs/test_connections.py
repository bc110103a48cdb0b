"""A worker keeps its database connection from job to job, and gets over the loss of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from kaireon.celery import GOOD_SECONDS
from kaireon.jobs import services
from kaireon.jobs.models import Job, JobState
from kaireon.jobs.registry import job_type
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.bench.jobs.noop.apps import QUEUES, do_nothing, job_type_of
from tests.bench.jobs.timekeeper import PIPE_VARIABLE, Timekeeper

TYPE, QUEUE = job_type_of(1), QUEUES[1]
NAME = "the-worker"

job_type(TYPE, queue=QUEUE)(do_nothing)


@pytest.fixture
def worker(acme: str, tmp_path: Path) -> Iterator[Timekeeper]:
    """A real one, whose connections have a name."""
    url = os.environ["DATABASE_URL"]
    pipe = tmp_path / "ends"
    os.mkfifo(pipe)
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.bench.jobs.settings",
        "DATABASE_URL": f"{url}{'&' if urlsplit(url).query else '?'}application_name={NAME}",
        PIPE_VARIABLE: str(pipe),
    }
    command = [sys.executable, "-m", "celery", "-A", "kaireon", "worker", "-Q", QUEUE, "-c", "1", "-l", "ERROR"]
    process = subprocess.Popen(
        [*command, "--without-gossip", "--without-mingle"], env=environment, start_new_session=True
    )
    yield Timekeeper(pipe)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_a_job(worker: Timekeeper) -> str:
    with transaction():
        job = services.enqueue(type=TYPE, payload={}, now=clock.now())
    services.wake(job)
    worker.ends(1, patience=40)
    with transaction():
        return Job.objects.get(pk=job.pk).state


@pytest.mark.slow
def test_a_worker_keeps_its_connection_and_replaces_a_broken_one(worker: Timekeeper, superuser_url: str) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as watch:

        def backends() -> list[int]:
            found = watch.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", [NAME]).fetchall()
            return [pid for (pid,) in found]

        assert run_a_job(worker) == JobState.DONE
        [first] = backends()
        assert run_a_job(worker) == JobState.DONE
        assert backends() == [first]

        watch.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
        time.sleep(GOOD_SECONDS)
        assert run_a_job(worker) == JobState.DONE
        [second] = backends()
        assert second != first


@pytest.mark.slow
def test_one_message_brings_a_worker_to_all_that_is_due(worker: Timekeeper) -> None:
    assert run_a_job(worker) == JobState.DONE
    with transaction():
        jobs = [services.enqueue(type=TYPE, payload={}, now=clock.now()) for _ in range(5)]
    services.wake(jobs[-1])
    worker.ends(5, patience=40)
    with transaction():
        assert {Job.objects.get(pk=job.pk).state for job in jobs} == {JobState.DONE}
