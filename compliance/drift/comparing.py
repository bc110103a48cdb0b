"""What differs between what is declared and what is there. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from compliance.drift.kinds import Items

What = Literal["changed", "missing", "undeclared"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`fields`: of each that differs, what is declared and what is there; None on a side where nothing is."""

    kind: str
    name: str
    what: What
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """`{kind, name, what, fields: {field: {declared, actual}}}`"""
        fields = {name: {"declared": said, "actual": found} for name, (said, found) in self.fields.items()}
        return {"kind": self.kind, "name": self.name, "what": self.what, "fields": fields}

    def line(self) -> str:
        """For people: `~ retention/interactions: days 365, is 30`."""
        sign = {"changed": "~", "missing": "+", "undeclared": "-"}[self.what]
        said = ", ".join(_told(name, *pair) for name, pair in self.fields.items())
        return f"{sign} {self.kind}/{self.name}: {said}"


def compare(
    kind: str, declared: Items, actual: Items, *, wants_declaring: Callable[[str], bool] = lambda name: True
) -> list[Difference]:
    """In the order of names. A field that the declaration does not say is nobody's difference."""
    found = []
    for name in sorted({*declared, *actual}):
        if name not in actual:
            fields = {field: (value, None) for field, value in declared[name].items()}
            found.append(Difference(kind=kind, name=name, what="missing", fields=fields))
        elif name not in declared and not wants_declaring(name):
            continue
        elif name not in declared:
            fields = {field: (None, value) for field, value in actual[name].items()}
            found.append(Difference(kind=kind, name=name, what="undeclared", fields=fields))
        else:
            said, there = declared[name], actual[name]
            fields = {field: (said[field], there.get(field)) for field in said if said[field] != there.get(field)}
            if fields:
                found.append(Difference(kind=kind, name=name, what="changed", fields=fields))
    return found


def _told(name: str, declared: Any, actual: Any) -> str:
    if actual is None:
        return f"{name} {declared}"
    return f"{name} is {actual}" if declared is None else f"{name} {declared}, is {actual}"
