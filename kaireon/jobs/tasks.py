"""The two messages: work on this job; look for jobs that nobody works on."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from celery import current_app, shared_task
from celery.exceptions import WorkerLostError
from celery.signals import task_failure, worker_ready
from django.db import DatabaseError, connections
from kombu.exceptions import KombuError
from kombu.exceptions import OperationalError as BrokerUnavailable
from redis.exceptions import RedisError

from kaireon.jobs import bursts, pauses, registry, runner, services
from kaireon.lib import clock
from kaireon.tenancy import context, serving
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
def run(*, tenant_id: str, job_id: str, queue: str = "", type: str = "", **_newer: object) -> None:  # noqa: A002
    """Work on one job, and on what else is due in its queue. A message that comes twice, or late, finds it taken."""
    since = time.monotonic()
    shares = queue != "" and bursts.may_share(type)
    if shares:
        bursts.came(queue)
    runner.run(job_id=UUID(job_id))
    if shares:
        bursts.take_along(queue=queue, since=since, work=_take, wake=_wake)


def _take(tenant_id: str, job_id: UUID) -> bool:
    with scope(tenant_id=tenant_id, actor=Actor.job(RUN_TASK), request_id=context.current().request_id):
        return runner.run(job_id=job_id, fresh=True) is not None


def _wake(job: bursts.Due) -> bool:
    _, _, queue, type_name = job
    return bursts.enough_wait(queue, type_name) or _send(job)


def _send(job: bursts.Due) -> bool:
    tenant_id, job_id, queue, type_name = job
    return services.send(tenant_id=tenant_id, job_id=job_id, queue=queue, type=type_name)


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
    if serving.refusal():
        # Nobody would take them up: they are found as soon as somebody may.
        return 0
    pauses.announce()
    return sweep_due(now=clock.now(), queues=[queue])


def sweep_due(*, now: datetime, limit: int = SWEEP_AT_MOST, queues: Sequence[str] | None = None) -> int:
    """In these queues, or all.

    A queue that holds a message for each due job, or as many as workers come for, is left to those: sending again
    every few seconds would bury them.
    """
    sent = 0
    for queue, jobs in _by_queue(bursts.due(now=now, most=limit, queues=None if queues is None else list(queues))):
        wanted = [job for n, job in enumerate(jobs) if n < bursts.MOST_WAITING or not bursts.may_share(job[3])]
        if _waiting(queue) < len(wanted):
            sent += sum(map(_send, wanted))
    return sent


def _by_queue(found: list[bursts.Due]) -> Iterable[tuple[str, list[bursts.Due]]]:
    known = {job_type.name for job_type in registry.all_types()}
    queues: defaultdict[str, list[bursts.Due]] = defaultdict(list)
    for job in found:
        if job[3] in known:
            queues[job[2]].append(job)
        else:
            # An older or newer version's job: a worker of that version will find it.
            logger.warning("unknown_job_type", extra={"type": job[3]})
    return queues.items()


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
        if serving.refusal():
            return
        pauses.announce()
        sweep_due(now=clock.now())
    except (DatabaseError, BrokerUnavailable, KombuError, RedisError, OSError) as error:
        logger.warning("sweep_failed", extra={"error_type": type(error).__name__})
    finally:
        connections.close_all()
