"""A pipeline whose storage is left alone waits for it, and goes on where it was."""

from typing import Any

import pytest
from django.core.files.storage import default_storage

from kaireon.api import cache
from kaireon.flows.models import RunState
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.flows.conftest import begin, make, put, work

STEPS = [
    {"name": "read", "node": "load_file", "params": {"file": "in/some.csv", "format": "csv"}},
    {"name": "out", "node": "write_file", "params": {"file": "out/{run}.csv", "format": "csv"}, "needs": ["read"]},
]


def away() -> None:
    raise ConnectionRefusedError


def test_it_is_no_failure_of_the_run(acme: str, settings: Any) -> None:
    settings.CIRCUIT_BREAKER_ENABLED = True
    put("in/some.csv", "a\n1\n")
    run = begin(make(STEPS))
    for _ in range(5):
        with pytest.raises(ConnectionRefusedError):
            default_storage.reads.call(away)  # type: ignore[attr-defined]
    after = work(run)
    assert (after.state, after.error) == (RunState.RUNNING, "")
    with transaction():
        job = Job.objects.get(pk=after.job_ref)
    assert (job.state, job.failures) == (JobState.QUEUED, 0)
    assert (job.due_at - clock.now()).total_seconds() > 50

    for key in cache.client().scan_iter("breaker:*|*", _type="hash"):
        cache.client().hincrbyfloat(key, "opened_at", -61)
    with transaction():
        Job.objects.filter(pk=job.pk).update(due_at=clock.now())
    done = work(run)
    assert (done.state, done.rows_out) == (RunState.DONE, 1)
