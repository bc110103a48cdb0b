"""A certificate as a page to print, and what pages show of it. All of it comes from the signed bytes."""

import json
from datetime import datetime
from typing import Any

from django.template.loader import render_to_string

from dsar.certifying.statement import TITLES, WORDS
from dsar.deadlines import law_pack
from dsar.models import Certificate, Effort, NoticeState
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.models import Tenant


def shown(row: Certificate) -> dict[str, Any]:
    """What a template needs: the statement, with its counts by title and its moments as such."""
    whole = json.loads(bytes(row.content))
    said = whole["certificate"]
    counts = said["counts"]
    return {
        "row": row,
        "said": said,
        "law": law_pack(said["regulation"]).title,
        "outcome": WORDS.get(said["outcome"], said["outcome"]),
        "deleted": _counted(counts.get("deleted", {})),
        "reduced": _counted(counts.get("reduced", {})),
        "deleted_in_all": sum(counts.get("deleted", {}).values()),
        "objects": counts.get("objects", {}),
        "exports": counts.get("exports", {}),
        "retained": [_retained(entry) for entry in said["retained"]],
        "passes": [
            {"at": datetime.fromisoformat(each["at"]), "retained": [_retained(entry) for entry in each["retained"]]}
            for each in said["passes"]
        ],
        # A certificate of the first format says nothing of them.
        "recipients": [_told(each) for each in said.get("recipients", [])],
        "times": {name: datetime.fromisoformat(at) for name, at in said["times"].items() if at and name != "dueOn"},
        "due_on": said["times"]["dueOn"],
        "keys": [
            {**each, "destroyedAt": datetime.fromisoformat(each["destroyedAt"])} for each in said["keysDestroyed"]
        ],
        "checkpoint": whole["checkpoint"],
        "record": whole["record"],
        "signer": next(key for key in whole["keys"]["keys"] if key["keyId"] == row.key_id),
    }


@requires_transaction
def as_html(row: Certificate) -> str:
    """A page that stands alone; the JSON beside it is what is signed."""
    return render_to_string("dsar/certificate.html", {**shown(row), "tenant": Tenant.objects.get()})


def _counted(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted((TITLES.get(name, name), count) for name, count in counts.items() if count)


def _told(each: dict[str, Any]) -> dict[str, Any]:
    return {
        **each,
        "outcome": NoticeState(each["outcome"]).label,
        "effort": Effort(each["effort"]).label if each["effort"] else "",
        "at": datetime.fromisoformat(each["at"]) if each["at"] else None,
    }


def _retained(entry: dict[str, Any]) -> dict[str, Any]:
    ground = str(entry.get("ground", ""))
    return {**entry, "title": TITLES.get(entry["entity"], entry["entity"]), "ground": ground.replace("_", " ")}
