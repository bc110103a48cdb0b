"""Running a flow: each step once, its effect and its checkpoint together, and on from there after any crash."""

import copy
import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from types import GeneratorType
from typing import Any
from uuid import UUID

from kaireon.flows.definition import Flow, Step
from kaireon.flows.store import Checkpoint, OutputNotStorable, OutputTooLarge, Store, storable
from kaireon.lib import clock

logger = logging.getLogger("kaireon.flows")


class DefinitionChanged(RuntimeError):
    """The run was begun with another definition, whose outputs this one cannot use. Clear it, or start a new run."""


class StepFailed(RuntimeError):
    """A step raised; the cause is in `__cause__`. Nothing of its last transaction stayed.

    `permanent`: trying again changes nothing.
    """

    def __init__(self, step: str, *, permanent: bool, message: str = "") -> None:
        super().__init__(f"Step {step!r} failed. {message}".strip())
        self.step = step
        self.permanent = permanent
        self.message = message


class Permanent(RuntimeError):
    """Raised by a step for what no further try will cure. The text is shown: nothing personal in it."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A part of a step that is done: where to go on, the rows it was about, how much of the step is done (0 to 1).

    With `position=None` the step is begun again after a crash.
    """

    position: Any = None
    share: float = 0.0
    rows_in: int = 0
    rows_out: int = 0
    rows_failed: int = 0


@dataclass(frozen=True, kw_only=True)
class StepRun:
    """What a step gets: the outputs of the steps it needs, by name, and its own position when it is resumed."""

    run_id: UUID
    step: Step
    inputs: Mapping[str, Any]
    position: Any = None
    totals: Checkpoint


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """Called around each step that is not finished yet.

    `before` may refuse it by raising. `after` runs in the step's last transaction: what it writes stays with the
    checkpoint, and when it raises the step has failed. `failed` runs after the rollback; what it raises is logged.
    """

    before: Callable[[UUID, Step], None] = field(default=lambda run_id, step: None)
    after: Callable[[UUID, Step, Any], None] = field(default=lambda run_id, step, output: None)
    failed: Callable[[UUID, Step, BaseException], None] = field(default=lambda run_id, step, error: None)


def run(
    flow: Flow,
    *,
    run_id: UUID,
    store: Store,
    hooks: Hooks | None = None,
    check: Callable[[], None] = lambda: None,
    passing: tuple[type[BaseException], ...] = (),
) -> dict[str, Any]:
    """Run what is not finished of the flow; the outputs of all its steps by name.

    With the same `run_id` finished steps are not run again and their outputs come from the store. `check` is called
    between transactions and may raise to stop; what is among `passing` is no failure of the step. Call it outside any
    transaction. Raises StepFailed, DefinitionChanged, and what `check` raises.
    """
    known = store.load(run_id)
    if any(found.code_version != flow.code_version for found in known.values()):
        raise DefinitionChanged(
            f"Run {run_id} of {flow.name!r} was begun with another definition than the present one: "
            "clear it, or start a new run."
        )
    outputs = {name: found.output for name, found in known.items() if found.done}
    work = _Work(flow, run_id, store, hooks or Hooks(), check)
    for step in flow.order:
        if step.name in outputs:
            continue
        check()
        # A copy for each: what one step does to its inputs is seen by no other, in this try or in the next.
        inputs = {need: copy.deepcopy(outputs[need]) for need in step.needs}
        begun = known.get(step.name) or Checkpoint(
            step=step.name, code_version=flow.code_version, started_at=clock.now()
        )
        try:
            outputs[step.name] = work.do(step, inputs, begun)
        except passing:
            raise
        except Exception as error:
            work.tell_failed(step, error)
            permanent = isinstance(error, Permanent | OutputTooLarge | OutputNotStorable)
            raise StepFailed(step.name, permanent=permanent, message=str(error) if permanent else "") from error
    return outputs


def clear(*, run_id: UUID, store: Store) -> None:
    """Forget what the run did, so that the next run of this id begins at the first step. Effects stay."""
    store.clear(run_id)


@dataclass(frozen=True)
class _Work:
    flow: Flow
    run_id: UUID
    store: Store
    hooks: Hooks
    check: Callable[[], None]

    def do(self, step: Step, inputs: Mapping[str, Any], begun: Checkpoint) -> Any:
        self.hooks.before(self.run_id, step)
        given = StepRun(run_id=self.run_id, step=step, inputs=inputs, position=begun.position, totals=begun)
        if not step.atomic:
            made = step.call(given)
            if isinstance(made, GeneratorType):
                return self._slices(step, made, begun)
            with self.store.transaction():
                return self._finish(step, begun, made)
        with self.store.transaction():
            # A generator does nothing yet; a function does its work here, in the transaction of its checkpoint.
            made = step.call(given)
            if not isinstance(made, GeneratorType):
                return self._finish(step, begun, made)
        return self._slices(step, made, begun)

    def _slices(self, step: Step, slices: Generator[Slice, None, Any], at: Checkpoint) -> Any:
        if at.position is None:
            # Begun again: what an earlier try counted is counted again.
            at = replace(at, rows_in=0, rows_out=0, rows_failed=0)
        around, behind = (self.store.transaction, nullcontext) if step.atomic else (nullcontext, self.store.transaction)
        with closing(slices):
            while True:
                with around():
                    try:
                        part = next(slices)
                    except StopIteration as end:
                        with behind():
                            return self._finish(step, at, end.value)
                    at = replace(
                        at,
                        position=part.position,
                        share=part.share,
                        rows_in=at.rows_in + part.rows_in,
                        rows_out=at.rows_out + part.rows_out,
                        rows_failed=at.rows_failed + part.rows_failed,
                    )
                    with behind():
                        self.store.save(self.run_id, storable(at))
                self.check()

    def _finish(self, step: Step, at: Checkpoint, output: Any) -> Any:
        finished = storable(replace(at, done=True, output=output, share=1.0))
        self.store.save(self.run_id, finished)
        self.hooks.after(self.run_id, step, copy.deepcopy(finished.output))
        return finished.output

    def tell_failed(self, step: Step, error: BaseException) -> None:
        try:
            self.hooks.failed(self.run_id, step, error)
        except Exception:
            logger.exception("flow_hook_failed", extra={"step": step.name})
