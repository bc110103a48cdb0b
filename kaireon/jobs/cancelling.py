"""Giving a job up because somebody wants it so."""

from datetime import datetime

from kaireon.jobs import registry
from kaireon.jobs.models import Job, JobState
from kaireon.tenancy import signals
from kaireon.tenancy.context import requires_transaction

CANCELLED = "cancelled"


class JobNotOpen(RuntimeError):
    """Only a job that waits or runs is cancelled: this one has ended."""


@requires_transaction
def cancel(*, job: Job, now: datetime) -> Job:
    """End the job where it stands; gives the row as it is then. Recorded as `job.cancel`. Raises JobNotOpen.

    One that runs loses its lease: its worker stops at its next look at it, and what it has not committed by then is
    rolled back. What stands on the job (a subject request, a run of a pipeline) learns that it was given up, with the
    reason `cancelled`, and can be tried again.
    """
    ended = Job.objects.open().filter(pk=job.pk)
    if not ended.update(state=JobState.CANCELLED, lease_token=None, lease_until=None, error=CANCELLED, finished_at=now):
        raise JobNotOpen(str(job.pk))
    found = Job.objects.get(pk=job.pk)
    types = {known.name: known for known in registry.all_types()}
    gave_up = types[found.type].gave_up if found.type in types else None
    if gave_up is not None:
        gave_up(found)
    signals.job_cancelled.send(sender=Job, job=found)
    return found
