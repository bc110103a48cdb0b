"""What workers do for the log: the backstop of the sequencer and the spool, and the job behind an export."""

from celery import shared_task

from audit import events, sequencer
from audit.exports import jobs as export_jobs
from audit.verification import jobs as verify_jobs
from kaireon.jobs.registry import job_type
from kaireon.jobs.runner import JobRun


@shared_task(name="audit.drain_all", acks_late=True)
def drain_all(**_newer: object) -> int:
    """Sequence whatever waits, of every tenant; returns how many records."""
    made = 0
    while done := sequencer.sweep():
        made += done
    # Last, for its disk may refuse; what it brings in has the next minute's turn at the latest.
    events.replay()
    return made


@job_type(export_jobs.JOB_TYPE, queue="batch-jobs", time_limit=3000, gave_up=export_jobs.gave_up)
def audit_export(run: JobRun) -> None:
    export_jobs.process(run)


@job_type(verify_jobs.JOB_TYPE, queue="batch-jobs", time_limit=3000)
def audit_verify(run: JobRun) -> None:
    verify_jobs.process(run)
