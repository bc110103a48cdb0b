"""Late and failed jobs: one record in the platform's log and one line in ours."""

import logging
from datetime import datetime
from typing import Any

from django.dispatch import receiver

import audit
from cron import signals
from cron.models import JobRun
from kaireon.lib import clock
from kaireon.tenancy.context import Actor, platform_scope, transaction

logger = logging.getLogger("kaireon.cron")


@receiver(signals.job_failed)
def job_failed(*, job: str, run: JobRun, **_: Any) -> None:
    logger.error("job_failed", extra={"job": job, "run": str(run.pk), "trigger": run.trigger})
    _record("job.failed", job, str(run.pk), {"trigger": run.trigger, "state": run.state})


@receiver(signals.job_late)
def job_late(*, job: str, slot: datetime, **_: Any) -> None:
    logger.error("job_late", extra={"job": job, "slot": clock.rfc3339(slot)})
    _record("job.late", job, job, {"slot": clock.rfc3339(slot)})


def _record(action: str, job: str, entity_id: str, changes: dict[str, object]) -> None:
    with platform_scope(actor=Actor.job(job)), transaction():
        audit.record(
            action=action, entity_type="JobRun", entity_id=entity_id, entity_name=job, changes=changes, platform=True
        )
