"""Marks of events: whether what a destination has says the same as what it was sent."""

import json
from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any

from audit.shipping.events import COLUMNS, HASHES, LARGE

# Whatever an event says: of a record, of a reduced one, of a receipt (but for the note, which its signature guards).
MEMBERS = frozenset(
    [
        *("eventId", "kind", "seq", "tenantId", "recordId", "timestamp", "entityVersion", *COLUMNS, *LARGE, *HASHES),
        *("truncated", "omitted", "wholeSha256", "wholeBytes"),
        *("firstSeq", "lastSeq", "records", "leavesHash"),
    ]
)


class Ambiguous(ValueError):
    """The text is no JSON object, or says something twice."""


def parse(text: str | bytes) -> dict[str, Any]:
    """What an event says, its numbers exact. Raises Ambiguous."""
    try:
        said = json.loads(
            text, parse_int=_whole_number, parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_once
        )
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise Ambiguous("it is not one JSON object") from error
    if not isinstance(said, dict):
        raise Ambiguous("it is not one JSON object")
    return said


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def mark(said: Mapping[str, Any]) -> str:
    """A hash of all that an event says, so that two are the same when their marks are.

    What the destination added does not count, nor how it spells numbers, nor whether what is null or empty is there:
    vendors leave such members out.
    """
    ours = {name: said[name] for name in MEMBERS & said.keys() if said[name] not in (None, "")}
    try:
        text = _canonical(ours)
    except RecursionError:
        # Too deep to be compared; the leaf hash covers it, where nobody changed that too.
        text = _canonical({name: value for name, value in ours.items() if not isinstance(value, list | dict)})
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(said: Mapping[str, Any]) -> str:
    return json.dumps(_plain(dict(said)), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | list | dict):
        return value
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, int):
        sign, every, exponent = value < 0, str(abs(value)), 0
    else:
        is_negative, digits, places = Decimal(str(value)).as_tuple()
        sign, every, exponent = bool(is_negative), "".join(map(str, digits)).lstrip("0"), int(places)
    kept = every.rstrip("0")
    power = exponent + len(every) - len(kept) if kept else 0
    return {"number": f"{'-' if sign and kept else ''}{kept or 0}e{power}"}


def _whole_number(text: str) -> int | Decimal:
    """Python refuses integers of thousands of digits, PostgreSQL does not."""
    return int(text) if len(text) < 1000 else Decimal(text)
