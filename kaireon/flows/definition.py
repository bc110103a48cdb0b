"""What a flow is: named steps, one after the other or as a graph without cycles. Checked once, where it is made."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kaireon.lib.canonical import canonical

if TYPE_CHECKING:
    from kaireon.flows.engine import StepRun

MAX_STEPS = 100
STEP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class FlowInvalid(ValueError):
    """A definition that cannot run. `field` names the place in it, the message says what to change."""

    def __init__(self, field_name: str, message: str) -> None:
        super().__init__(message)
        self.field = field_name


@dataclass(frozen=True, kw_only=True)
class Step:
    """A name and what it does.

    `call` gets a StepRun and gives a small JSON value: a function, or a generator of `engine.Slice` that gives its
    value at the end. An `atomic` step works inside the transaction of its checkpoint, which is what keeps an effect in
    the database from happening twice; one that is not has no effect there, and may be begun again. `version` stands for
    the code of `call` and `params`: raise it when a finished step's output no longer means the same.
    """

    name: str
    call: Callable[["StepRun"], Any]
    needs: tuple[str, ...] = ()
    version: str = "1"
    kind: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    atomic: bool = True
    may_begin: bool = True


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Steps in the order they were written; `order` is the one they run in. Raises FlowInvalid when made wrongly."""

    name: str
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        validate(self.steps)

    @classmethod
    def linear(cls, name: str, *steps: Step) -> "Flow":
        """Each step needs the one before it."""
        return cls(name=name, steps=chained(steps))

    @cached_property
    def order(self) -> tuple[Step, ...]:
        """Every step after those it needs; otherwise as written, so that a run repeats itself."""
        return tuple(_ordered(self.steps))

    @cached_property
    def code_version(self) -> str:
        """SHA-256 of everything that decides what a checkpoint means: names, nodes, their versions, params, needs."""
        said = [[s.name, s.kind, s.version, dict(s.params), list(s.needs)] for s in self.steps]
        return hashlib.sha256(canonical([self.name, said])).hexdigest()


def chained(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps, each needing the one before."""
    found = list(steps)
    return tuple(replace(step, needs=(before.name,) if before else ()) for before, step in zip([None, *found], found))  # noqa: B905


def validate(steps: tuple[Step, ...]) -> None:
    """Raises FlowInvalid: too many steps or none, unfit or repeated names, unknown needs, cycles, unreachable steps."""
    if not 1 <= len(steps) <= MAX_STEPS:
        raise FlowInvalid("steps", f"must be 1 to {MAX_STEPS} steps, not {len(steps)}.")
    names: set[str] = set()
    for index, step in enumerate(steps):
        if not STEP_NAME.fullmatch(step.name):
            raise FlowInvalid(f"steps[{index}].name", "must be 1 to 64 letters, digits, '-' or '_'.")
        if step.name in names:
            raise FlowInvalid(f"steps[{index}].name", f"{step.name!r} is the name of an earlier step.")
        names.add(step.name)
    for index, step in enumerate(steps):
        _check_needs(f"steps[{index}].needs", step, names)
    ordered = {step.name for step in _ordered(steps)}
    for index, step in enumerate(steps):
        if step.name not in ordered:
            raise FlowInvalid(f"steps[{index}].needs", f"{step.name!r} is in a cycle, or waits for one.")


def _check_needs(place: str, step: Step, names: set[str]) -> None:
    for need in step.needs:
        if need not in names:
            raise FlowInvalid(place, f"there is no step {need[:64]!r}.")
    if len(set(step.needs)) != len(step.needs):
        raise FlowInvalid(place, "names a step twice.")
    if not step.needs and not step.may_begin:
        raise FlowInvalid(place, f"{step.name!r} is unreachable: nothing leads to it and it cannot begin.")


def _ordered(steps: tuple[Step, ...]) -> list[Step]:
    """Kahn's algorithm, first written first; what is in a cycle is left out."""
    done: set[str] = set()
    ordered: list[Step] = []
    waiting = list(steps)
    while ready := next((step for step in waiting if done.issuperset(step.needs)), None):
        waiting.remove(ready)
        done.add(ready.name)
        ordered.append(ready)
    return ordered
