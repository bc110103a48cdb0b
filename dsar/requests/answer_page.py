"""What a request came to, as its page in the admin shows it."""

from typing import Any

from customers.catalogue import CATALOGUE
from dsar.erasing import grounds
from dsar.erasing.plan_page import title_of
from dsar.models import DsarRequest, RequestType, State

SECTION_TITLES = {e.section: e.title for e in CATALOGUE if e.section} | {"auditLogs": "Audit record"}
_ENDED_CONTACT = {
    "suppressions": "Suppression on every channel",
    "consentsWithdrawn": "Consents withdrawn",
    "tombstones": "Kept for whoever comes under this name",
}
GROUNDS: dict[str, str] = {
    grounds.LEGAL_HOLD: "legal hold",
    grounds.REFERRED_TO: "held rows refer to it",
    grounds.TELLS_OF_HELD_ROWS: "tells of held rows",
}


def page_of(row: DsarRequest) -> dict[str, Any]:
    return {"answer": _answer(row), "kept": _kept(row), "deferral": deferral(row)}


def ground_in_words(ground: str | None) -> str:
    return GROUNDS.get(ground or "", (ground or "").replace("_", " "))


def deferral(row: DsarRequest) -> str:
    """Why an erasure waits, and when that is expected to end; empty when it does not."""
    if row.state != State.DEFERRED or not row.retained:
        return ""
    why = ", ".join(dict.fromkeys(ground_in_words(kept["ground"]) for kept in row.retained))
    end = _end(row)
    return f"{why}, expected until {end}" if end else f"{why}, no end is known"


def _end(row: DsarRequest) -> str:
    """The day on which the last of the holds ends, or is looked at again; what depends on held rows goes with them."""
    ends = [kept["until"] for kept in row.retained if kept["ground"] == grounds.LEGAL_HOLD]
    return str(max(ends))[:10] if ends and all(ends) else ""


def _answer(row: DsarRequest) -> list[tuple[str, int]]:
    """Rows by kind: exported, erased, or reduced to evidence."""
    if row.request_type != RequestType.DELETE:
        titles = SECTION_TITLES | _ENDED_CONTACT
        return sorted((titles.get(name, name), count) for name, count in row.counts.items())
    erased = [(title_of(name), count) for name, count in row.counts.get("deleted", {}).items() if count]
    reduced = [(f"{title_of(name)}, reduced", count) for name, count in row.counts.get("reduced", {}).items() if count]
    return sorted(erased + reduced)


def _kept(row: DsarRequest) -> list[dict[str, Any]]:
    """What stayed, with the ground in words."""
    return [
        {**kept, "title": title_of(kept["entity"]), "ground": ground_in_words(kept["ground"])} for kept in row.retained
    ]
