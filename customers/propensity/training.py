"""A retrain from beginning to end: read, fit, compare, and in one transaction write down what came of it.

Until that transaction nothing has changed, so a worker that is killed leaves what was served, and whoever takes the job
up begins anew. What cannot be trained is an outcome too: `not trained: …`, and the served version stays.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import audit
from customers.exporting.arrivals import NumbersAhead
from customers.models import PropensityVersion, RetrainRun, RetrainSchedule
from customers.models.propensity import MOST_OF_A_REASON, RetrainState
from customers.propensity import documents, examples, fitting, schedules, versions
from customers.propensity.documents import ModelRefused
from customers.propensity.examples import Found
from customers.propensity.fitting import Fitted, NotTrained
from kaireon.jobs.models import Job
from kaireon.jobs.registry import job_type
from kaireon.jobs.runner import JobError, JobRun
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction, transaction, without_transaction

TIME_LIMIT = 1800
TRAINED_VERB = "model.trained"
NOT_TRAINED_VERB = "model.not_trained"
RUNS_KEPT = timedelta(days=400)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What reading and fitting gave: a model, or the reason why there is none."""

    found: Found
    fitted: Fitted | None = None
    refusal: str = ""


@without_transaction
def train(schedule: RetrainSchedule, *, seed: int, now: datetime, told: Callable[[float], None]) -> Trained:
    """Read and fit. Changes nothing. Raises arrivals.NumbersAhead, and what `told` raises."""
    with transaction():
        asked = examples.window(offer=schedule.offer, days=schedule.window_days, now=now)
    found = examples.read(asked=asked, seed=seed, told=told)
    while True:
        try:
            fitted = fitting.fit(found, least_positives=schedule.min_positives)
        except NotTrained as refusal:
            return Trained(found=found, refusal=str(refusal))
        # Whoever came to be left out meanwhile is in it: it is made again without them, until there is nobody.
        if not examples.look_again(found):
            return Trained(found=found, fitted=fitted)
        told(1.0)


def seed_of(schedule: RetrainSchedule, slot: str) -> int:
    """The same for the same slot of a schedule: whoever takes a retrain up reads the same people."""
    return int.from_bytes(hashlib.sha256(f"{schedule.pk}:{slot}".encode()).digest()[:6], "big")


def gave_up(job: Job) -> None:
    """In the transaction that fails the job for good. The schedule stays due."""
    run = RetrainRun.objects.open().filter(pk=job.payload["run"]).first()
    if run is not None:
        _end(run, RetrainState.FAILED, reason=f"failed: {job.error}", now=clock.now())


@job_type(schedules.JOB_TYPE, queue="retrain-jobs", time_limit=TIME_LIMIT, gave_up=gave_up)
def model_retrain(job: JobRun) -> None:
    """Work on the retrain of `payload.run`."""
    with transaction():
        run = RetrainRun.objects.select_for_update(of=("self",)).filter(pk=job.payload["run"]).first()
        # One that failed is tried again when an operator retries its job.
        if run is None or (run.finished_at is not None and run.state != RetrainState.FAILED):
            job.finish({"skipped": run.state if run else "gone"})
            return
        schedule = RetrainSchedule.objects.get(pk=run.schedule_id)
        run.state, run.reason, run.finished_at = RetrainState.RUNNING, "", None
        run.started_at = run.started_at or clock.now()
        run.save(update_fields=["state", "reason", "started_at", "finished_at"])

    def told(part: float) -> None:
        job.check()
        job.progress(lambda: 90 * part)

    try:
        trained = train(schedule, seed=seed_of(schedule, run.slot), now=clock.now(), told=told)
    except NumbersAhead as e:
        raise JobError("numbers_ahead", permanent=True) from e
    job.check()
    with transaction():
        ended = _conclude(run.pk, trained, actor=context.current().actor, now=clock.now())
        job.finish({"state": ended.state, "version": ended.version_number})


@requires_transaction
def compare(schedule: RetrainSchedule, fitted: Fitted, *, now: datetime) -> tuple[bool, str]:
    """Whether a new version is to be served, and why: on the same later examples it is not worse than the served one
    by more than the tolerance, or the served one was stale for too long."""
    served = versions.served_of(schedule)
    if served is None:
        return True, "the first version"
    try:
        document = served.document()
    except ModelRefused as refusal:
        return True, f"version {served.number} cannot be used: {refusal}"
    theirs, ours = fitted.later.measure(document), fitted.measures
    told = (
        f"log loss {ours.log_loss:.4f} against {theirs.log_loss:.4f} of version {served.number} on the same"
        f" {len(fitted.later)} examples, tolerance {schedule.tolerance:g}"
    )
    if ours.log_loss <= theirs.log_loss + schedule.tolerance:
        return True, f"not worse: {told}"
    until = versions.serves_until(served)
    if until is None:
        return False, f"worse: {told}"
    if until <= now:
        return True, f"in place of version {served.number}, stale for too long, though worse: {told}"
    return False, f"worse: {told}; version {served.number} is stale, and serves until {until.date()} at most"


@requires_transaction
def _conclude(run_id: UUID, trained: Trained, *, actor: Actor, now: datetime) -> RetrainRun:
    run = RetrainRun.objects.select_for_update(of=("self",)).get(pk=run_id)
    schedule = RetrainSchedule.objects.select_for_update(of=("self",)).get(pk=run.schedule_id)
    schedule.attempted_at, schedule.seen_arrival = now, max(0, trained.found.window.below - 1)
    if trained.fitted is None:
        schedule.save(update_fields=["attempted_at", "seen_arrival"])
        return _end(run, RetrainState.NOT_TRAINED, reason=f"not trained: {trained.refusal}", now=now)
    is_served, why = compare(schedule, trained.fitted, now=now)
    schedule.versions += 1
    version = _version(schedule, trained, why=why, now=now)
    schedule.save(update_fields=["attempted_at", "seen_arrival", "versions"])
    if is_served:
        schedule = versions.serve(version=version, reason=why, actor=actor, now=now)
    run.version_number = version.number
    versions.drop_old(schedule)
    RetrainRun.objects.filter(schedule=schedule, finished_at__lt=now - RUNS_KEPT).delete()
    return _end(run, RetrainState.SERVED if is_served else RetrainState.CANDIDATE, reason=why, now=now)


def _version(schedule: RetrainSchedule, trained: Trained, *, why: str, now: datetime) -> PropensityVersion:
    fitted = trained.fitted
    assert fitted is not None  # noqa: S101 - the caller looked
    content = fitted.document.content()
    measures: dict[str, Any] = vars(fitted.measures)
    version = PropensityVersion(
        schedule=schedule,
        number=schedule.versions,
        content=content,
        sha256=documents.sha256(content),
        as_of=trained.found.as_of,
        erased_then=trained.found.erased_then,
        trained_at=now,
        verdict=why[:MOST_OF_A_REASON],
        base_rate=fitted.base_rate,
        base_log_loss=fitted.base_log_loss,
        lineage=fitted.lineage,
        **fitted.counts,
        **measures,
    )
    version.seal = documents.seal(content, version=version.pk)
    audit.action(TRAINED_VERB, entity=version)
    version.save(force_insert=True)
    return version


def _end(run: RetrainRun, state: RetrainState, *, reason: str, now: datetime) -> RetrainRun:
    if state in (RetrainState.NOT_TRAINED, RetrainState.FAILED):
        audit.action(NOT_TRAINED_VERB, entity=run)
    run.state, run.reason, run.finished_at = state, reason[:MOST_OF_A_REASON], now
    run.save(update_fields=["state", "reason", "finished_at", "version_number"])
    return run
