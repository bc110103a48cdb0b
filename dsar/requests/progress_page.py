"""How far the work on a request is, as its page in the admin shows it: the worker's tries, and an erasure's steps."""

from typing import Any

from dsar.models import DsarRequest, ErasureStep, RequestType, Status, Step, StepState
from kaireon.jobs.models import Job
from kaireon.tenancy.context import requires_transaction

_LOOKS: dict[str, str] = {StepState.DONE: "done", StepState.FAILED: "failed", StepState.WAITING: "skipped"}


@requires_transaction
def page_of(row: DsarRequest) -> dict[str, Any]:
    steps = list(ErasureStep.objects.filter(request=row).in_order()) if row.request_type == RequestType.DELETE else []
    return {
        "work": _work(row),
        "steps": [_step(step) for step in steps],
        "turns": len({step.turn for step in steps}),
        "goes_on_at": goes_on_at(steps) if row.status == Status.FAILED else None,
    }


def goes_on_at(steps: list[ErasureStep]) -> Step | None:
    """The step that another try begins with; those before it stay done. None: nothing of it is done or left."""
    return next((Step(step.name) for step in steps if step.state != StepState.DONE), None)


def _work(row: DsarRequest) -> dict[str, Any] | None:
    """The job that answers it, while it has been tried without success."""
    job = Job.objects.filter(pk=row.job_ref).first() if row.job_ref and row.status != Status.COMPLETED else None
    if job is None or not job.attempts:
        return None
    return {
        "attempts": job.attempts,
        "error": job.error.replace("_", " "),
        "is_over": row.status == Status.FAILED,
        "due_at": job.due_at if job.error and row.status != Status.FAILED else None,
    }


def _step(step: ErasureStep) -> dict[str, Any]:
    return {
        "row": step,
        "title": Step(step.name).label,
        "look": _LOOKS[step.state],
        "state": step.get_state_display(),
        "error": step.error.replace("_", " "),
        "did": ", ".join(f"{count:,} {word}" for word, count in _counts(step)),
    }


def _counts(step: ErasureStep) -> list[tuple[str, int]]:
    """What a step that is done counted, in words; numbers of nothing are left out."""
    found = []
    for name, word in (("deleted", "erased"), ("reduced", "reduced"), ("retained", "kept"), ("wereMissing", "missing")):
        count = step.counts.get(name, 0)
        total = sum(count.values()) if isinstance(count, dict) else count
        if total:
            found.append((word, total))
    return found
