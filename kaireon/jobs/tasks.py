"""The two messages: work on this job; look for jobs that nobody works on."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from celery import current_app, shared_task
from celery.exceptions import WorkerLostError
from celery.signals import task_failure, worker_ready
from django.db import DatabaseError, connection, connections
from kombu.exceptions import KombuError
from kombu.exceptions import OperationalError as BrokerUnavailable
from redis.exceptions import RedisError

from kaireon.jobs import pauses, registry, runner, services
from kaireon.lib import clock
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.tasks import TenantTask

logger = logging.getLogger("kaireon.jobs")

# cron/schedule.py gives the sweep its beat row by this name.
SWEEP_TASK = "jobs.sweep"
SWEEP_SECONDS = 5
SWEEP_AT_MOST = 1000

RUN_TASK = "jobs.run"


# The row comes again when its lease runs out; a message that came again at once would only find it taken.
@shared_task(base=TenantTask, name=RUN_TASK, acks_late=True, reject_on_worker_lost=False)
def run(*, tenant_id: str, job_id: str, **_newer: object) -> None:
    """Work on one job. A message that comes twice, or late, finds nothing to claim."""
    runner.run(job_id=UUID(job_id))


@task_failure.connect
def note_crash(*, sender: Any, exception: BaseException, kwargs: dict[str, Any], **_more: Any) -> None:
    """In the worker's own process, when the one that ran a job died: only this tells poison from a restart."""
    if sender.name != RUN_TASK or not isinstance(exception, WorkerLostError):
        return
    try:
        with scope(tenant_id=kwargs["tenant_id"], actor=Actor.job(RUN_TASK)), transaction():
            services.crashed(job_id=UUID(kwargs["job_id"]))
    except DatabaseError as error:
        # It still counts as lost when its lease runs out.
        logger.warning("crash_not_noted", extra={"job": kwargs["job_id"], "error_type": type(error).__name__})
    finally:
        # Processes forked from this one must not share its connections.
        connections.close_all()


@shared_task(name=SWEEP_TASK, acks_late=True, expires=SWEEP_SECONDS * 2)
def sweep(*, queue: str, **_newer: object) -> int:
    """Send a message for every due job and every expired lease whose message may be lost; how many were sent.

    Each queue has a sweep of its own, which waits in that queue: whoever is free for the work is free to look for it,
    and no other queue's backlog stands before it.
    """
    pauses.announce()
    return sweep_due(now=clock.now(), queues=[queue])


def sweep_due(*, now: datetime, limit: int = SWEEP_AT_MOST, queues: Sequence[str] | None = None) -> int:
    """In these queues, or all. Across tenants, by the resolver's function `due_jobs`, which tells ids and nothing else.

    A queue that holds at least as many messages as there are due jobs is left to its workers: sending again every few
    seconds would bury them.
    """
    sent = 0
    for queue, jobs in _due(now, limit, queues).items():
        if _waiting(queue) >= len(jobs):
            continue
        for tenant_id, job_id, type_name in jobs:
            try:
                sent += services.send(tenant_id=tenant_id, job_id=job_id, queue=queue, type=type_name)
            except registry.UnknownJobType:
                # An older or newer version's job: a worker of that version will find it.
                logger.warning("unknown_job_type", extra={"type": type_name})
    return sent


def _due(now: datetime, limit: int, queues: Sequence[str] | None) -> dict[str, list[tuple[str, UUID, str]]]:
    found: dict[str, list[tuple[str, UUID, str]]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tenant_id, id, queue, type FROM public.due_jobs(%s, %s, %s, %s)",
            [now, limit, pauses.here(), None if queues is None else list(queues)],
        )
        for tenant_id, job_id, queue, type_name in cursor.fetchall():
            found[queue].append((tenant_id, job_id, type_name))
    return found


def _waiting(queue: str) -> int:
    """Messages in a queue of the broker; 0 for one that does not exist yet."""
    with current_app.connection_for_write() as broker:
        try:
            channel: Any = broker.default_channel
            return int(channel.queue_declare(queue=queue, passive=True).message_count)
        except broker.channel_errors:
            return 0


@worker_ready.connect
def sweep_at_start(**_kwargs: Any) -> None:
    """A worker that starts looks for work at once: its predecessor may have died, or Redis may have been wiped."""
    try:
        pauses.announce()
        sweep_due(now=clock.now())
    except (DatabaseError, BrokerUnavailable, KombuError, RedisError, OSError) as error:
        logger.warning("sweep_failed", extra={"error_type": type(error).__name__})
    finally:
        connections.close_all()
