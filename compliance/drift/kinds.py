"""What can be declared in files, kind by kind. Each registers itself: those of upper layers from there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kaireon.tenancy.context import Actor

# By name, what is said of each: field and value.
Items = Mapping[str, Mapping[str, Any]]


class NotAppliable(ValueError):
    """What is declared cannot be brought about from here. `str()` of it says why, and what to do instead."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`fields` may be said of each, in this order. All run in a transaction, in the tenant's scope if it is of one.

    `actual` gives what is there; `check` raises ValueError, naming the field and the remedy; `put` brings one about as
    declared, `remove` takes one away, or puts it back, that is not declared: both raise NotAppliable.
    """

    name: str
    fields: tuple[str, ...]
    actual: Callable[[datetime], Items]
    check: Callable[[str, Mapping[str, Any]], None]
    put: Callable[[str, Mapping[str, Any], Actor, datetime], None]
    remove: Callable[[str, Actor, datetime], None]
    of_tenant: bool = True
    # Whether one that nobody declares is a difference.
    wants_declaring: Callable[[str], bool] = lambda name: True


KINDS: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    KINDS[kind.name] = kind
