"""Exports of the log without a limit, as a background job: asked for, written, kept for a while, fetched.

Type of the job: `JOB_TYPE`, registered in audit.tasks. Its payload is `{export_id}`; the row `AuditExport` tells the
rest, and the job's `percent` how far it is. From a page or an endpoint:

    with transaction():
        requested = export_jobs.request(format_="csv", actor=request.actor, now=clock.now())
    export_jobs.wake(requested)
    …
    export_jobs.progress_of(requested.export)   # status, percent, error
    export_jobs.opened(requested.export, now=clock.now())   # the file, or why there is none

A worker that dies leaves nothing that could be taken for the file: the next one begins a new object.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import connection

import audit
from audit import services
from audit.exports import bundle, copying
from audit.models import AuditExport, Checkpoint, ExportStatus
from audit.tree import checkpoints, signing
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.jobs.runner import JobError, JobRun
from kaireon.jobs.services import LeaseLost
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction, transaction

JOB_TYPE = "audit_export"
MANIFEST = "kaireon-export-1"
REQUESTED_VERB = "audit_log.export_requested"
COMPLETED_VERB = "audit_log.export"
FAILED_VERB = "audit_log.export_failed"
DOWNLOADED_VERB = "audit_log.download"
# Each may fill a disk: so many of a tenant are under way at once.
MOST_OPEN = 3


class ExportRefused(ValueError):
    """What was asked for cannot be exported. `field` says which part of the question is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class TooManyOpen(RuntimeError):
    """The tenant has MOST_OPEN exports under way. Wait for one of them, or cancel its job."""


class NotReady(RuntimeError):
    """The export is not completed: there is no file yet, or there never will be."""


class FileGone(RuntimeError):
    """The file's time is over: export again."""


@dataclass(frozen=True)
class Requested:
    """An export, and the job that makes it. Pass it to `wake` after the commit."""

    export: AuditExport
    job: Job


@dataclass(frozen=True, kw_only=True)
class Progress:
    """`status` is one of ExportStatus, `percent` 0 to 100, `error` a reason code or empty."""

    status: str
    percent: int
    error: str


@requires_transaction
def request(
    *,
    format_: str,
    actor: Actor,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    entity_type: str = "",
    action: str = "",
) -> Requested:
    """Ask for an export of the active tenant's log. Recorded. Call `wake` with it after the commit.

    `format_` is ndjson or csv; the moments are inclusive. Raises ExportRefused and TooManyOpen.
    """
    if format_ not in copying.FORMATS:
        raise ExportRefused("format", f"must be one of {', '.join(copying.FORMATS)}.")
    if since and until and since > until:
        raise ExportRefused("from", "must not be after to.")
    for name, text in (("entityType", entity_type), ("action", action)):
        if "\x00" in text or len(text) > 200:
            raise ExportRefused(name, "must not hold NUL, nor more than 200 characters.")
    _one_at_a_time()
    if AuditExport.objects.open().count() >= MOST_OPEN:
        raise TooManyOpen(f"{MOST_OPEN} exports are under way: wait for one of them.")
    export = AuditExport(
        format=format_,
        since=since,
        until=until,
        entity_type=entity_type,
        action=action,
        requested_by=actor.id,
        requested_by_name=actor.name,
        created_at=now,
    )
    job = jobs.enqueue(type=JOB_TYPE, payload={"export_id": str(export.pk)}, now=now)
    export.job_ref = job.pk
    audit.action(REQUESTED_VERB, entity=export)
    export.save(force_insert=True)
    return Requested(export, job)


def wake(requested: Requested) -> bool:
    """Tell a worker, after the commit. Best effort: the sweep of the queue finds the job otherwise."""
    return jobs.wake(requested.job)


@requires_transaction
def progress_of(export: AuditExport) -> Progress:
    """How far it is."""
    if export.status == ExportStatus.COMPLETED:
        return Progress(status=export.status, percent=100, error="")
    job = Job.objects.filter(pk=export.job_ref).first() if export.job_ref else None
    return Progress(status=export.status, percent=job.percent if job else 0, error=export.error)


@requires_transaction
def opened(export: AuditExport, *, now: datetime) -> "File[Any]":
    """The finished file, for reading. Recorded. Raises NotReady and FileGone."""
    if export.status != ExportStatus.COMPLETED:
        raise NotReady(f"The export is {progress_of(export).status}.")
    if not export.object_name or (export.expires_at and export.expires_at <= now):
        raise FileGone("The file's time is over: export again.")
    try:
        file = default_storage.open(export.object_name)
    except FileNotFoundError as e:
        raise FileGone("The file is not in storage any more: export again.") from e
    audit.record(
        action=DOWNLOADED_VERB,
        entity_type="AuditExport",
        entity_id=str(export.pk),
        changes={"format": export.format, "records": export.records, "sha256": export.sha256},
    )
    return file


def file_name(export: AuditExport) -> str:
    return f"audit-export-{export.tenant_id}-{export.created_at:%Y%m%dT%H%M%SZ}.{export.format}"


def process(run: JobRun) -> None:
    """Write the export of a job. Opens its own transactions; the last of them writes row, record and job together."""
    tenant = context.tenant_id()
    with transaction():
        export = AuditExport.objects.select_for_update().get(pk=UUID(run.payload["export_id"]))
        if export.status == ExportStatus.COMPLETED:
            run.finish()
            return
        # A failed one is tried again by trying its job again.
        AuditExport.objects.filter(pk=export.pk).update(status=ExportStatus.PROCESSING)
    services.drain(tenant)
    try:
        checkpointed(tenant)
    except checkpoints.LogContradictsCheckpoint as e:
        raise JobError("log_contradicts_checkpoint", permanent=True) from e
    with transaction():
        checkpoint = checkpoints.newest(tenant)
        wanted = selection(since=export.since, until=export.until, entity_type=export.entity_type, action=export.action)
    with tempfile.TemporaryFile() as file:
        try:
            written = copying.write(file, wanted, export.format, moved=lambda seq: _moved(run, wanted, seq))
        except copying.RecordsMissing as e:
            raise JobError("records_missing", permanent=True) from e
        run.check()
        file.seek(0)
        name = default_storage.save(f"{_folder(export)}/{run.job.lease_token}.{export.format}", File(file))
    try:
        said = manifest(wanted, written, format_=export.format, checkpoint=checkpoint, now=clock.now())
        _completed(run, export, said, name)
    except LeaseLost:
        # Whoever took over has an object of their own.
        default_storage.delete(name)
        raise
    _clear(export, but=name)


@requires_transaction
def selection(
    *, since: datetime | None, until: datetime | None, entity_type: str = "", action: str = ""
) -> copying.Selection:
    """What of the active log lies between the moments, and of it what is wanted; of nothing, an empty run."""
    try:
        found = bundle.range_of(since=since, until=until)
        first, last = found.first, found.last
    except bundle.NothingToBundle:
        first, last = 1, 0
    return copying.Selection(
        tenant_id=context.current().tenant_id,
        first=first,
        last=last,
        since=since,
        until=until,
        entity_type=entity_type,
        action=action,
    )


def checkpointed(tenant: str) -> None:
    """Commit to all that the log holds. Raises LogContradictsCheckpoint."""
    while checkpoints.make(tenant):
        pass


def manifest(
    wanted: copying.Selection,
    written: copying.Written,
    *,
    format_: str,
    checkpoint: Checkpoint | None,
    now: datetime,
) -> dict[str, Any]:
    """What a file is: kept beside it, and its SHA-256 in the log's own record of the export."""
    return {
        "format": MANIFEST,
        "tenantId": wanted.tenant_id,
        "origin": signing.origin(wanted.tenant_id),
        "fileFormat": format_,
        "from": clock.rfc3339(wanted.since) if wanted.since else None,
        "to": clock.rfc3339(wanted.until) if wanted.until else None,
        "entityType": wanted.entity_type or None,
        "action": wanted.action or None,
        "firstSeq": wanted.first if wanted.last else None,
        "lastSeq": wanted.last or None,
        "records": written.records,
        "bytes": written.size,
        "sha256": written.sha256,
        "checkpoint": checkpoint.note if checkpoint else None,
        "treeSize": checkpoint.tree_size if checkpoint else None,
        "rootHash": checkpoint.root_hash if checkpoint else None,
        "createdAt": clock.rfc3339(now),
    }


@requires_transaction
def gave_up(job: Job) -> None:
    """Runs in the transaction that marks the job failed for good."""
    export = AuditExport.objects.select_for_update().filter(pk=UUID(job.payload["export_id"])).first()
    if export is None or export.status == ExportStatus.COMPLETED:
        return
    audit.action(FAILED_VERB, entity=export)
    export.status, export.error, export.finished_at = ExportStatus.FAILED, job.error, clock.now()
    export.save(update_fields=["status", "error", "finished_at"])


def expire(*, now: datetime, dry_run: bool = False) -> int:
    """Delete the active tenant's files whose time is over, whatever else lies beside them; returns how many.

    Opens its own transactions: first the row says that there is nothing to download, then the object goes.
    """
    with transaction():
        rows = list(AuditExport.objects.expired(now))
    if dry_run:
        return len(rows)
    for export in rows:
        _clear(export)
        with transaction():
            AuditExport.objects.filter(pk=export.pk).update(object_name=None)
    return len(rows)


def _completed(run: JobRun, export: AuditExport, said: Mapping[str, Any], name: str) -> None:
    now = clock.now()
    facts: Mapping[str, Any] = {
        "status": ExportStatus.COMPLETED,
        "first_seq": said["firstSeq"],
        "last_seq": said["lastSeq"],
        "records": said["records"],
        "size": said["bytes"],
        "sha256": said["sha256"],
        "manifest": said,
        "object_name": name,
        "error": "",
        "finished_at": now,
        "expires_at": now + timedelta(days=settings.AUDIT_EXPORT_DAYS),
    }
    with transaction():
        audit.action(COMPLETED_VERB, entity=export)
        AuditExport.objects.filter(pk=export.pk).update(**facts)
        run.finish({"records": said["records"], "bytes": said["bytes"]})


def _moved(run: JobRun, wanted: copying.Selection, seq: int) -> None:
    run.check()
    run.progress(lambda: 100 * (seq - wanted.first + 1) / (wanted.last - wanted.first + 1))


def _folder(export: AuditExport) -> str:
    return f"audit-exports/{export.tenant_id}/{export.pk}"


def _clear(export: AuditExport, but: str = "") -> None:
    """Remove the objects of attempts that came to nothing; with no exception, all."""
    folder = _folder(export)
    try:
        _, names = default_storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        if f"{folder}/{name}" != but:
            default_storage.delete(f"{folder}/{name}")


def _one_at_a_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('audit-export:' || %s, 0))", [context.tenant_id()]
        )
