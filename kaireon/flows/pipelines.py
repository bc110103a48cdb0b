"""Pipelines: keeping a definition, starting it."""

import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError

from kaireon.flows import building, schedule
from kaireon.flows.definition import FlowInvalid
from kaireon.flows.models import FlowRun, Pipeline, RunState, RunTrigger
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.tenancy.context import Actor, requires_transaction, transaction

logger = logging.getLogger("kaireon.flows")

JOB_TYPE = "pipeline_execute"
QUEUE = "pipeline-jobs"


class NameTaken(ValueError):
    """Another pipeline has this name."""


class PipelineChanged(RuntimeError):
    """Somebody changed the pipeline since it was read. Read it again."""


class PipelineDisabled(RuntimeError):
    """A disabled pipeline is started by nobody. Enable it first."""


@requires_transaction
def create(
    *,
    name: str,
    definition: Any,
    schedule_given: Any = None,
    description: str = "",
    enabled: bool = True,
    actor: Actor,
    now: datetime,
) -> Pipeline:
    """Raises FlowInvalid, schedule.ScheduleInvalid, NameTaken."""
    pipeline = Pipeline(created_at=now, version=0)
    return _store(pipeline, name, definition, schedule_given, description, enabled=enabled, actor=actor, now=now)


@requires_transaction
def change(
    pipeline: Pipeline,
    *,
    name: str,
    definition: Any,
    schedule_given: Any = None,
    description: str = "",
    enabled: bool = True,
    version: int | None = None,
    actor: Actor,
    now: datetime,
) -> Pipeline:
    """Put another in its place; runs that are under way with another definition end with `definition_changed`.

    `version` is the one the change was made from. Raises what `create` raises, and PipelineChanged.
    """
    locked = Pipeline.objects.select_for_update().present().filter(pk=pipeline.pk).first()
    if locked is None or (version is not None and version != locked.version):
        raise PipelineChanged("The pipeline was changed meanwhile: read it again.")
    return _store(locked, name, definition, schedule_given, description, enabled=enabled, actor=actor, now=now)


def _store(
    pipeline: Pipeline,
    name: str,
    definition: Any,
    given: Any,
    description: str,
    *,
    enabled: bool,
    actor: Actor,
    now: datetime,
) -> Pipeline:
    building.build(name, definition)
    parsed = schedule.parse(given, now=now) if given is not None else None
    pipeline.name, pipeline.description, pipeline.definition = name, description, definition
    said = parsed.as_dict() if parsed else None
    if (said, enabled) != (pipeline.schedule, pipeline.enabled) or pipeline.version == 0:
        # A slot that is due stays due when something else is changed.
        pipeline.next_run_at = parsed.after(now) if parsed and enabled else None
    pipeline.schedule, pipeline.enabled = said, enabled
    pipeline.version += 1
    pipeline.updated_at, pipeline.updated_by = now, actor.id[:64]
    try:
        with transaction():
            pipeline.save()
    except IntegrityError as e:
        if getattr(getattr(e.__cause__, "diag", None), "constraint_name", "") == "pipeline_name_once":
            raise NameTaken(f"There is a pipeline of the name {name!r} already.") from e
        raise
    return pipeline


@requires_transaction
def delete(pipeline: Pipeline, *, actor: Actor, now: datetime) -> None:
    """No more of it: what waits or runs ends as failed with `pipeline_deleted`. Its finished runs keep their rows."""
    Pipeline.objects.filter(pk=pipeline.pk).update(
        deleted_at=now, next_run_at=None, updated_at=now, updated_by=actor.id[:64]
    )
    FlowRun.objects.open().filter(pipeline=pipeline).update(
        state=RunState.FAILED, error="pipeline_deleted", message="The pipeline was deleted.", finished_at=now
    )


@requires_transaction
def start(
    pipeline: Pipeline, *, trigger: RunTrigger, now: datetime, slot: datetime | None = None
) -> tuple[FlowRun, Job]:
    """A run and the job that works on it, in the caller's transaction; `wake` the job after the commit.

    Raises PipelineDisabled, FlowInvalid (a node it uses is gone).
    """
    run = _new_run(pipeline, trigger, now, slot)
    job = employ(run, now=now)
    run.save(force_insert=True)
    return run, job


@requires_transaction
def line_up(pipeline: Pipeline, *, trigger: RunTrigger, now: datetime, slot: datetime) -> FlowRun:
    """A run that waits until those before it have ended. Raises what `start` raises."""
    run = _new_run(pipeline, trigger, now, slot)
    run.save(force_insert=True)
    return run


@requires_transaction
def next_in_line(pipeline_id: UUID, *, now: datetime) -> Job | None:
    """Have the pipeline's first waiting run worked on, unless another is; it runs as the pipeline is by now."""
    open_ = FlowRun.objects.open().filter(pipeline_id=pipeline_id)
    if open_.exclude(job_ref=None).exists():
        return None
    run = open_.filter(job_ref=None).select_for_update(skip_locked=True, of=("self",)).order_by("slot", "pk").first()
    if run is None:
        return None
    pipeline = Pipeline.objects.get(pk=pipeline_id)
    try:
        run.code_version = building.build(pipeline.name, pipeline.definition).code_version
        run.pipeline_version = pipeline.version
    except FlowInvalid:
        # Its job says so, and the next one's turn comes.
        logger.warning("definition_invalid", extra={"pipeline": str(pipeline.pk)})
    job = employ(run, now=now)
    run.save(update_fields=["code_version", "pipeline_version", "job_ref"])
    return job


def _new_run(pipeline: Pipeline, trigger: RunTrigger, now: datetime, slot: datetime | None) -> FlowRun:
    if not pipeline.enabled or pipeline.deleted_at is not None:
        raise PipelineDisabled("The pipeline is disabled: enable it first.")
    return FlowRun(
        pipeline=pipeline,
        name=pipeline.name,
        pipeline_version=pipeline.version,
        code_version=building.build(pipeline.name, pipeline.definition).code_version,
        trigger=trigger,
        slot=slot,
        keeps_batches=True,
        created_at=now,
    )


@requires_transaction
def employ(run: FlowRun, *, now: datetime) -> Job:
    """A job for the run; the caller saves the run."""
    job = jobs.enqueue(type=JOB_TYPE, payload={"runId": run.pk}, now=now)
    run.job_ref = job.pk
    return job


def wake(job: Job) -> None:
    """Tell a worker, after the commit. Best effort: the sweep of jobs finds the rest."""
    jobs.wake(job)


def find(pipeline_id: UUID) -> Pipeline | None:
    """One that is not deleted."""
    return Pipeline.objects.present().filter(pk=pipeline_id).first()
