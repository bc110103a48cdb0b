"""Requests answered by a real Celery worker process, which is killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
import redis

from customers import models as m
from dsar.models import Dossier
from dsar.requests import services
from kaireon import env
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.dsar.conftest import NUMBER, again, file


@contextmanager
def worker() -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "celery", "-A", "kaireon", "worker", "-Q", "dsar-jobs", "-c", "1", "-l", "ERROR"]
    process = subprocess.Popen([*command, "--without-gossip", "--without-mingle"], start_new_session=True)
    try:
        yield process
    finally:
        kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(condition: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def _done(filed: services.Filed) -> bool:
    return again(filed).status == "completed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("request_type", "blocked_row"),
    [("export", "customers_customer"), ("delete", "customers_identitylink"), ("delete", "customers_customer")],
)
def test_a_worker_killed_in_the_middle_is_followed_by_one_that_finishes_it_once(
    jane: m.Customer, superuser_url: str, request_type: str, blocked_row: str
) -> None:
    column = "id" if blocked_row == "customers_customer" else "customer_id"
    filed = file(request_type)
    services.wake(filed)
    with psycopg.connect(superuser_url) as blocker, worker() as process:
        # The worker comes to a stand behind this lock, with part of its work done and nothing of it committed.
        blocker.execute(f"SELECT FROM {blocked_row} WHERE {column} = %s FOR UPDATE", [jane.pk])
        with psycopg.connect(superuser_url, autocommit=True) as watch:
            waits = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            wait_for(lambda: watch.execute(waits).fetchone()[0])  # type: ignore[index]
        kill(process)
    assert again(filed).status == "processing"
    with transaction():
        assert m.Interaction.objects.filter(customer=jane).count() == 3
        # The lease of the dead runs out; and Redis has forgotten everything.
        Job.objects.filter(pk=filed.job.pk).update(lease_until=clock.now())
    redis.Redis.from_url(env.redis_url(2)).flushdb()
    with worker():
        wait_for(lambda: _done(filed))
    with transaction():
        job = Job.objects.get(pk=filed.job.pk)
        assert (job.state, job.attempts, job.losses) == ("done", 2, 1)
        assert Dossier.objects.count() == (1 if request_type == "export" else 0)
        assert m.Customer.objects.filter(pk=jane.pk).exists() == (request_type == "export")


@pytest.mark.slow
def test_with_redis_wiped_every_open_request_is_found_and_answered_once(jane: m.Customer) -> None:
    requests = [file(), file(subject_id="C-99"), file("delete", "nobody"), file("delete", NUMBER)]
    for filed in requests:
        services.wake(filed)
    redis.Redis.from_url(env.redis_url(2)).flushdb()
    with worker():
        wait_for(lambda: all(_done(filed) for filed in requests))
    with transaction():
        assert set(Job.objects.values_list("state", "attempts")) == {("done", 1)}
