"""What a request came to, as its page in the admin shows it."""

from typing import Any

from customers.catalogue import CATALOGUE
from dsar.erasing import log_keys
from dsar.models import DsarRequest, RequestType

SECTION_TITLES = {e.section: e.title for e in CATALOGUE if e.section} | {"auditLogs": "Audit record"}


def page_of(row: DsarRequest) -> dict[str, Any]:
    return {"answer": _answer(row), "kept": _kept(row)}


def _answer(row: DsarRequest) -> list[tuple[str, int]]:
    """Rows by kind: exported, erased, or reduced to evidence."""
    if row.request_type != RequestType.DELETE:
        return sorted((SECTION_TITLES.get(name, name), count) for name, count in row.counts.items())
    erased = [(_title(name), count) for name, count in row.counts.get("deleted", {}).items() if count]
    reduced = [(f"{_title(name)}, reduced", count) for name, count in row.counts.get("reduced", {}).items() if count]
    return sorted(erased + reduced)


def _kept(row: DsarRequest) -> list[dict[str, Any]]:
    """What stayed, with the ground in words."""
    return [
        {**kept, "title": _title(kept["entity"]), "ground": kept["ground"].replace("_", " ")} for kept in row.retained
    ]


def _title(name: str) -> str:
    titles = {entity.name: entity.title for entity in CATALOGUE} | {log_keys.NAME: log_keys.TITLE}
    return titles.get(name, name)
