"""The job that works on a run, and what becomes of the run."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from tempfile import TemporaryFile
from typing import Any
from uuid import UUID

from django.core.files.base import File
from django.db.models import Sum

from kaireon.api.breakers import BreakerOpen
from kaireon.flows import batches, building, engine, pipelines, progress
from kaireon.flows.definition import Flow, FlowInvalid
from kaireon.flows.engine import DefinitionChanged, StepFailed
from kaireon.flows.models import FlowCheckpoint, FlowRun, Pipeline, RunState
from kaireon.flows.nodes import Kind
from kaireon.flows.nodes import get as node_of
from kaireon.flows.store import PostgresStore
from kaireon.jobs.models import Job
from kaireon.jobs.registry import job_type
from kaireon.jobs.runner import JobError, JobRun, code_of
from kaireon.jobs.services import LeaseLost
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.lib.csv_safe import SafeWriter
from kaireon.tenancy.context import requires_transaction, transaction

logger = logging.getLogger("kaireon.flows")

TIME_LIMIT = 900
# A run that takes longer goes on in a job of its own, so that no message is out longer than its broker waits.
SECONDS_A_JOB = 600.0
# A failed run can be taken up again for so long. Less than the shortest retention, so no batch outlives its run's row.
BATCHES_KEPT = timedelta(hours=23)


class RunNotFailed(RuntimeError):
    """Only a failed run is taken up again."""


class OutOfTime(RuntimeError):
    """This job has worked long enough; the next one goes on."""


class FencedStore(PostgresStore):
    """Checkpoints of a run for the worker that holds it. A worker that lost it is stopped in its next transaction."""

    def __init__(self, run_id: UUID, holder: UUID | None) -> None:
        self._run_id, self._holder = run_id, holder

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with transaction():
            # The lock keeps a second worker waiting until what is done here is committed, or gone.
            held = FlowRun.objects.select_for_update().filter(
                pk=self._run_id, holder=self._holder, state=RunState.RUNNING
            )
            if not held.exists():
                raise LeaseLost(str(self._run_id))
            yield


def gave_up(job: Job) -> None:
    """In the transaction that fails the job for good."""
    run = FlowRun.objects.open().filter(pk=job.payload["runId"], job_ref=job.pk).first()
    if run is not None:
        _end(run, RunState.FAILED, now=clock.now(), error=job.error)


@job_type(pipelines.JOB_TYPE, queue=pipelines.QUEUE, time_limit=TIME_LIMIT, gave_up=gave_up)
def pipeline_execute(job: JobRun) -> None:
    """Work on the run of `payload.runId` until it is done, or until the next job goes on."""
    run = _take(job)
    if run is None:
        return
    budget = Budget(SECONDS_A_JOB)

    def check() -> None:
        job.check()
        if budget.spent:
            raise OutOfTime
        job.progress(lambda: progress.of(run, now=clock.now()).percent)

    flow = None
    try:
        flow = flow_of(run)
        store = FencedStore(run.pk, run.holder)
        engine.run(flow, run_id=run.pk, store=store, check=check, passing=(LeaseLost, OutOfTime, BreakerOpen))
        _complete(job, run, flow)
    except OutOfTime:
        _pass_on(job, run)
    except LeaseLost:
        _clean_up_behind(run, flow)
        raise
    except DefinitionChanged as error:
        _note(run, "definition_changed", str(error))
        raise JobError("definition_changed", permanent=True) from error
    except FlowInvalid as error:
        _note(run, "definition_invalid", f"{error.field}: {error}")
        raise JobError("definition_invalid", permanent=True) from error
    except StepFailed as error:
        cause = error.__cause__ or error
        _note(run, code_of(cause), error.message, step=error.step)
        raise JobError(code_of(cause), permanent=error.permanent) from error


def flow_of(run: FlowRun) -> Flow:
    """The flow of the run's pipeline, as it is now. Raises FlowInvalid, DefinitionChanged."""
    with transaction():
        pipeline = Pipeline.objects.get(runs=run)
    flow = building.build(pipeline.name, pipeline.definition)
    if flow.code_version != run.code_version:
        raise DefinitionChanged(
            f"The run began with version {run.pipeline_version} of the pipeline, which is now {pipeline.version}, "
            "or its nodes have changed: start a new run."
        )
    return flow


def _take(job: JobRun) -> FlowRun | None:
    """The run, held by this job's lease; None, with the job finished, when there is nothing left to do."""
    with transaction():
        run = FlowRun.objects.select_for_update().filter(pk=job.payload["runId"]).first()
        if run is None or not run.is_open or run.job_ref != job.id:
            job.finish({"skipped": run.state if run else "gone"})
            return None
        run.holder = job.job.lease_token
        run.state = RunState.RUNNING
        run.started_at = run.started_at or clock.now()
        run.save(update_fields=["holder", "state", "started_at"])
    return run


def _complete(job: JobRun, run: FlowRun, flow: Flow) -> None:
    name = _write_rejects(run, flow)
    with FencedStore(run.pk, run.holder).transaction():
        run.rejects = name
        following = _end(run, RunState.DONE, now=clock.now(), flow=flow)
        job.finish({"rowsIn": run.rows_in, "rowsOut": run.rows_out, "rowsFailed": run.rows_failed})
    if following is not None:
        pipelines.wake(following)
    drop_batches(run, flow)


def _pass_on(job: JobRun, run: FlowRun) -> None:
    with FencedStore(run.pk, run.holder).transaction():
        following = pipelines.employ(run, now=clock.now())
        run.save(update_fields=["job_ref"])
        job.finish({"goesOnIn": str(following.pk)})
    pipelines.wake(following)


def _note(run: FlowRun, code: str, message: str, *, step: str = "") -> None:
    """What went wrong, for those who look while the job waits for its next try."""
    with FencedStore(run.pk, run.holder).transaction():
        FlowRun.objects.filter(pk=run.pk).update(error=code[:64], message=message[:500], failed_step=step)


def _end(run: FlowRun, state: RunState, *, now: datetime, error: str = "", flow: Flow | None = None) -> Job | None:
    """The job of the run that waited for this one, if any did."""
    totals = FlowCheckpoint.objects.filter(run=run)
    ends = {s.name: node_of(s.kind).kind for s in flow.steps} if flow else _kinds(run)
    counted = {row["step"]: row for row in totals.values("step").annotate(i=Sum("rows_in"), o=Sum("rows_out"))}
    run.rows_in = sum(row["i"] for step, row in counted.items() if ends.get(step) == Kind.LOAD)
    run.rows_out = sum(row["o"] for step, row in counted.items() if ends.get(step) in (Kind.WRITE, Kind.WRITE_FILE))
    run.rows_failed = totals.aggregate(n=Sum("rows_failed"))["n"] or 0
    run.state, run.finished_at = state, now
    if state == RunState.DONE:
        run.error = run.message = run.failed_step = ""
    else:
        run.error = run.error or error[:64]
    run.save()
    totals.update(finished_at=now)
    return pipelines.next_in_line(run.pipeline_id, now=now) if run.pipeline_id else None


def _kinds(run: FlowRun) -> dict[str, Kind]:
    try:
        pipeline = Pipeline.objects.get(runs=run)
        return {s.name: node_of(s.kind).kind for s in building.build(pipeline.name, pipeline.definition).steps}
    except (Pipeline.DoesNotExist, FlowInvalid):
        # What it counted can no longer be told apart by what its steps were.
        return {}


def _write_rejects(run: FlowRun, flow: Flow) -> str:
    """One file of what all steps refused: step, line, field, reason. Gives its name, "" when nothing was."""
    with transaction():
        found: dict[str, Any] = dict(
            FlowCheckpoint.objects.filter(run=run, rows_failed__gt=0).values_list("step", "output")
        )
    if not found:
        return ""
    name = f"{batches.folder()}/rejects/{run.pk}.csv"
    with TemporaryFile() as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
        writer = SafeWriter(text)
        writer.writerow(["step", "line", "field", "reason"])
        for step in flow.order:
            if step.name in found:
                for reject in batches.rejects(run.pk, step.name, found[step.name]["batches"]):
                    writer.writerow([step.name, reject.line, reject.field, reject.reason])
        text.detach().seek(0)
        batches.put(name, File(file))
    return name


def drop_batches(run: FlowRun, flow: Flow | None = None) -> None:
    """Remove the rows between the run's steps. Opens its own transactions; done twice it does nothing more."""
    with transaction():
        counts = written_by_step(run)
    names = {step.name for step in flow.steps} if flow else set(counts)
    batches.drop(run.pk, [(name, counts.get(name, 0)) for name in sorted(names | set(counts))])
    with transaction():
        FlowRun.objects.filter(pk=run.pk).update(keeps_batches=False)


@requires_transaction
def written_by_step(run: FlowRun) -> dict[str, int]:
    """How many batches each step that began has written, as far as it noted."""
    rows = dict(FlowCheckpoint.objects.filter(run=run).values_list("step", "position"))
    done = dict(FlowCheckpoint.objects.filter(run=run, done=True).values_list("step", "output"))
    return {step: _written(done.get(step), position) for step, position in rows.items()}


def _clean_up_behind(run: FlowRun, flow: Flow | None) -> None:
    """Rows that a worker wrote before it noticed that it is not its turn: once the run is done, nobody looks there."""
    with transaction():
        over = FlowRun.objects.filter(pk=run.pk, state=RunState.DONE, keeps_batches=False).exists()
    if over:
        drop_batches(run, flow)


def _written(output: object, position: object) -> int:
    if isinstance(output, dict) and isinstance(output.get("batches"), int):
        return int(output["batches"])
    at = position[0] if isinstance(position, list) else position
    return at if isinstance(at, int) else 0


@requires_transaction
def resume(run: FlowRun, *, now: datetime) -> Job:
    """Take a failed run up again: finished steps are not run again. Wake the job after the commit.

    Raises RunNotFailed, engine.Permanent (its batches are gone), FlowInvalid, DefinitionChanged.
    """
    locked = FlowRun.objects.select_for_update().get(pk=run.pk)
    if locked.state != RunState.FAILED:
        raise RunNotFailed("Only a failed run is taken up again.")
    if not locked.keeps_batches:
        raise building.BatchesGone("What this run left in storage is gone: start a new run.")
    flow_of(locked)
    locked.state, locked.finished_at, locked.holder = RunState.QUEUED, None, None
    locked.error = locked.message = locked.failed_step = ""
    job = pipelines.employ(locked, now=now)
    locked.save()
    FlowCheckpoint.objects.filter(run=locked).update(finished_at=None)
    return job
