"""The job `report`: build, render, seal, store; then row, files, messages and the job's own end in one transaction.

A worker that dies before that transaction leaves nothing that could be taken for a report: what it stored is announced
and removed, and the next one makes it anew. One that dies after it has nothing left to do. So a report is told of once.
"""

from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings

import audit
from audit import services as log
from audit.sequencer import LogStandsStill
from compliance.models import ReportRun, ReportSchedule, ReportState
from compliance.reporting import document, files, notices, rendering, runs, schedule, schedules, templates
from compliance.reporting.files import Stored
from compliance.reporting.schedules import ReportRefused
from kaireon.jobs.models import Job
from kaireon.jobs.registry import job_type
from kaireon.jobs.runner import JobError, JobRun
from kaireon.jobs.services import LeaseLost
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction, transaction
from kaireon.tenancy.patience import at_most

COMPLETED_VERB = "report.complete"
FAILED_VERB = "report.fail"
PREVIEWED_VERB = "report.preview"
TEMPLATE_FAILED = "template_failed"
TIME_LIMIT = 600
# Somebody waits for it: no statement takes longer.
PREVIEW_SECONDS = 10


class NotOurs(RuntimeError):
    """Another job makes the report now, or it is made already."""


@requires_transaction
def gave_up(job: Job) -> None:
    """Runs in the transaction that marks the job failed for good: the report has failed, and its readers are told."""
    try:
        run = _locked(job)
    except NotOurs:
        return
    now = clock.now()
    run.state, run.error, run.finished_at = ReportState.FAILED, job.error, now
    run.detail = run.detail if job.error == TEMPLATE_FAILED else ""
    audit.action(FAILED_VERB, entity=run)
    run.save(update_fields=["state", "error", "detail", "finished_at"])
    notices.tell(run, notices.FAILED, now=now)


@job_type(runs.JOB_TYPE, queue="batch-jobs", time_limit=TIME_LIMIT, gave_up=gave_up)
def make(job: JobRun) -> None:
    """Opens its own transactions."""
    try:
        with transaction():
            run = _locked(job.job)
            ReportRun.objects.filter(pk=run.pk).update(state=ReportState.RUNNING)
        made = _built(run)
        rendered = {name: rendering.render(made, name) for name in run.formats}
        job.check()
        stored = files.store(run, rendered, now=clock.now())
        _complete(job, stored)
    except NotOurs:
        with transaction():
            job.finish()


@requires_transaction
def preview(row: ReportSchedule, *, now: datetime) -> document.Document:
    """What the schedule's report of the newest period that has ended would say; recorded as `report.preview`.

    Raises TimeZoneGone, UnknownTemplate, TemplateFailed and TookTooLong.
    """
    terms = schedules.terms_of(row)
    first, last = schedule.newest(terms, now=now)
    start, end = schedule.moments(first, last, terms.zone)
    period = document.Period(start=start, end=end)
    audit.record(
        action=PREVIEWED_VERB,
        entity_type="ReportSchedule",
        entity_id=str(row.pk),
        entity_name=row.name,
        changes={"template": row.template, "from": first.isoformat(), "to": last.isoformat()},
    )
    # In a savepoint: what a template does to its transaction is not the caller's.
    with at_most(PREVIEW_SECONDS):
        return templates.build(row.template, period=period, zone=terms.zone, now=now)


def _built(run: ReportRun) -> document.Document:
    try:
        # What waits in the inbox would be missing from every count of the log.
        log.drain(context.tenant_id(), wholly=True)
    except LogStandsStill as e:
        raise JobError("log_stands_still") from e
    try:
        with transaction(one_moment=True):
            period, zone = runs.period_of(run), ZoneInfo(run.time_zone)
            return templates.build(run.template, period=period, zone=zone, now=clock.now())
    except templates.TemplateFailed as e:
        with transaction():
            ReportRun.objects.filter(pk=run.pk).update(detail=str(e)[:200])
        raise JobError(TEMPLATE_FAILED) from e
    except templates.UnknownTemplate as e:
        raise JobError("unknown_template", permanent=True) from e
    except ReportRefused as e:
        raise JobError("unknown_time_zone", permanent=True) from e


def _complete(job: JobRun, stored: Stored) -> None:
    now = clock.now()
    try:
        with transaction():
            run = _locked(job.job)
            files.attach(stored)
            run.state, run.error, run.detail, run.finished_at = ReportState.COMPLETED, "", "", now
            run.expires_at = now + timedelta(days=settings.REPORT_DAYS)
            audit.action(COMPLETED_VERB, entity=run)
            run.save(update_fields=["state", "error", "detail", "finished_at", "expires_at"])
            notices.tell(run, notices.READY, now=now)
            job.finish({"files": len(stored.rows), "bytes": sum(row.size for row in stored.rows)})
    except (LeaseLost, NotOurs):
        # Whoever took over has objects of their own.
        with transaction():
            files.abandon(stored, now=now)
        raise


def _locked(job: Job) -> ReportRun:
    """The report that this job makes. Raises NotOurs."""
    run = ReportRun.objects.select_for_update().filter(pk=UUID(job.payload["run_id"]), job_ref=job.pk).first()
    if run is None or run.state == ReportState.COMPLETED:
        raise NotOurs(str(job.pk))
    return run
