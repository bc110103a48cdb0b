"""The job `security-behavioral-scan`: each tenant's log, looked at for what new and hasty people do."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.dispatch import receiver

from compliance.detection import scanning, sentry
from compliance.detection.rules import Kind
from cron import signals
from cron.models import JobRun
from cron.work import Outcome, Work, per_tenant
from kaireon.tenancy import context, internal_services

logger = logging.getLogger("kaireon.security")

NAME = internal_services.SECURITY_SCAN
SCHEDULE = "1-59/5 * * * *"
# Where every commit has an installation of its own, nobody waits five minutes to see a signal.
PREVIEW_SCHEDULE = "* * * * *"


def schedule(place: str) -> str:
    """When it runs in an environment, such as `production`."""
    return PREVIEW_SCHEDULE if place == "preview" else SCHEDULE


def begin(work: Work) -> Mapping[str, Any]:
    """Since when this installation scans: `{scanningSince}`, an ISO 8601 moment or None."""
    first = JobRun.objects.of(NAME).real().order_by("started_at").exclude(pk=work.run_id)
    since = first.values_list("started_at", flat=True).first()
    return {"scanningSince": since.isoformat() if since else None}


def scan_tenant(work: Work) -> tuple[Mapping[str, Any], Sequence[str]]:
    """`{raised: {kind: count}, pages, recordsRead, lateRecords, gapsLeft, emitted}`; a dry run looks at nothing."""
    if work.dry_run:
        return {"skipped": "a dry run"}, []
    since = work.common.get("scanningSince")
    here = context.current()
    with context.scope(tenant_id=here.tenant_id, actor=work.actor, request_id=here.request_id):
        try:
            done = scanning.scan(
                now=work.now, since=datetime.fromisoformat(since) if since else None, budget=work.budget
            )
        except scanning.TenantGone:
            # Deactivated since the list was made. Its time is not covered: it is scanned when it is active again.
            logger.warning("scan_tenant_gone", extra={"tenant": here.tenant_id})
            return {"skipped": "the tenant is not active any more"}, []
    return done.as_dict(), done.errors


def answer(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The contract's counts first: `{newAccountFirstWorkflowEvents, …, perTenant}`."""

    def raised(kind: Kind) -> int:
        return sum(int(outcome.body.get("raised", {}).get(kind.value, 0)) for outcome in outcomes)

    return {
        "newAccountFirstWorkflowEvents": raised(Kind.FIRST_WORKFLOW),
        "eventsBeforeJoining": raised(Kind.BEFORE_JOINING),
        "signals": sum(sum(outcome.body.get("raised", {}).values()) for outcome in outcomes),
        "pages": sum(int(outcome.body.get("pages", 0)) for outcome in outcomes),
        "gapsLeft": sum(int(outcome.body.get("gapsLeft", 0)) for outcome in outcomes),
        **per_tenant(outcomes),
    }


@receiver(signals.job_ended)
def ended(*, job: str, ok: bool, body: Mapping[str, Any], error: Exception | None, **_: Any) -> None:
    if job != NAME:
        return
    if ok:
        logger.info("security.behavioral.scan_ok", extra={"signals": body.get("signals"), "pages": body.get("pages")})
    else:
        say_failed(type(error).__name__ if error else "outcome")


def say_failed(error_type: str) -> None:
    """That a scan could not be made, or not of every tenant, whatever stands in the way."""
    logger.error("security.behavioral.scan_error", extra={"error_type": error_type})
    sentry.send("security.behavioral.scan_error", level="error", said={"error_type": error_type})
    sentry.flush()
