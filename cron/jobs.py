"""The table of jobs. Everything that runs on a schedule or on call stands here, once."""

from cron import (
    alerts,
    approvals,
    audit_jobs,
    audit_verification,
    certificates,
    cleanup,
    detection,
    disk,
    drift,
    dsar_purge,
    engagement,
    environment,
    exports,
    flows,
    holds,
    outbox_jobs,
    reports,
    retrains,
    siem_jobs,
    vacuum,
)
from cron.work import Job, Missed
from kaireon import env


class UnknownJob(LookupError):
    """No job has this name. `str()` of it lists those there are."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is no job; known are {', '.join(sorted(JOBS))}.")


# As they are shipped; JOBS has them as this environment wants them.
SHIPPED: tuple[Job, ...] = (
    Job(
        name="cleanup",
        help="Delete what is past its retention, expired suppressions and dossiers; create coming partitions.",
        for_all=cleanup.common,
        for_tenant=cleanup.cleanup_tenant,
        schedule="30 4 * * *",
    ),
    Job(
        name="dsar-purge",
        help="Delete interactions, decision traces and attachments past their retention. Best once a day, off-hours.",
        for_tenant=dsar_purge.purge_tenant,
        answer=dsar_purge.answer,
        unscheduled='The operator chooses; once a day, off-hours, does well: CRON_DSAR_PURGE_SCHEDULE="30 2 * * *".',
    ),
    Job(
        name="gitops-drift-check",
        help="Compare what the files in CONFIG_DIR declare with what is there, and write down where it differs.",
        for_all=drift.check_platform,
        for_tenant=drift.check_tenant,
        schedule="0 5 * * *",
    ),
    Job(
        name="engagement-health-recompute",
        help="Reckon how engaged customers are: those of whom something is new, and all of them once a week.",
        for_tenant=engagement.recompute,
        schedule="15 3 * * *",
    ),
    Job(
        name="scheduled-retrains",
        help="Queue retrains of models that are due, without erased and opted-out subjects.",
        for_tenant=retrains.enqueue,
        schedule="0 2 * * *",
    ),
    Job(
        name="approvals-expire",
        help="Close approvals past their deadline, and forget the payloads of old ones.",
        for_tenant=approvals.expire,
        schedule="*/15 * * * *",
        missed=Missed.SKIP,
    ),
    Job(
        name="audit-publish",
        help="Put each log's newest signed checkpoint into storage, and send it to who is to have it.",
        for_all=audit_jobs.publish_platform,
        for_tenant=audit_jobs.publish_tenant,
        deadline=50,
        schedule="* * * * *",
        missed=Missed.SKIP,
    ),
    Job(
        name="audit-witness",
        help="Have the witnesses that are configured sign each log's newest checkpoint.",
        for_all=audit_jobs.witness_platform,
        for_tenant=audit_jobs.witness_tenant,
        deadline=50,
        schedule="* * * * *",
        missed=Missed.SKIP,
    ),
    Job(
        name="audit-verify",
        help="Verify each log: whole once a week, what came since on the other nights; long ones in several runs.",
        for_all=audit_verification.verify_platform,
        for_tenant=audit_verification.verify_tenant,
        schedule="15 1 * * *",
    ),
    Job(
        name="siem-ship",
        help="Ship each log to the operator's SIEM, and each tenant's to its own. Best every 5 minutes.",
        for_all=siem_jobs.ship_platform,
        for_tenant=siem_jobs.ship_tenant,
        answer=siem_jobs.answer,
        missed=Missed.SKIP,
        unscheduled='The operator chooses; every 5 minutes does well: CRON_SIEM_SHIP_SCHEDULE="*/5 * * * *".',
    ),
    Job(
        name="outbox-reaper",
        help="Return stuck messages to pending, dead-letter those that were lost too often.",
        for_tenant=outbox_jobs.reap,
        schedule="*/2 * * * *",
    ),
    Job(
        name="dlq-replay",
        help="Try transient dead letters again, none more than three times.",
        for_tenant=outbox_jobs.replay,
        schedule="*/10 * * * *",
    ),
    Job(
        name="dlq-archive",
        help="Archive open dead letters to storage, sealed and read back.",
        for_tenant=outbox_jobs.archive,
        schedule="45 3 * * *",
    ),
    Job(
        name="hold-reminders",
        help="Remind who has not acknowledged a legal hold, and ask whether matters are still needed.",
        for_tenant=holds.remind,
        schedule="0 7 * * *",
    ),
    Job(
        name="alerts-evaluate",
        help="Evaluate alert rules and tell of what changed.",
        for_tenant=alerts.evaluate,
        deadline=50,
        schedule="* * * * *",
        missed=Missed.SKIP,
    ),
    Job(
        name="reports-due",
        help="Have the reports made that are due; after downtime, those that were missed.",
        for_tenant=reports.due,
        deadline=240,
        schedule="*/5 * * * *",
        missed=Missed.SKIP,
    ),
    Job(
        name="tick",
        help="What is due each minute, for schedulers that know one address: alert rules and reports.",
        for_tenant=alerts.tick,
        deadline=50,
        unscheduled="For outside schedulers, by POST /api/cron/tick; here alerts-evaluate and reports-due do the same.",
    ),
    Job(
        name="flow-scheduler-tick",
        help="Start pipelines that are due and take up interrupted runs.",
        for_tenant=flows.flow_scheduler_tick,
        deadline=50,
        schedule="* * * * *",
        missed=Missed.SKIP,
    ),
    Job(
        name="export-interactions",
        help="Write new interactions into files in storage, for each tenant's own warehouse. Best once an hour.",
        for_tenant=exports.export_interactions,
        answer=exports.answer,
        unscheduled='The operator chooses; hourly does well: CRON_EXPORT_INTERACTIONS_SCHEDULE="10 * * * *".',
    ),
    Job(
        name="vacuum-analyze",
        help="VACUUM and ANALYZE large tables, longest waiting first; what does not fit comes first next night.",
        for_all=vacuum.vacuum_analyze,
        schedule="40 2 * * *",
        missed=Missed.SKIP,
    ),
    Job(
        name="certificate-audit",
        help="Look when the certificates of configured TLS endpoints and files end, and whether they are believed.",
        for_all=certificates.audit_certificates,
        schedule="20 6 * * 1",
    ),
    Job(
        name="disk-projection",
        help="Measure the database, how fast it grows, and in how many days its disk is full.",
        for_all=disk.project,
        schedule="50 5 * * 1",
    ),
    Job(
        name=detection.NAME,
        help="Look through the audit logs for what new accounts and hasty people do; make up for time that was missed.",
        for_all=detection.begin,
        for_tenant=detection.scan_tenant,
        answer=detection.answer,
        schedule=detection.schedule(env.ENVIRONMENT),
        missed=Missed.SKIP,
    ),
)

JOBS: dict[str, Job] = {job.name: environment.configured(job, env.CRON_JOBS) for job in SHIPPED}


def find(name: str) -> Job:
    """Raises UnknownJob."""
    try:
        return JOBS[name]
    except KeyError as e:
        raise UnknownJob(name) from e
