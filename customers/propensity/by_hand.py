"""A retrain that somebody asks for now, from the admin or the command."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from customers.models import RetrainRun, RetrainSchedule
from customers.propensity import schedules, training
from kaireon.jobs import runner
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction


class NoSchedule(LookupError):
    """No offer of this name has a schedule: make one first."""


class UnderWay(RuntimeError):
    """A retrain of this offer is queued or running: it is what you want."""


@requires_transaction
def ask(schedule: RetrainSchedule, *, now: datetime, cause: str = "asked for") -> Job:
    """Queue a retrain at once, due or not. Pass the job to `jobs.wake` after the commit. Raises UnderWay."""
    # Of two who ask at once the second waits here and finds the first's.
    row = RetrainSchedule.objects.select_for_update(of=("self",)).get(pk=schedule.pk)
    if schedules.is_under_way(row):
        raise UnderWay(str(row.pk))
    job = schedules.queue(row, slot=f"asked {uuid4()}", cause=cause, now=now)
    assert job is not None  # noqa: S101 - nobody has this slot
    return job


@without_transaction
def retrain(*, offer: str, now: datetime) -> RetrainRun:
    """Train here and now; the run as it ended. Raises NoSchedule, UnderWay."""
    with transaction():
        schedule = _of(offer)
        job = ask(schedule, now=now, cause="by command")
        claimed = jobs.claim(job_id=job.pk, now=now)
    if claimed is not None:
        runner.work(claimed)
    with transaction():
        return RetrainRun.objects.get(pk=UUID(job.payload["run"]))


@without_transaction
def rehearse(*, offer: str, now: datetime) -> dict[str, Any]:
    """What a retrain would come to now. Trains, and writes nothing down. Raises NoSchedule."""
    with transaction():
        schedule = _of(offer)
        due = schedules.due(schedule, now=now)
    seed = training.seed_of(schedule, "rehearsal")
    trained = training.train(schedule, seed=seed, now=now, told=lambda part: None)
    said = {"offer": offer, "dryRun": True, "due": due.is_due, "why": due.why}
    if trained.fitted is None:
        return said | {"state": "not_trained", "reason": f"not trained: {trained.refusal}"}
    with transaction():
        is_served, reason = training.compare(schedule, trained.fitted, now=now)
    fitted = trained.fitted
    return said | {
        "state": "served" if is_served else "candidate",
        "reason": reason,
        "counts": fitted.counts,
        "measures": vars(fitted.measures) | {"baseRate": fitted.base_rate, "baseLogLoss": fitted.base_log_loss},
        "lineage": fitted.lineage,
    }


@requires_transaction
def _of(offer: str) -> RetrainSchedule:
    schedule = RetrainSchedule.objects.for_offer(offer).first()
    if schedule is None:
        raise NoSchedule("No offer of this name has a retrain schedule: make one in the admin.")
    return schedule
