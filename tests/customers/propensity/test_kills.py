"""SIGKILL anywhere in a retrain: what is served is whole at every moment, and the next worker ends it once."""

from datetime import timedelta

from customers.models import PropensityVersion, RetrainRun, RetrainSchedule
from customers.models.propensity import RetrainState
from customers.propensity import schedules, serving, versions
from kaireon.jobs import runner
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.audit.kills.child import dying
from tests.customers.propensity.world import OFFER, plant, retrained, schedule

# Between two deaths; with one that parts commits from what is before and after them.
STEP = 7


def numbers() -> list[int]:
    """Of the versions there are; the one that is served can be read."""
    with transaction():
        row = RetrainSchedule.objects.get()
        found = list(PropensityVersion.objects.order_by("number").values_list("number", flat=True))
        served = serving.served(OFFER)
        assert served is not None
        assert served.number == versions.served_of(row).number
    assert row.versions == len(found)
    return found


def test_a_retrain_that_is_killed_anywhere_is_ended_once_by_the_next_worker(ada: None) -> None:
    now = clock.now()
    row = schedule(now)
    plant(now, people=25)
    retrained(now)
    assert numbers() == [1]
    with transaction():
        job = schedules.queue(row, slot="a", cause="test", now=now)
    assert job is not None
    point, killed, done = 4, 0, False
    while dying(lambda: runner.run(job_id=job.pk), at_statement=point):
        killed += 1
        point += STEP
        with transaction():
            state = RetrainRun.objects.get(slot="a").state
            done = Job.objects.get(pk=job.pk).state == JobState.DONE
            # Its lease runs out. Of a job whose workers die again and again tests/jobs tell.
            Job.objects.filter(pk=job.pk).exclude(state=JobState.DONE).update(
                lease_until=now - timedelta(hours=1), losses=0, crashes=0
            )
        # The version, what is served, the run and the job end in one transaction.
        assert (state == RetrainState.SERVED) is done
        assert numbers() == ([1, 2] if done else [1])
    assert killed > 3
    assert numbers() == [1, 2]
    with transaction():
        assert RetrainRun.objects.get(slot="a").state == RetrainState.SERVED
        assert RetrainSchedule.objects.get().served.number == 2
