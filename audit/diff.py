"""What a record says has changed, field by field, for people to read. Pure.

A value may be withheld: `{"personal": true}` (there is one, nobody kept it), `{"sealed": "…"}` (kept under the
subject's key), `{"erased": true}` (its key is destroyed) or, opened, `{"unreadable": true}` (its key is missing).
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

ABSENT = object()


class Kind(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    SAME = "same"


class Seen(StrEnum):
    """How much of a value shows."""

    CLEAR = "clear"
    EMPTY = "empty"
    PERSONAL = "personal"
    SEALED = "sealed"
    ERASED = "erased"
    UNREADABLE = "unreadable"


WITHHELD = {
    Seen.EMPTY: "empty",
    Seen.PERSONAL: "personal value, not kept",
    Seen.SEALED: "sealed",
    Seen.ERASED: "erased",
    Seen.UNREADABLE: "cannot be opened now",
}


@dataclass(frozen=True, kw_only=True)
class Value:
    text: str
    seen: Seen = Seen.CLEAR

    @property
    def is_long(self) -> bool:
        return len(self.text) > 80 or "\n" in self.text


@dataclass(frozen=True, kw_only=True)
class Line:
    """One field, before and after; None where there was no such field."""

    name: str
    kind: Kind
    old: Value | None = None
    new: Value | None = None


def lines(*, changes: Any, before: Any, after: Any) -> list[Line]:
    """What changed first, in the order of names; then what stayed. An event shows what it says about itself."""
    if before is None and after is None:
        return _of_event(changes)
    old, new, named = _fields(before), _fields(after), _fields(changes)
    both = old.keys() & new.keys()
    found = [
        # Of a withheld value the record tells by name alone that it changed.
        _line(name, old.get(name, ABSENT), new.get(name, ABSENT), is_changed=name in both and name in named)
        for name in sorted(old.keys() | new.keys())
    ]
    return sorted(found, key=lambda line: line.kind == Kind.SAME)


def summary(changes: Any, *, most: int = 4) -> str:
    """The names of what changed, for a list."""
    names = sorted(changes) if isinstance(changes, dict) else []
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(str(name) for name in names[:most]) + more


def is_sealed(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("sealed"), str)


def shown(value: Any) -> Value:
    if seen := _withheld(value):
        return Value(text=WITHHELD[seen], seen=seen)
    if isinstance(value, str):
        return Value(text=value)
    if isinstance(value, dict | list):
        return Value(text=json.dumps(value, ensure_ascii=False, indent=2))
    return Value(text=json.dumps(value))


def _withheld(value: Any) -> Seen | None:
    if value is None or value == "":
        return Seen.EMPTY
    if value == {"personal": True}:
        return Seen.PERSONAL
    if value == {"erased": True}:
        return Seen.ERASED
    if value == {"unreadable": True}:
        return Seen.UNREADABLE
    return Seen.SEALED if is_sealed(value) else None


def _of_event(changes: Any) -> list[Line]:
    if not isinstance(changes, dict):
        return [] if changes is None else [Line(name="value", kind=Kind.ADDED, new=shown(changes))]
    found = []
    for name, value in changes.items():
        if isinstance(value, list) and len(value) == 2:
            found.append(_line(name, *value))
        else:
            found.append(Line(name=name, kind=Kind.ADDED, new=shown(value)))
    return found


def _line(name: str, old: Any, new: Any, *, is_changed: bool = False) -> Line:
    if old is ABSENT:
        return Line(name=name, kind=Kind.ADDED, new=shown(new))
    if new is ABSENT:
        return Line(name=name, kind=Kind.REMOVED, old=shown(old))
    if not is_changed and old == new and type(old) is type(new):
        return Line(name=name, kind=Kind.SAME, old=shown(old), new=shown(new))
    return Line(name=name, kind=Kind.CHANGED, old=shown(old), new=shown(new))


def _fields(row: Any) -> dict[str, Any]:
    return row if isinstance(row, dict) else {}
