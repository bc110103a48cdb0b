"""What runs of pipelines left behind that names a person: checkpoints, and rows in storage between their steps."""

from collections.abc import Iterator
from uuid import UUID

from kaireon.flows import batches, execution
from kaireon.flows.models import FlowCheckpoint, FlowRun, Pipeline
from kaireon.lib.naming import Names
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction
from kaireon.tenancy.managers import TenantQuerySet


@requires_transaction
def saying() -> TenantQuerySet[FlowCheckpoint]:
    """The checkpoints that say anything."""
    return FlowCheckpoint.objects.exclude(output__isnull=True, position__isnull=True)


@requires_transaction
def keeping_batches() -> TenantQuerySet[FlowRun]:
    """The runs that may have rows in storage."""
    return FlowRun.objects.filter(keeps_batches=True)


@requires_transaction
def checkpoints(names: Names) -> list[UUID]:
    """Those whose output or position names the person. A run that goes on without one does that step again."""
    found = saying().order_by("pk").values_list("pk", "output", "position").iterator(chunk_size=2000)
    return [pk for pk, output, position in found if names.said_in([output, position])]


@without_transaction
def take_rows(names: Names) -> int:
    """Take the rows that name the person out of the batches that runs have in storage; how many.

    Others' rows stay, each with its line, so that a run goes on. What a run was refused is noted without its values.
    """
    with transaction():
        runs = list(keeping_batches().order_by("pk"))
    return sum(_take(run, step, number, names) for run in runs for step, number in _stored(run))


def _stored(run: FlowRun) -> Iterator[tuple[str, int]]:
    """What each step may have written, one more than it noted: a worker may have ended in between."""
    with transaction():
        pipeline = Pipeline.objects.filter(runs=run).first()
        counts = execution.written_by_step(run)
    named = [step.get("name", "") for step in pipeline.definition.get("steps", [])] if pipeline else []
    for step in sorted({*counts, *named}):
        yield from ((step, number) for number in range(counts.get(step, 0) + 1))


def _take(run: FlowRun, step: str, number: int, names: Names) -> int:
    if not any(names.said_in(row) for _, row in _read(run, step, number)):
        return 0
    with transaction():
        # Whoever misses the batch while it is written anew waits for this lock, and looks again.
        FlowRun.objects.select_for_update().get(pk=run.pk)
        rows = _read(run, step, number)
        kept = [(line, row) for line, row in rows if not names.said_in(row)]
        if len(kept) < len(rows):
            batches.write(run.pk, step, number, kept)
    return len(rows) - len(kept)


def _read(run: FlowRun, step: str, number: int) -> list[batches.Numbered]:
    try:
        return batches.read(run.pk, step, number)
    except FileNotFoundError:
        # Not written, or gone with the end of the run.
        return []
