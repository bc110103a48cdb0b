"""Schedules of retrains: making and changing them, which are due and why, and queueing what is due."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection

import audit
from customers.models import RetrainRun, RetrainSchedule
from customers.propensity import versions
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction, transaction

JOB_TYPE = "model_retrain"
CREATE_VERB = "model.schedule.create"
CHANGE_VERB = "model.schedule.change"
QUEUE_VERB = "model.retrain.queue"

# What may be given, with the least and the most of each number.
BOUNDS: dict[str, tuple[float, float]] = {
    "every_days": (1, 365),
    "window_days": (14, 1825),
    "min_interactions": (0, 100_000_000),
    "min_positives": (1, 1_000_000),
    "tolerance": (0, 1),
    "keep": (1, 100),
}
# Of retrains that failed, one a day: an operator tries none again that is older.
_LOOKED_AT = 100
_NEW = """
SELECT count(*) FROM (SELECT 1 FROM public.customers_interaction
 WHERE tenant_id = %s AND offer = %s AND arrival > %s LIMIT %s) new
"""


class ScheduleRefused(ValueError):
    """A value of a schedule is missing or out of bounds; `field` says which, the text what would do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, kw_only=True)
class Due:
    """Whether a schedule is due, and why or why not, in words."""

    is_due: bool
    why: str


@requires_transaction
def create(*, offer: str, given: dict[str, Any] | None = None, now: datetime) -> RetrainSchedule:
    """Raises ScheduleRefused."""
    name = offer.strip()
    if not 1 <= len(name) <= 128 or not name.isprintable():
        raise ScheduleRefused("offer", "must have 1 to 128 printable characters.")
    schedule = RetrainSchedule(offer=name, created_at=now, **_checked(given or {}))
    audit.action(CREATE_VERB, entity=schedule)
    try:
        with transaction():
            schedule.save(force_insert=True)
    except IntegrityError as e:
        raise ScheduleRefused("offer", "has a schedule already: change that one.") from e
    return schedule


@requires_transaction
def change(schedule: RetrainSchedule, *, given: dict[str, Any]) -> RetrainSchedule:
    """Raises ScheduleRefused."""
    row = RetrainSchedule.objects.select_for_update(of=("self",)).get(pk=schedule.pk)
    checked = _checked(given)
    audit.action(CHANGE_VERB, entity=row)
    for name, value in checked.items():
        setattr(row, name, value)
    row.save(update_fields=list(checked))
    return row


@requires_transaction
def due(schedule: RetrainSchedule, *, now: datetime) -> Due:
    """Never tried: due. Somebody erased since the served version: due. Else after its days, when enough is new."""
    if not schedule.is_enabled:
        return Due(is_due=False, why="switched off")
    if is_under_way(schedule):
        return Due(is_due=False, why="a retrain is under way")
    served = versions.served_of(schedule)
    pressing = "never tried" if schedule.attempted_at is None else versions.why_replace(served) if served else ""
    return Due(is_due=True, why=pressing) if pressing else _in_its_time(schedule, now)


def _in_its_time(schedule: RetrainSchedule, now: datetime) -> Due:
    # A clock that was set back must not stop it for as long.
    last = schedule.attempted_at
    if last is not None and last <= now < last + timedelta(days=schedule.every_days):
        return Due(is_due=False, why="too early")
    new = _new_interactions(schedule)
    if new < schedule.min_interactions:
        return Due(is_due=False, why=f"too little new: {new} of {schedule.min_interactions} interactions")
    return Due(is_due=True, why="its time has come")


@requires_transaction
def queue(schedule: RetrainSchedule, *, slot: str, cause: str, now: datetime) -> Job | None:
    """Queue a retrain for a slot, once. None when the slot has one. Pass the job to `jobs.wake` after the commit."""
    run = RetrainRun(schedule=schedule, slot=slot, cause=cause[:128], queued_at=now)
    audit.action(QUEUE_VERB, entity=run)
    try:
        with transaction():
            job = jobs.enqueue(type=JOB_TYPE, payload={"run": str(run.pk)}, now=now)
            run.job_ref = job.pk
            run.save(force_insert=True)
    except IntegrityError:
        return None
    return job


@requires_transaction
def is_under_way(schedule: RetrainSchedule) -> bool:
    """Whether a retrain is queued or running: its job is. That of one that failed may be tried again."""
    runs = RetrainRun.objects.unfinished().filter(schedule=schedule).newest_first()
    refs = [ref for ref in runs.values_list("job_ref", flat=True)[:_LOOKED_AT] if ref is not None]
    return bool(refs) and Job.objects.open().filter(pk__in=refs).exists()


def slot_of(now: datetime) -> str:
    """The slot of a schedule's own retrain: one a day (UTC)."""
    return now.date().isoformat()


def _new_interactions(schedule: RetrainSchedule) -> int:
    with connection.cursor() as cursor:
        most = max(1, schedule.min_interactions)
        cursor.execute(_NEW, [context.tenant_id(), schedule.offer, schedule.seen_arrival, most])
        return int(cursor.fetchone()[0])


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if name == "is_enabled":
            checked[name] = bool(value)
            continue
        if name not in BOUNDS:
            raise ScheduleRefused(name, "is no setting of a schedule.")
        least, most = BOUNDS[name]
        if value is None or not least <= value <= most:
            raise ScheduleRefused(name, f"must be from {least} to {most}.")
        checked[name] = value
    return checked
