"""Background jobs that were given up become dead letters of their queue, and go back to it from there."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.dispatch import receiver

from kaireon.jobs import registry, services
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.outbox import dead_letters
from kaireon.outbox.models import Source
from kaireon.tenancy import signals


@receiver(signals.job_dead)
def job_died(*, job: Job, permanent: bool, **_: Any) -> None:
    dead_letters.add(
        source=Source.JOB,
        source_ref=job.pk,
        queue=job.queue,
        topic=job.type,
        error_type=job.error or "unknown",
        permanent=permanent,
        attempts=job.attempts,
        now=clock.now(),
        payload=job.payload,
    )


@receiver(signals.job_retried)
def job_retried(*, job: Job, **_: Any) -> None:
    dead_letters.resolve(source=Source.JOB, source_ref=job.pk, now=clock.now())


def replay(job_id: UUID, now: datetime) -> bool:
    """Queue the job again; the sweep wakes a worker. False for one on whose failure something else stands."""
    job = Job.objects.filter(pk=job_id).first()
    types = {known.name: known for known in registry.all_types()}
    if job is None or job.type not in types or types[job.type].gave_up is not None:
        return False
    try:
        services.retry(job=job, now=now)
    except services.JobNotFailed:
        return False
    return True


dead_letters.replays(Source.JOB, replay)
