"""Each minute, in each tenant: start what is due, take up what was left lying, clear away what nobody needs."""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Q

from kaireon.flows import execution, pipelines, schedule
from kaireon.flows.definition import FlowInvalid
from kaireon.flows.models import FlowRun, Pipeline, RunState, RunTrigger
from kaireon.flows.schedule import Schedule, ScheduleInvalid
from kaireon.jobs.models import Job
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import transaction

logger = logging.getLogger("kaireon.flows")

# With `missed: skip`, a slot that is later than this was missed.
LATE = timedelta(minutes=5)
# With `missed: all`, so many slots are lined up in one transaction.
MOST_SLOTS = 100


@dataclass(kw_only=True)
class Ticked:
    """What a tick did in the active tenant. `errors` are facts without names."""

    started: int = 0
    skipped: int = 0
    resumed: int = 0
    cleared: int = 0
    errors: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, int]:
        return {"started": self.started, "skipped": self.skipped, "resumed": self.resumed, "cleared": self.cleared}


def tick(*, now: datetime, budget: Budget) -> Ticked:
    """Run it as often as you like, and at once: each slot of each pipeline gets one run. Opens its own transactions."""
    done = Ticked()
    while not budget.spent and _start_next(done, now):
        pass
    _resume_interrupted(done, now)
    _clear(done, now, budget)
    return done


def _start_next(done: Ticked, now: datetime) -> bool:
    """Start one pipeline that is due; False when none is."""
    with transaction():
        due = Pipeline.objects.present().filter(enabled=True, next_run_at__lte=now).order_by("next_run_at", "pk")
        pipeline = due.select_for_update(skip_locked=True).first()
        if pipeline is None:
            return False
        jobs: list[Job] = []
        try:
            found = schedule.parse(pipeline.schedule, now=pipeline.created_at)
            slots, following = due_slots(found, pipeline.next_run_at or now, now)
        except ScheduleInvalid:
            # Its time zone may have gone with an update of the database: it stands still until it is changed.
            logger.exception("schedule_invalid", extra={"pipeline": str(pipeline.pk)})
            done.errors.append("a schedule cannot be read any more")
            following = None
        else:
            waits = found.missed == "all"
            jobs = [job for slot in slots if (job := _start(done, pipeline, slot, now=now, waits=waits))]
        # In the same transaction as its runs: a crash starts neither.
        Pipeline.objects.filter(pk=pipeline.pk).update(next_run_at=following)
    for job in jobs:
        pipelines.wake(job)
    return True


def due_slots(found: Schedule, first: datetime, now: datetime) -> tuple[list[datetime], datetime | None]:
    """Which slots from `first` to `now` are to be run, and the one that comes next."""
    if found.missed == "all":
        slots = found.next(first - timedelta(microseconds=1), count=MOST_SLOTS)
        slots = [slot for slot in slots if slot <= now]
        return slots, found.after(slots[-1] if slots else now)
    newest = None
    # Backwards in growing spans: of an outage of weeks only the newest slot is looked for.
    for span in (timedelta(hours=1), timedelta(days=2), timedelta(days=40), now - first + timedelta(seconds=1)):
        begin = max(first, now - span)
        newest = max(found.between(begin, now + timedelta(microseconds=1)), default=None)
        if newest is not None or begin == first:
            break
    if newest is not None and found.missed == "skip" and now - newest > LATE:
        newest = None
    return [newest] if newest is not None else [], found.after(now)


def _start(done: Ticked, pipeline: Pipeline, slot: datetime, *, now: datetime, waits: bool) -> Job | None:
    """The slot's run, once; its job, unless it waits for the run before it, or is skipped because of it."""
    if FlowRun.objects.filter(pipeline=pipeline, slot=slot).exists():
        return None
    under_way = FlowRun.objects.open().filter(pipeline=pipeline).exists()
    if under_way and not waits:
        FlowRun.objects.create(
            pipeline=pipeline,
            name=pipeline.name,
            pipeline_version=pipeline.version,
            trigger=RunTrigger.SCHEDULE,
            slot=slot,
            state=RunState.SKIPPED,
            error="overlap",
            message="The run before it was still under way.",
            created_at=now,
            finished_at=now,
        )
        done.skipped += 1
        return None
    job = None
    try:
        if under_way:
            pipelines.line_up(pipeline, trigger=RunTrigger.SCHEDULE, slot=slot, now=now)
        else:
            _, job = pipelines.start(pipeline, trigger=RunTrigger.SCHEDULE, slot=slot, now=now)
    except FlowInvalid:
        logger.exception("definition_invalid", extra={"pipeline": str(pipeline.pk)})
        done.errors.append("a definition cannot be built any more")
        return None
    done.started += 1
    return job


def _resume_interrupted(done: Ticked, now: datetime) -> None:
    """Runs that are open though nobody works on them: their job is gone, or ended without them, or it is their turn."""
    with transaction():
        open_jobs = Job.objects.open().filter(type=pipelines.JOB_TYPE).values("pk")
        ours = FlowRun.objects.open().filter(pipeline__isnull=False)
        lying = ours.exclude(job_ref=None).filter(~Q(job_ref__in=open_jobs))
        left = list(lying.select_for_update(skip_locked=True, of=("self",))[:MOST_SLOTS])
        jobs = []
        for run in left:
            jobs.append(pipelines.employ(run, now=now))
            run.save(update_fields=["job_ref"])
        waiting = list(ours.filter(job_ref=None).order_by().values_list("pipeline_id", flat=True).distinct())
        jobs.extend(filter(None, (pipelines.next_in_line(pk, now=now) for pk in waiting)))
    for job in jobs:
        pipelines.wake(job)
    done.resumed += len(jobs)


def _clear(done: Ticked, now: datetime, budget: Budget) -> None:
    """Batches of runs that are done, or failed long ago."""
    with transaction():
        old = Q(state=RunState.DONE) | Q(state=RunState.FAILED, finished_at__lt=now - execution.BATCHES_KEPT)
        left = list(FlowRun.objects.filter(old, keeps_batches=True).order_by("finished_at")[:MOST_SLOTS])
    for run in left:
        if budget.spent:
            return
        execution.drop_batches(run)
        done.cleared += 1
