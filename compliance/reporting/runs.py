"""Single reports: asked for by a schedule or by somebody, made by a worker (running.py), tried again, fetched.

From a page or an endpoint:

    with transaction():
        asked = runs.request(template="dsar", formats=["pdf"], first=…, last=…, time_zone="UTC", …)
    runs.wake(asked)
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import connection

import audit
from compliance.models import ReportFile, ReportRun, ReportSchedule, ReportState, ReportTrigger
from compliance.reporting import document, files, schedule, schedules, templates
from compliance.reporting.schedules import ReportRefused
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.lib.ids import uuid7
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction
from kaireon.tenancy.roles import Permission

JOB_TYPE = "report"
REQUESTED_VERB = "report.request"
AGAIN_VERB = "report.again"
DOWNLOADED_VERB = "report.download"
LONGEST = timedelta(days=366)
EARLIEST = date(2000, 1, 1)
# That somebody asked for, of a tenant, and that are not made yet.
MOST_OPEN = 20


class RunNotFound(LookupError):
    """There is no report of this id, or whoever asks may not read what it tells."""

    code = "not_found"


class TooManyOpen(RuntimeError):
    """MOST_OPEN reports wait to be made. Wait for one of them."""

    code = "too_many_reports"


class NotFailed(RuntimeError):
    """Only a report that failed is tried again."""

    code = "not_failed"


class NotReady(RuntimeError):
    """The report is not completed: there is no file yet, or there never will be."""


class NoSuchFormat(LookupError):
    """The report was not made in this format. `str()` of it lists those there are."""


@dataclass(frozen=True)
class Requested:
    """A report, and the job that makes it. Pass it to `wake` after the commit."""

    run: ReportRun
    job: Job


@requires_transaction
def request(
    *,
    template: str,
    formats: Sequence[str],
    first: date,
    last: date,
    time_zone: str,
    may: Collection[Permission],
    actor: Actor,
    now: datetime,
) -> Requested:
    """Ask for a report of the days from `first` to `last`, both included; recorded as `report.request`.

    Raises ReportRefused and TooManyOpen.
    """
    known = schedules.template_of(template, may)
    zone = schedules.zone_of(time_zone)
    if first > last:
        raise ReportRefused("from", "must not be after to.")
    if first < EARLIEST:
        raise ReportRefused("from", f"must not be before {EARLIEST}.")
    if last - first >= LONGEST:
        raise ReportRefused("to", f"is at most {LONGEST.days} days from from.")
    # Before anything is reckoned with it: the last day that there is has none behind it.
    if first > now.astimezone(zone).date():
        raise ReportRefused("from", "lies in the future.")
    start, end = schedule.moments(first, last, zone)
    if start >= end:
        raise ReportRefused("to", "is a day that the calendar of this time zone left out.")
    run = ReportRun(template=known.name, title=known.title, period_first=first, period_last=last)
    run.formats, run.time_zone = schedules.formats_of(formats), time_zone
    return _asked(run, actor, now)


@requires_transaction
def run_now(row: ReportSchedule, *, delivers: bool, actor: Actor, now: datetime) -> Requested:
    """Ask for the newest period of a schedule that has ended; recorded as `report.request`.

    It does not count as the schedule's own: that one comes when it is due. Raises TimeZoneGone and TooManyOpen.
    """
    first, last = schedule.newest(schedules.terms_of(row), now=now)
    run = ReportRun(schedule=row, template=row.template, title=row.name, period_first=first, period_last=last)
    run.formats, run.time_zone, run.delivers = row.formats, row.time_zone, delivers
    return _asked(run, actor, now)


@requires_transaction
def again(run_id: UUID, *, now: datetime) -> Requested:
    """Try a report that failed again; recorded as `report.again`. Raises RunNotFound and NotFailed."""
    run = ReportRun.objects.select_for_update().filter(pk=run_id).first()
    if run is None:
        raise RunNotFound(run_id)
    if run.state != ReportState.FAILED:
        raise NotFailed(f"The report is {run.state}.")
    job = employ(run, now=now)
    run.state, run.error, run.detail, run.finished_at = ReportState.QUEUED, "", "", None
    audit.action(AGAIN_VERB, entity=run)
    run.save(update_fields=["state", "error", "detail", "finished_at", "job_ref"])
    return Requested(run, job)


@requires_transaction
def employ(run: ReportRun, *, now: datetime) -> Job:
    """Give it a job: only this one may make it. Save the row afterwards."""
    job = jobs.enqueue(type=JOB_TYPE, payload={"run_id": str(run.pk)}, now=now)
    run.job_ref = job.pk
    return job


def wake(requested: Requested) -> bool:
    """Tell a worker, after the commit. Best effort: the sweep of the queue finds the job otherwise."""
    return jobs.wake(requested.job)


@requires_transaction
def download(run: ReportRun, format_: str, *, now: datetime) -> tuple[ReportFile, bytes]:
    """A file of a report; recorded as `report.download`.

    Raises NotReady, NoSuchFormat, files.FileGone and files.StorageAway.
    """
    if run.state != ReportState.COMPLETED:
        raise NotReady(f"The report is {run.state}.")
    found = ReportFile.objects.select_related("run").filter(run=run, format=format_).first()
    if found is None:
        raise NoSuchFormat(f"is one of {', '.join(run.formats)}.")
    content = files.opened(found, now=now)
    audit.record(
        action=DOWNLOADED_VERB,
        entity_type="ReportRun",
        entity_id=str(run.pk),
        changes={"format": found.format, "template": run.template, "sha256": found.sha256},
    )
    return found, content


def file_name(run: ReportRun, format_: str) -> str:
    """`dsar-acme-2026-01-01-2026-01-31.pdf`"""
    return f"{run.template}-{run.tenant_id}-{run.period_first}-{run.period_last}.{format_}"


def period_of(run: ReportRun) -> document.Period:
    """Its moments. Raises ReportRefused when the zone is not known any more."""
    zone = schedules.zone_of(run.time_zone)
    start, end = schedule.moments(run.period_first, run.period_last, zone)
    return document.Period(start=start, end=end)


def readable(may: Collection[Permission]) -> list[str]:
    """Names of the templates whose reports somebody with these permissions may read."""
    return [name for name, template in templates.TEMPLATES.items() if template.permission in may]


def _asked(run: ReportRun, actor: Actor, now: datetime) -> Requested:
    _one_at_a_time()
    if ReportRun.objects.open().filter(trigger=ReportTrigger.REQUEST).count() >= MOST_OPEN:
        raise TooManyOpen(f"{MOST_OPEN} reports wait to be made: wait for one of them.")
    run.id, run.trigger, run.created_at = uuid7(), ReportTrigger.REQUEST, now
    run.requested_by, run.requested_by_name = actor.id[:64], actor.name[:200]
    job = employ(run, now=now)
    audit.action(REQUESTED_VERB, entity=run)
    run.save(force_insert=True)
    return Requested(run, job)


def _one_at_a_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"reports:{context.tenant_id()}"])
