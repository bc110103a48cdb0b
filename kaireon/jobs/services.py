"""What happens to a job row. Every step is one conditional UPDATE, so the database decides who was first."""

import json
import logging
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, JSONField
from kombu.exceptions import KombuError
from kombu.exceptions import OperationalError as BrokerUnavailable
from redis.exceptions import RedisError

from kaireon.api import metrics
from kaireon.jobs import bursts, pauses, registry
from kaireon.jobs.models import Job, JobQuerySet, JobState
from kaireon.tenancy import context, signals
from kaireon.tenancy.context import requires_transaction, without_transaction

logger = logging.getLogger("kaireon.jobs")

LEASE = timedelta(seconds=settings.JOB_LEASE_SECONDS)
MAX_RETRIES = 3
# A job that takes its process down again and again is poison. The worker says so when it outlives the process; when
# both are gone nobody does, and the job may have been in bad company: that takes more to condemn it.
MAX_CRASHES = 3
MAX_LOSSES = 10
WORKER_LOST = "worker_lost"

_LONGEST_VALUE = 128

_COLUMNS = [column.attname for column in Job._meta.concrete_fields]
_JSON = frozenset(column.attname for column in Job._meta.concrete_fields if isinstance(column, JSONField))

# Functions of migrations/0004_leases.py.
_CLAIM = " ".join(
    (
        f"SELECT {', '.join(_COLUMNS)}",
        "FROM public.claim_job(%(tenant)s, %(id)s, %(token)s, %(until)s, %(now)s, %(paused)s, %(durably)s, %(fresh)s)",
    )
)
_FINISH = "SELECT public.finish_job(%(tenant)s, %(id)s, %(token)s, %(result)s, %(now)s)"


class PayloadRefused(ValueError):
    """A payload holds ids and plain parameters only: text, numbers, booleans and null, one level deep."""


class LeaseLost(RuntimeError):
    """Somebody else holds this job now, or finished it. Roll back and do nothing more."""


class JobNotFailed(RuntimeError):
    """Only a failed or cancelled job is retried."""


@requires_transaction
def enqueue(
    *,
    type: str,  # noqa: A002  the word everybody uses for it
    payload: Mapping[str, object],
    now: datetime,
    delay: timedelta = timedelta(0),
) -> Job:
    """Write the job down in the caller's transaction: both happen or neither. Call `wake` after the commit.

    Raises registry.UnknownJobType and PayloadRefused.
    """
    known = registry.get(type)
    job = Job.objects.create(
        type=known.name,
        queue=known.queue,
        payload=_plain(payload),
        request_id=context.current().request_id[:128],
        due_at=now + delay,
        created_at=now,
    )
    transaction.on_commit(metrics.JOBS_ENQUEUED.labels(known.queue).inc)
    return job


def wake(job: Job) -> bool:
    """Tell a worker of a job, after the commit. Best effort: without a broker the sweep finds the job later.

    Where enough messages wait one that never began gets none: whoever comes for those takes it along.
    """
    if job.attempts == 0 and bursts.enough_wait(job.queue, job.type):
        return True
    return send(tenant_id=str(job.tenant_id), job_id=job.pk, queue=job.queue, type=job.type)


def send(*, tenant_id: str, job_id: UUID, queue: str, type: str) -> bool:  # noqa: A002
    """Send the message that wakes a worker. False when the broker is away. A message too many does nothing."""
    from kaireon.jobs.tasks import run

    limit = registry.get(type).time_limit
    if bursts.may_share(type):
        # What is taken along last has its whole time too.
        limit += bursts.SECONDS
    try:
        run.apply_async(
            kwargs={"tenant_id": tenant_id, "job_id": str(job_id), "queue": queue, "type": type},
            queue=queue,
            soft_time_limit=limit,
            time_limit=limit + 15,
        )
    except (BrokerUnavailable, KombuError, RedisError, OSError) as error:
        logger.warning("wake_failed", extra={"queue": queue, "error_type": type_name(error)})
        return False
    bursts.sent(queue, type)
    return True


@requires_transaction
def claim(*, job_id: UUID, now: datetime) -> Job | None:
    """Take the lease. None when there is nothing to do: unknown, not due, finished, or somebody's lease is alive."""
    return _claim(job_id, now, durably=True, fresh=False)


@without_transaction
def claim_at_once(*, job_id: UUID, now: datetime, fresh: bool = False) -> Job | None:
    """As `claim`, in a transaction of its own, which does not wait for the disk; with `fresh` only what never began.

    A server that crashes may forget the claim, as if nobody had come; whoever made it finds the lease lost.
    """
    return _claim(job_id, now, durably=False, fresh=fresh)


@requires_transaction
def heartbeat(*, job: Job, now: datetime) -> bool:
    """Renew the lease. False when it is not ours any more."""
    return bool(_held(job).update(lease_until=now + LEASE))


@requires_transaction
def crashed(*, job_id: UUID) -> bool:
    """Note that a process which worked on the job died. False when the job has ended all the same.

    Nothing else changes: the lease runs out by itself, and should somebody hold it again already, nobody disturbs them.
    """
    return bool(Job.objects.open().filter(pk=job_id).update(crashes=F("crashes") + 1))


def is_poison(job: Job) -> bool:
    """Whether a claimed job has taken down so many workers that it gets no other."""
    return job.crashes >= MAX_CRASHES or job.losses >= MAX_LOSSES


@requires_transaction
def finish(*, job: Job, now: datetime, result: Mapping[str, object] | None = None) -> None:
    """Mark the job done, in the transaction of its effect. Raises LeaseLost, which must roll that effect back."""
    if not _finish(job, now, result):
        raise LeaseLost(str(job.pk))


@without_transaction
def finish_at_once(*, job: Job, now: datetime) -> bool:
    """As `finish`, in a transaction of its own, and `job` says so afterwards. False when it is not held any more."""
    if not _finish(job, now, None):
        return False
    ended(job=job, now=now)
    return True


def ended(*, job: Job, now: datetime, result: Mapping[str, object] | None = None) -> None:
    """Let `job` say what its row says once it was finished: after the commit."""
    job.state, job.lease_token, job.lease_until = JobState.DONE, None, None
    job.error, job.result, job.finished_at = "", None if result is None else dict(result), now


@requires_transaction
def fail(*, job: Job, code: str, now: datetime, retry: bool = True) -> bool:
    """Note a failure: queued again after a growing pause, or failed for good, when the type's `gave_up` runs too.

    True when it is failed for good. Raises LeaseLost.
    """
    for_good = not retry or job.failures >= MAX_RETRIES
    failed = _held(job).update(
        state=JobState.FAILED if for_good else JobState.QUEUED,
        lease_token=None,
        lease_until=None,
        failures=F("failures") + 1,
        error=code[:64],
        due_at=now + retry_delay(job.failures + 1),
        finished_at=now if for_good else None,
    )
    if not failed:
        raise LeaseLost(str(job.pk))
    gave_up = registry.get(job.type).gave_up
    if for_good and gave_up is not None:
        gave_up(Job.objects.get(pk=job.pk))
    if for_good:
        signals.job_dead.send(sender=Job, job=Job.objects.get(pk=job.pk), permanent=not retry or gave_up is not None)
    return for_good


@requires_transaction
def put_off(*, job: Job, due_at: datetime) -> None:
    """Queue it again for later, as no failure: what it needs is not asked at present. Raises LeaseLost."""
    if not _held(job).update(state=JobState.QUEUED, lease_token=None, lease_until=None, due_at=due_at):
        raise LeaseLost(str(job.pk))


@requires_transaction
def retry(*, job: Job, now: datetime) -> None:
    """Queue a failed or cancelled job again, with all retries. Raises JobNotFailed. Call `wake` after the commit."""
    again = Job.objects.filter(pk=job.pk, state__in=[JobState.FAILED, JobState.CANCELLED]).update(
        state=JobState.QUEUED, percent=0, failures=0, crashes=0, losses=0, due_at=now, finished_at=None
    )
    if not again:
        raise JobNotFailed(str(job.pk))
    signals.job_retried.send(sender=Job, job=job)


def retry_delay(failures: int) -> timedelta:
    """RETRY_SECONDS, then three times that and so on; times 0.5 to 1.5, so that what failed together comes apart."""
    return timedelta(seconds=settings.RETRY_SECONDS * 3 ** (failures - 1) * random.uniform(0.5, 1.5))  # noqa: S311


def type_name(error: BaseException) -> str:
    return type(error).__name__


def _claim(job_id: UUID, now: datetime, *, durably: bool, fresh: bool) -> Job | None:
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "tenant": context.tenant_id(),
                "id": job_id,
                "token": uuid4(),
                "until": now + LEASE,
                "now": now,
                "paused": pauses.here(),
                "durably": durably,
                "fresh": fresh,
            },
        )
        row = cursor.fetchone()
    if row is None:
        return None
    found = [
        json.loads(value) if name in _JSON and value is not None else value
        for name, value in zip(_COLUMNS, row, strict=True)
    ]
    return Job.from_db(connection.alias, _COLUMNS, found)


def _finish(job: Job, now: datetime, result: Mapping[str, object] | None) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            _FINISH,
            {
                "tenant": context.tenant_id(),
                "id": job.pk,
                "token": job.lease_token,
                "result": None if result is None else json.dumps(dict(result)),
                "now": now,
            },
        )
        return bool(cursor.fetchone()[0])


def _held(job: Job) -> JobQuerySet:
    return Job.objects.filter(pk=job.pk).held_by(job.lease_token)


def _plain(payload: Mapping[str, object]) -> dict[str, object]:
    return {key: _plain_value(key, value) for key, value in payload.items()}


def _plain_value(key: str, value: object) -> object:
    if isinstance(value, UUID):
        return str(value)
    if value is None or isinstance(value, bool | int) or (isinstance(value, str) and len(value) <= _LONGEST_VALUE):
        return value
    raise PayloadRefused(f"{key}: a payload takes ids and plain parameters only.")
