"""The job `cleanup`: what is past its time goes, and the coming months get their partitions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from audit.exports import jobs as export_jobs
from compliance.purging import log_prefixes, months, purge
from compliance.reporting import files as report_files
from cron.models import JobRun, RunState
from cron.work import Work
from dsar.certifying import certificates
from dsar.erasing import deferrals, log_keys
from dsar.letters import sending
from dsar.public import following
from dsar.requests import mail_room, retention
from kaireon.tenancy import context
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import IdempotencyKey, RefreshToken

MONTHS_AHEAD = 3

_PARTITIONED = """
SELECT c.relname FROM pg_catalog.pg_partitioned_table p JOIN pg_catalog.pg_class c ON c.oid = p.partrelid
 WHERE c.relnamespace = 'public'::regnamespace AND p.partstrat = 'r' ORDER BY 1
"""


def prepare_partitions(work: Work) -> Mapping[str, Any]:
    """Create this month's partition and the next three of every table kept by the month; answers how many are new."""
    created = 0
    with connection.cursor() as cursor:
        cursor.execute(_PARTITIONED)
        tables = [table for (table,) in cursor.fetchall()]
        for table in tables:
            for month in months_from(work.now):
                if work.dry_run:
                    cursor.execute("SELECT to_regclass(%s) IS NULL", [f"public.{table}_{month:%Y_%m}"])
                else:
                    # Each commits by itself: creating one waits for those who write to the table.
                    cursor.execute("SELECT public.partition_ensure(%s, %s)", [table, month])
                created += cursor.fetchone() == (True,)
    return {"partitionsCreated": created}


def common(work: Work) -> Mapping[str, Any]:
    """Partitions to come, old runs of jobs, and months that go whole, before the tenants' purges look at their rows:
    `{partitionsCreated, runsPruned, monthsDropped: [{entity, month, rows, tenants: {id: rows}}], monthsKept:
    {reason: count}}`."""
    return {**prepare_partitions(work), "runsPruned": prune_runs(work), **drop_months(work)}


def drop_months(work: Work) -> Mapping[str, Any]:
    """Drop the months in which nothing of any tenant has a reason to stay; of the others, how many stay for what."""
    looked_at = months.drop_past(now=work.now, actor=work.actor, dry_run=work.dry_run, budget=work.budget)
    gone = [month for month in looked_at if not month.kept_by]
    dropped = [{"entity": m.entity, "month": m.name, "rows": m.total, "tenants": m.rows} for m in gone]
    return {"monthsDropped": dropped, "monthsKept": dict(Counter(m.kept_by for m in looked_at if m.kept_by))}


def prune_runs(work: Work) -> int:
    """Delete runs that ended more than JOB_RUN_DAYS ago; how many. Each job keeps its newest and its newest success."""
    runs = JobRun.objects.real().order_by("job", "-started_at").distinct("job")
    succeeded = runs.filter(state=RunState.SUCCEEDED)
    kept = [*runs.values_list("pk", flat=True), *succeeded.values_list("pk", flat=True)]
    before = work.now - timedelta(days=settings.JOB_RUN_DAYS)
    old = JobRun.objects.filter(finished_at__lt=before).exclude(pk__in=kept)
    return old.count() if work.dry_run else old.delete()[0]


def months_from(now: datetime, ahead: int = MONTHS_AHEAD) -> list[date]:
    """The first days of this month and the next ones."""
    number = now.year * 12 + now.month - 1
    return [date((number + i) // 12, (number + i) % 12 + 1, 1) for i in range(ahead + 1)]


def cleanup_tenant(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Purge the active tenant by class, and what ended by itself.

    Gives `{deleted: {entity: count}, erasuresResumed, lettersForgotten, shredded, held, withoutPolicy, blobsDeleted,
    warnings, finished, auditLog: {standing, records}, …}` and errors.
    """
    # Before the purge, which removes the objects of what goes.
    reports = report_files.expire(now=work.now, dry_run=work.dry_run)
    purged = purge.purge_expired(now=work.now, actor=work.actor, dry_run=work.dry_run, budget=work.budget)
    if work.dry_run:
        # What would have gone with its month by now is still there, and was counted with the month.
        for month in work.common.get("monthsDropped", ()):
            counted = purged.deleted.get(month["entity"], 0)
            purged.deleted[month["entity"]] = max(0, counted - month["tenants"].get(context.tenant_id(), 0))
    for name, rows in (
        ("idempotencyKey", IdempotencyKey.objects.filter(expires_at__lt=work.now)),
        ("refreshToken", RefreshToken.objects.filter(expires_at__lt=work.now)),
    ):
        with transaction():
            purged.add(name, rows.count() if work.dry_run else rows.delete()[0])
    for name, forget in (("mailText", mail_room.forget_ended), ("followLink", following.forget_ended)):
        with transaction():
            purged.add(name, forget(now=work.now, dry_run=work.dry_run))
    # Before retention takes the pseudonym out of their requests.
    certified = 0 if work.dry_run else certificates.issue_missing(now=work.now)
    with transaction():
        shredded = retention.shred_expired(now=work.now, dry_run=work.dry_run)
    with transaction():
        if not work.dry_run:
            log_prefixes.write_down()
    log = log_prefixes.ask(now=work.now, dry_run=work.dry_run)
    with transaction():
        keys = log_keys.destroy_released(now=work.now, dry_run=work.dry_run)
    with transaction():
        letters = sending.forget_unneeded(now=work.now, dry_run=work.dry_run)
    resumed = deferrals.resume_due(now=work.now, dry_run=work.dry_run)
    body = {
        **purged.as_dict(),
        "certificatesIssued": certified,
        "erasuresResumed": resumed,
        "lettersForgotten": letters,
        "shredded": {"dsarRequest": shredded, log_keys.NAME: keys},
        "auditLog": log.as_dict(),
        "reportFilesExpired": reports,
    }
    body["warnings"] += log.warnings
    return {**body, "auditExportsExpired": export_jobs.expire(now=work.now, dry_run=work.dry_run)}, purged.errors
