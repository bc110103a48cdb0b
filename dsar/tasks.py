"""The jobs behind requests; kaireon.jobs carries them."""

from dsar.dossiers import export
from dsar.erasing import deferrals, erasure
from dsar.letters import sending, writing
from dsar.public import filing
from dsar.requests import opting_out, services
from kaireon.jobs.registry import job_type
from kaireon.jobs.runner import JobRun


@job_type("dsar_export", queue="dsar-jobs", time_limit=600, gave_up=services.gave_up)
def dsar_export(run: JobRun) -> None:
    export.process_export(run)


@job_type("dsar_erasure", queue="dsar-jobs", time_limit=600, gave_up=services.gave_up)
def dsar_erasure(run: JobRun) -> None:
    erasure.process_erasure(run)


@job_type("dsar_opt_out", queue="dsar-jobs", gave_up=services.gave_up)
def dsar_opt_out(run: JobRun) -> None:
    opting_out.process_opt_out(run)


@job_type(deferrals.RESUME_JOB, queue="dsar-jobs", time_limit=600)
def dsar_resume(run: JobRun) -> None:
    deferrals.process_resume(run)


@job_type(writing.JOB, queue="dsar-jobs", gave_up=sending.gave_up)
def dsar_letter(run: JobRun) -> None:
    sending.send(run)


@job_type(filing.JOB, queue="dsar-jobs")
def dsar_public_filing(run: JobRun) -> None:
    filing.process(run)
