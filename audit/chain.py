"""The arithmetic of the log: what is hashed, and how. Pure; writer and verifier share this and nothing else."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NewType

import orjson

from kaireon.lib import clock
from kaireon.lib.canonical import LoneSurrogate, NotCanonical, canonical

# What the first record of a log names as the one before it.
GENESIS = "genesis"

# Every field of a record, as it is named on the wire and in the leaf.
RECORD_FIELDS = frozenset(
    (
        "id",
        "seq",
        "action",
        "entityType",
        "entityId",
        "entityName",
        "changes",
        "before",
        "after",
        "entityVersion",
        "userId",
        "userName",
        "actorType",
        "tenantId",
        "requestId",
        "timestamp",
        "integrityHash",
        "prevHash",
    )
)

_LARGE = frozenset(("changes", "before", "after"))
_LEAF = b"\x00"
_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


# JSON that `canonical` wrote, to be taken over as it is.
Canonical = NewType("Canonical", bytes)


class IncompleteRecord(ValueError):
    """A leaf covers the whole record, null fields included. The message names what is missing."""


# RFC 3339 in UTC with six decimals and Z: the one spelling of a record's `timestamp`.
timestamp_text = clock.rfc3339


def integrity_hash(
    *,
    action: str,
    entity_type: str,
    entity_id: str | None,
    entity_name: str | None,
    changes: Any,
    user_id: str | None,
    user_name: str | None,
    tenant_id: str | None,
    request_id: str | None,
    prev_hash: str,
) -> str:
    """Lowercase hex SHA-256 over the ten fields joined in this order, null as the empty string.

    `changes` goes in as canonical JSON, or is Canonical already. The fields are joined without separators and the
    timestamp is not among them, so this alone does not protect a record: the leaf hash does. Raises NotCanonical for
    what has no canonical form.
    """
    said = b"" if changes is None else changes if type(changes) is bytes else canonical(changes)
    try:
        about = f"{action}{entity_type}{entity_id or ''}{entity_name or ''}".encode()
        context = f"{user_id or ''}{user_name or ''}{tenant_id or ''}{request_id or ''}{prev_hash}".encode()
    except UnicodeEncodeError:
        # `from None`: the exception underneath carries the record's text.
        raise LoneSurrogate("a field of the record holds half of a surrogate pair") from None
    return sha256(b"%b%b%b" % (about, said, context)).hexdigest()


def record_bytes(record: Mapping[str, Any]) -> bytes:
    """The exact bytes a leaf hashes: canonical JSON of the whole record, `changes` and the like as JSON values.

    Raises IncompleteRecord when one of RECORD_FIELDS is absent (null is not), NotCanonical for what has no such form.
    """
    if not record.keys() >= RECORD_FIELDS:
        raise IncompleteRecord(f"a record needs {', '.join(sorted(RECORD_FIELDS - record.keys()))}")
    return canonical(record if type(record) is dict else dict(record))


def leaf_hash(record: Mapping[str, Any]) -> str:
    """Lowercase hex of the record's Merkle leaf (RFC 6962 section 2.1): SHA-256 of a zero byte and `record_bytes`."""
    return sha256(_LEAF + record_bytes(record)).hexdigest()


def leaf_hash_around(
    record: dict[str, Any], *, changes: Canonical | None, before: Canonical | None, after: Canonical | None
) -> str:
    """The leaf hash of a record whose three large fields are canonical JSON already.

    `record` has all the others: texts, whole numbers within ±(2^53-1), None. Raises as `record_bytes` does.
    """
    if len(record) + len(_LARGE) != len(RECORD_FIELDS):
        raise IncompleteRecord(f"a record around {', '.join(sorted(_LARGE))} needs all other fields and no more")
    whole = {
        **record,
        "after": None if after is None else orjson.Fragment(after),
        "before": None if before is None else orjson.Fragment(before),
        "changes": None if changes is None else orjson.Fragment(changes),
    }
    if whole.keys() != RECORD_FIELDS:
        raise IncompleteRecord(f"a record around {', '.join(sorted(_LARGE))} needs all other fields and no more")
    try:
        # All names are ASCII, whose order is one everywhere.
        said = orjson.dumps(whole, option=_SORTED)
    except orjson.JSONEncodeError:
        # `from None`: the exception underneath carries the record's text.
        raise NotCanonical("a field of the record has no canonical form") from None
    return sha256(_LEAF + said).hexdigest()
