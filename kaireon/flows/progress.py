"""How far a run has come, from its checkpoints."""

from dataclasses import dataclass
from datetime import datetime

from kaireon.flows import building, nodes
from kaireon.flows.definition import FlowInvalid
from kaireon.flows.models import FlowCheckpoint, FlowRun, Pipeline, RunState
from kaireon.flows.nodes import Kind
from kaireon.tenancy.context import requires_transaction

STEP_STATES = ("waiting", "running", "done", "failed")


@dataclass(frozen=True, kw_only=True)
class StepProgress:
    name: str
    node: str
    state: str
    rows_in: int
    rows_out: int
    rows_failed: int
    percent: float


@dataclass(frozen=True, kw_only=True)
class Progress:
    """`rows_in` are those loaded, `rows_out` those written, `rows_failed` those refused anywhere.

    `eta_seconds` is None before there is anything to reckon from, and after the end. Steps count alike.
    """

    run: FlowRun
    rows_in: int
    rows_out: int
    rows_failed: int
    percent: float
    eta_seconds: int | None
    steps: list[StepProgress]


@requires_transaction
def of(run: FlowRun, *, now: datetime) -> Progress:
    known = {row.step: row for row in FlowCheckpoint.objects.filter(run=run).order_by("started_at", "pk")}
    kinds = _kinds(run) or dict.fromkeys(known, "")
    steps = [_step(name, node, known.get(name), run) for name, node in kinds.items()]
    share = sum(known[name].share for name in kinds if name in known) / max(1, len(kinds))
    share = 1.0 if run.state == RunState.DONE else min(share, 0.999)
    return Progress(
        run=run,
        rows_in=sum(s.rows_in for s in steps if _kind(s.node) == Kind.LOAD) if run.is_open else run.rows_in,
        rows_out=(
            sum(s.rows_out for s in steps if _kind(s.node) in (Kind.WRITE, Kind.WRITE_FILE))
            if run.is_open
            else run.rows_out
        ),
        rows_failed=sum(s.rows_failed for s in steps),
        percent=round(share * 100, 1),
        eta_seconds=_eta(run, share, now),
        steps=steps,
    )


def _kinds(run: FlowRun) -> dict[str, str]:
    """The steps the run has, in their order, and their nodes; nothing when its definition is no longer there."""
    pipeline = Pipeline.objects.filter(runs=run).first()
    if pipeline is None:
        return {}
    try:
        flow = building.build(pipeline.name, pipeline.definition)
    except FlowInvalid:
        return {}
    return {step.name: step.kind for step in flow.order} if flow.code_version == run.code_version else {}


def _kind(node: str) -> Kind | None:
    return nodes.get(node).kind if node else None


def _step(name: str, node: str, row: FlowCheckpoint | None, run: FlowRun) -> StepProgress:
    state = "waiting" if row is None else "done" if row.done else "running"
    if name == run.failed_step and state != "done":
        state = "failed"
    return StepProgress(
        name=name,
        node=node,
        state=state,
        rows_in=row.rows_in if row else 0,
        rows_out=row.rows_out if row else 0,
        rows_failed=row.rows_failed if row else 0,
        percent=round(row.share * 100, 1) if row else 0.0,
    )


def _eta(run: FlowRun, share: float, now: datetime) -> int | None:
    if run.state != RunState.RUNNING or run.started_at is None or share <= 0:
        return None
    elapsed = (now - run.started_at).total_seconds()
    return max(0, round(elapsed * (1 - share) / share))
