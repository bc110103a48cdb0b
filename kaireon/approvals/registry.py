"""What can be asked for. Layers above register their verbs with `@approved` and are imported when Django is ready."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from kaireon.tenancy.confirming import Confirmation
from kaireon.tenancy.roles import Permission, Role, may

Payload = Mapping[str, Any]
Apply = Callable[[Payload], None]
Confirm = Callable[[Payload], Confirmation | None]

VALID_FOR = timedelta(days=7)
AT_ONCE = "The last approval does it at once."
_TWO = 2


class UnknownVerb(LookupError):
    """Nothing is registered under this name. The app that has it must import it in `AppConfig.ready`."""


class VerbTaken(ValueError):
    """Two functions were registered under one name."""


class StageNeverPassed(ValueError):
    """A stage asks for nobody, or for a role that may not decide. Give it a role or permission that may."""


class OneAlone(ValueError):
    """What no member asks for is decided by two at least: its stages must ask for two people together."""


class NotApplicable(Exception):
    """What was agreed cannot be done any more. `code` is a snake_case fact, stored and shown; nothing personal."""

    def __init__(self, code: str) -> None:
        super().__init__(code.replace("_", " "))
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Stage:
    """So many people (`yes`) with this role, or with this permission, must agree."""

    role: Role | None = None
    permission: Permission | None = None
    yes: int = 1

    def __post_init__(self) -> None:
        if (self.role is None) == (self.permission is None) or self.yes < 1:
            raise StageNeverPassed("A stage has a role or a permission, and asks for one yes at least.")
        if not any(self.takes(role) for role in Role):
            raise StageNeverPassed(f"Nobody who may decide is asked by {self.as_dict()}.")

    def takes(self, role: str) -> bool:
        """Whether somebody in this role may speak in this stage."""
        if not may(role, Permission.DECIDE_APPROVALS):
            return False
        return role == self.role if self.permission is None else may(role, self.permission)

    def as_dict(self) -> dict[str, Any]:
        asked = {"role": str(self.role)} if self.permission is None else {"permission": str(self.permission)}
        return {**asked, "yes": self.yes}


def stage_of(stored: Mapping[str, Any]) -> Stage:
    """A stage as a request keeps it."""
    return Stage(role=stored.get("role"), permission=stored.get("permission"), yes=stored["yes"])


@dataclass(frozen=True, kw_only=True)
class Verb:
    """`permission` is what the one who asks needs, then and when it is applied. `apply` runs in the transaction of the
    last yes, as the one who gave it, and raises NotApplicable when it cannot be done. `describe` gives one line about a
    payload, with nothing personal in it. `always`: it is never done by one alone, whatever the tenant demands.
    `then` tells who approves what their yes brings about. `confirm` gives what they are shown in the admin before that,
    and the words they type then; None, or no `confirm`: their yes is enough. `by_nobody`: no member asks for it, the
    product does, so that two at least must agree to what elsewhere one asks for and another agrees to.
    """

    name: str
    title: str
    permission: Permission
    stages: tuple[Stage, ...]
    valid_for: timedelta
    describe: Callable[[Payload], str]
    apply: Apply
    always: bool = False
    then: str = AT_ONCE
    confirm: Confirm | None = None
    by_nobody: bool = False


_verbs: dict[str, Verb] = {}


def approved(
    name: str,
    *,
    title: str,
    permission: Permission,
    describe: Callable[[Payload], str],
    stages: tuple[Stage, ...],
    valid_for: timedelta = VALID_FOR,
    always: bool = False,
    then: str = AT_ONCE,
    confirm: Confirm | None = None,
    by_nobody: bool = False,
) -> Callable[[Apply], Apply]:
    """Register the decorated function as what is done once everybody agreed.

    Raises VerbTaken, StageNeverPassed, OneAlone.
    """
    if not stages:
        raise StageNeverPassed(f"{name} asks nobody.")
    if by_nobody and sum(stage.yes for stage in stages) < _TWO:
        raise OneAlone(name)

    def register(apply: Apply) -> Apply:
        if name in _verbs:
            raise VerbTaken(name)
        _verbs[name] = Verb(
            name=name,
            title=title,
            permission=permission,
            stages=stages,
            valid_for=valid_for,
            describe=describe,
            apply=apply,
            always=always,
            then=then,
            confirm=confirm,
            by_nobody=by_nobody,
        )
        return apply

    return register


def get(name: str) -> Verb:
    """Raises UnknownVerb."""
    try:
        return _verbs[name]
    except KeyError as e:
        raise UnknownVerb(name) from e


def all_verbs() -> tuple[Verb, ...]:
    return tuple(_verbs.values())
