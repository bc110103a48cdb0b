"""A job whose dependency is left alone waits for it: that is no failure, and takes none of its tries."""

from kaireon.api.breakers import Breaker, BreakerOpen
from kaireon.jobs import runner, services
from kaireon.jobs.models import Job, JobState
from kaireon.jobs.registry import job_type
from kaireon.jobs.runner import JobRun
from kaireon.lib import clock
from kaireon.tenancy.context import transaction

STORAGE = Breaker("storage", instance="test")
DONE: list[str] = []


def away() -> None:
    raise ConnectionRefusedError


@job_type("test_stores", queue="batch-jobs")
def _stores(run: JobRun) -> None:
    STORAGE.call(away if run.payload["away"] else DONE.append, *([] if run.payload["away"] else ["stored"]))


def enqueue(*, away: bool) -> Job:
    with transaction():
        return services.enqueue(type="test_stores", payload={"away": away}, now=clock.now())


def test_it_waits_as_long_as_the_dependency_is_left_alone(acme: str, settings):
    settings.CIRCUIT_BREAKER_ENABLED = True
    DONE.clear()
    for _ in range(5):
        assert runner.run(job_id=enqueue(away=True).pk).error == "connection_refused_error"
    job = enqueue(away=False)
    after = runner.run(job_id=job.pk)
    assert after is not None
    assert (after.state, after.failures, after.lease_token) == (JobState.QUEUED, 0, None)
    assert 50 < (after.due_at - clock.now()).total_seconds() <= 60
    assert DONE == []
    settings.CIRCUIT_BREAKER_ENABLED = False
    with transaction():
        Job.objects.filter(pk=job.pk).update(due_at=clock.now())
    assert runner.run(job_id=job.pk).state == JobState.DONE
    assert DONE == ["stored"]


def test_it_is_a_failure_to_connect_for_whoever_knows_no_better():
    assert issubclass(BreakerOpen, OSError)
