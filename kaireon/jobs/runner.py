"""Running one job under its lease."""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.db.transaction import on_commit

from kaireon.api.breakers import BreakerOpen
from kaireon.jobs import progress, registry, services
from kaireon.jobs.heartbeat import Heartbeat
from kaireon.jobs.models import Job, JobState
from kaireon.jobs.services import LeaseLost
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction, scope, transaction

logger = logging.getLogger("kaireon.jobs")

# Jobs that are done sooner have no progress to tell, and writes cost.
TELL_SECONDS = 1.0


class JobError(Exception):
    """A failure with a reason code of its own; `permanent` ones are not retried. Carries no personal data."""

    def __init__(self, code: str, *, permanent: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.permanent = permanent


@dataclass
class JobRun:
    """What a handler gets. It calls `finish` in its own last transaction, so that effect and end commit together."""

    job: Job
    lost: threading.Event = field(default_factory=threading.Event)
    _told: float = field(default_factory=time.monotonic)

    @property
    def id(self) -> UUID:
        return self.job.pk

    @property
    def payload(self) -> Mapping[str, Any]:
        payload: dict[str, Any] = self.job.payload
        return payload

    @requires_transaction
    def finish(self, result: Mapping[str, object] | None = None) -> None:
        """Raises LeaseLost when another worker took over: let it roll the transaction back."""
        now = clock.now()
        services.finish(job=self.job, now=now, result=result)
        on_commit(partial(services.ended, job=self.job, now=now, result=result))

    def progress(self, percent: Callable[[], float]) -> None:
        """Write down how far it has come, 0 to 100, in a transaction of its own; asks at most once a second.

        Call it between two steps, outside any transaction. Raises LeaseLost.
        """
        if time.monotonic() - self._told < TELL_SECONDS:
            return
        with transaction():
            progress.note(job=self.job, percent=percent())
        self._told = time.monotonic()

    def check(self) -> None:
        """Stop between two steps when the lease is gone. Raises LeaseLost."""
        if self.lost.is_set():
            raise LeaseLost(str(self.job.pk))


def run(*, job_id: UUID, fresh: bool = False) -> Job | None:
    """Claim the job and work on it. Gives the row as it stands afterwards, or None when there was nothing to claim.

    With `fresh` only what never began: what ended its process once must be the one that its message names.
    """
    job = services.claim_at_once(job_id=job_id, now=clock.now(), fresh=fresh)
    if job is None:
        logger.info("job_not_claimed", extra={"job": str(job_id)})
        return None
    return work(job)


def work(job: Job) -> Job:
    """Run the handler of a claimed job in the tenant's scope, outside any transaction; gives the row afterwards.

    What the handler raises becomes state: tried again after a pause, or failed. Call it yourself only for a job you
    claimed in the transaction that enqueued it, to have its effect at once and still survive a crash.
    """
    here = context.current()
    with scope(tenant_id=here.tenant_id, actor=Actor.job(job.type), request_id=job.request_id or here.request_id):
        started = time.monotonic()
        if services.is_poison(job):
            _failed(job, services.WORKER_LOST, retry=False)
            after = _again(job)
        else:
            after = _handle(JobRun(job))
        logger.info(
            "processing_duration",
            extra={
                "job": str(job.pk),
                "type": job.type,
                "queue": job.queue,
                "state": after.state,
                "attempt": job.attempts,
                "duration_ms": round((time.monotonic() - started) * 1000, 1),
            },
        )
        return after


def _handle(run: JobRun) -> Job:
    try:
        with Heartbeat(run.job, run.lost.set):
            registry.get(run.job.type).handler(run)
        return _finished(run)
    except LeaseLost:
        logger.warning("lease_lost", extra={"job": str(run.id), "type": run.job.type})
    except BreakerOpen as waits:
        _put_off(run.job, waits)
    except Exception as error:  # every failure of a handler becomes the job's state
        logger.exception("job_failed", extra={"job": str(run.id), "type": run.job.type, "code": code_of(error)})
        _failed(run.job, code_of(error), retry=not (isinstance(error, JobError) and error.permanent))
    return _again(run.job)


def _put_off(job: Job, waits: BreakerOpen) -> None:
    facts = {"job": str(job.pk), "type": job.type}
    try:
        with transaction():
            services.put_off(job=job, due_at=clock.now() + timedelta(seconds=waits.seconds))
    except LeaseLost:
        logger.warning("lease_lost", extra=facts)
        return
    logger.warning("job_waits", extra={**facts, "dependency": waits.dependency, "seconds": round(waits.seconds)})


def _finished(run: JobRun) -> Job:
    """Mark done what the handler did not finish itself."""
    if run.job.state == JobState.DONE:
        return run.job
    return run.job if services.finish_at_once(job=run.job, now=clock.now()) else _again(run.job)


def _again(job: Job) -> Job:
    with transaction():
        return Job.objects.get(pk=job.pk)


def _failed(job: Job, code: str, *, retry: bool) -> None:
    try:
        with transaction():
            for_good = services.fail(job=job, code=code, now=clock.now(), retry=retry)
    except LeaseLost:
        logger.warning("lease_lost", extra={"job": str(job.pk), "type": job.type})
        return
    if for_good:
        logger.error(
            "moved_to_dlq", extra={"job": str(job.pk), "type": job.type, "queue": job.queue, "error_type": code}
        )


def code_of(error: BaseException) -> str:
    """A reason code for an exception: its own, or its type in snake case. Never its text, which may quote a row."""
    if isinstance(error, JobError):
        return error.code
    if isinstance(error, SoftTimeLimitExceeded):
        return "time_limit"
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(error).__name__).lower()
