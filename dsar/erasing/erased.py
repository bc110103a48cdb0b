"""What became of a person's rows, or would: by entity, class and action."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from dsar.erasing import grounds


class Action(StrEnum):
    """What becomes of rows."""

    ERASE = "erase"
    ANONYMISE = "anonymise"  # they stay, cut loose from the person
    SHRED = "shred"  # they stay, what names the person is overwritten
    RETAIN = "retain"


class Why(NamedTuple):
    """Why rows stay, and until when where that is known."""

    ground: str
    until: str | None = None


@dataclass(kw_only=True)
class Erased:
    """What became of the rows, by entity. `reduced` stay without the person; `retained` stay as they were.

    `items` says the same by entity, class and action: it is what a plan shows.
    """

    deleted: dict[str, int] = field(default_factory=dict)
    reduced: dict[str, int] = field(default_factory=dict)
    retained: list[dict[str, Any]] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)

    def retain(self, name: str, count: int, ground: str, until: str | None = None) -> None:
        same = next((r for r in self.retained if (r["entity"], r["ground"]) == (name, ground)), None)
        if same is not None:
            same["count"] += count
            same["until"] = grounds.later(same["until"], until)
        elif count:
            self.retained.append({"entity": name, "count": count, "ground": ground, "until": until})

    def note(self, name: str, data_class: str, action: Action, count: int, *, why: Why | None = None) -> None:
        """One line of what becomes of an entity's rows of a class. Nothing, when there are none."""
        ground, until = (why.ground, why.until) if why else (None, None)
        key = (name, data_class, action, ground)
        same = next((i for i in self.items if (i["entity"], i["dataClass"], i["action"], i["ground"]) == key), None)
        if same is not None:
            same["count"] += count
            same["until"] = grounds.later(same["until"], until)
        elif count:
            said = {"entity": name, "dataClass": data_class, "action": str(action), "count": count}
            self.items.append({**said, "ground": ground, "until": until})

    @property
    def took(self) -> bool:
        """Whether anything went."""
        return any(item["action"] != Action.RETAIN for item in self.items)

    def sums(self) -> dict[str, Any]:
        kept = sum(entry["count"] for entry in self.retained)
        return {"deleted": self.deleted, "reduced": self.reduced, "retained": kept}

    def add(self, other: "Erased") -> None:
        self.deleted = added(self.deleted, other.deleted)
        self.reduced = added(self.reduced, other.reduced)
        for entry in other.retained:
            self.retain(entry["entity"], entry["count"], entry["ground"], entry["until"])
        for item in other.items:
            why = Why(item["ground"], item["until"]) if item["ground"] else None
            self.note(item["entity"], item["dataClass"], item["action"], item["count"], why=why)


def added(before: dict[str, int] | None, more: dict[str, int]) -> dict[str, int]:
    before = before or {}
    return {name: before.get(name, 0) + more.get(name, 0) for name in {**before, **more}}
