"""A plan of an erasure in words: what pages show of it."""

from typing import Any

from customers.catalogue import CATALOGUE, DATA_CLASSES, SAID
from dsar.erasing import log_keys, plans
from dsar.models import ErasurePlan

WORDS: dict[str, str] = {
    "erase": "Erased",
    "anonymise": "Cut loose from the person",
    "shred": "Name overwritten",
    "retain": "Kept",
}
OBJECT = "Object"


def page_of(plan: ErasurePlan) -> dict[str, Any]:
    return {
        "plan": plan,
        "frozen": not plan._state.adding,
        "totals": [(WORDS[action], count) for action, count in plans.totals(plan).items()],
        "lines": [
            {
                **item,
                "title": title_of(item["entity"]),
                "action": WORDS[item["action"]],
                "kind": item["action"],
                "about": DATA_CLASSES.get(item["dataClass"], ""),
                "ground": (item["ground"] or "").replace("_", " "),
            }
            for item in plan.items
        ],
    }


def title_of(name: str) -> str:
    """What officers call an entity of a plan, or what a finished erasure counted."""
    titles = {entity.name: entity.title for entity in (*CATALOGUE, *SAID)} | {log_keys.NAME: log_keys.TITLE}
    if name not in titles and name.endswith(OBJECT):
        return f"Stored file of: {titles.get(name.removesuffix(OBJECT), name)}"
    return titles.get(name, name)
