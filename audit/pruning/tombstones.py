"""What stands in place of a removed prefix: a signed note that says which, by whose yes, and where it lies. Pure.

The format is docs/evidence.md. The first line keeps the statement apart from everything else that the log's key signs.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from audit.tree import notes
from kaireon.lib.canonical import canonical

HEADER = "kaireon tombstone v1"

FIELDS = frozenset(
    (
        "tenantId",
        "origin",
        "firstSeq",
        "lastSeq",
        "records",
        "rootHash",
        "lastIntegrityHash",
        "oldest",
        "newest",
        "policy",
        "approval",
        "archive",
        "prunedAt",
    )
)


class NotATombstone(ValueError):
    """The note does not have the form of a tombstone, or none of the log's keys signed it. The message says which."""


def text(said: Mapping[str, Any]) -> str:
    """What is signed: the header, and canonical JSON in one line."""
    if said.keys() != FIELDS:
        raise NotATombstone(f"a tombstone has the fields {', '.join(sorted(FIELDS))}")
    return f"{HEADER}\n{canonical(dict(said)).decode()}\n"


def parse(note: str, keys: Iterable[notes.PublicKey]) -> dict[str, Any]:
    """What the tombstone says, when one of the keys signed it. Raises NotATombstone."""
    try:
        parsed = notes.Note.parse(note)
        lines = parsed.text.split("\n")
        said = json.loads(lines[1]) if len(lines) == 3 and lines[0] == HEADER else None
    except (notes.BadNote, ValueError, RecursionError) as error:
        raise NotATombstone("it is not a signed note of a tombstone") from error
    if not isinstance(said, dict) or said.keys() != FIELDS:
        raise NotATombstone("it does not have the fields of a tombstone")
    for key in keys:
        try:
            parsed.check(key)
        except notes.NotSigned:
            continue
        if text(said) != parsed.text or key.name != said["origin"]:
            raise NotATombstone("it is not the one text of what it says, or of another log")
        return said
    raise NotATombstone("none of the log's keys signed it")
