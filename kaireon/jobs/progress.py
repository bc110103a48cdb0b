"""How far a job has come, as its handler says."""

from kaireon.jobs.models import Job, JobState
from kaireon.jobs.services import LeaseLost
from kaireon.tenancy.context import requires_transaction


@requires_transaction
def note(*, job: Job, percent: float) -> None:
    """Write down how far it has come, 0 to 100; a handler calls it now and then. Raises LeaseLost.

    It never says 100: that is the job's end, which `finish` writes with the effect.
    """
    whole = max(0, min(99, int(percent)))
    if whole == job.percent:
        return
    held = Job.objects.filter(pk=job.pk, state=JobState.RUNNING, lease_token=job.lease_token)
    if not held.update(percent=whole):
        raise LeaseLost(str(job.pk))
    job.percent = whole
