"""Verifying a long log from a page: a background job with progress, since no request may take so long."""

from audit import services
from audit.models import VerificationKind
from audit.verification import runs
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.jobs.runner import JobError, JobRun
from kaireon.lib import clock
from kaireon.tenancy.context import current, requires_transaction, transaction

JOB_TYPE = "audit_verify"


@requires_transaction
def request() -> Job:
    """Ask for the active tenant's whole log to be verified. Wake a worker with the job after the commit."""
    return jobs.enqueue(type=JOB_TYPE, payload={}, now=clock.now())


def process(run: JobRun) -> None:
    """The job: what it finds stands in the run's row and in the log."""
    services.drain(current().tenant_id)

    def moved(done: int, whole: int) -> None:
        run.progress(lambda: 100 * done / whole if whole else 0)

    try:
        found = runs.run(VerificationKind.FULL, moved=moved)
    except runs.AlreadyRunning as e:
        # Whoever is at it records what comes of it.
        raise JobError("already_running", permanent=True) from e
    with transaction():
        run.finish({"state": found.state, "scanned": found.scanned})
