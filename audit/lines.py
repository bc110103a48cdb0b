"""A record as COPY sends it, and its two hashes: the arithmetic of audit.chain at the speed of reading. Pure.

What is derived here equals what audit.chain derives from the same row, for every row that the sequencer writes; of any
other row nothing is derived at all, so it cannot fit. Numbers that JSON does not carry exactly are such a case: the
sequencer stores them as text, so one that stands there as a number was put there.
"""

import json
import re
from collections.abc import Generator
from hashlib import sha256
from typing import Any, NamedTuple, NoReturn

import orjson
from psycopg import Connection

from kaireon.lib.canonical import MAX_DEPTH, NotCanonical, canonical, loads_exact

# Text columns first: what follows the last three tabs is JSON.
_COPY = """
COPY (SELECT seq, id, action, entity_type, entity_id, entity_name, entity_version, user_id, user_name, actor_type,
             tenant_id, request_id, "timestamp" AT TIME ZONE 'UTC', integrity_hash, prev_hash, leaf_hash,
             changes, before, after
        FROM public.audit_record WHERE tenant_id = %(tenant)s AND seq > %(after)s AND seq <= %(until)s ORDER BY seq)
  TO STDOUT (FORMAT text, ENCODING 'UTF8')
"""
# How the timestamp is spelled, whatever the role's own settings say.
_SPELLING = "SELECT set_config('datestyle', 'ISO, YMD', true)"

_NULL = b"\\N"
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
# A number with a fraction, as jsonb prints it: what follows it ends a value. Some texts look like one, too.
_FRACTION = re.compile(rb"\.\d+(?:[,\]}]|$)")
_WHOLE_MICROSECONDS = len("2026-01-15 09:00:00.000000")
_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


class Line(NamedTuple):
    """What a record says of its place, and its leaf hash; None when what it says of its hashes is not what they are."""

    seq: int
    id: str
    prev_hash: str
    integrity_hash: str
    leaf: bytes | None


def read(connection: Connection, tenant_id: str, after: int, until: int) -> Generator[bytes, None, None]:
    """The lines of the records with `after` < seq <= `until`, in order; one record in memory at a time.

    The connection is in a transaction that knows the tenant. Close the iterator when it is not read to its end.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SPELLING)
        with cursor.copy(_COPY, {"tenant": tenant_id, "after": after, "until": until}) as copy:
            yield from map(bytes, copy)


def derive(line: bytes) -> Line:
    """Read a line and derive both hashes anew from what it says."""
    head, changes, before, after = line[:-1].rsplit(b"\t", 3)
    fields: list[Any] = head.decode().split("\t")
    if b"\\" in head:
        fields = [_text(field) if field and "\\" in field else field for field in fields]
    (seq, record_id, action, kind, entity_id, name, version, user_id, user_name) = fields[:9]
    (actor_type, tenant, request_id, at, integrity, prev, stored_leaf) = fields[9:]
    number = int(seq or 0)
    try:
        changes = _json(changes)
        joined = (
            f"{action}{kind}{entity_id or ''}{name or ''}".encode(),
            b"" if changes == b"null" else changes,
            f"{user_id or ''}{user_name or ''}{tenant or ''}{request_id or ''}{prev}".encode(),
        )
        if sha256(b"".join(joined)).hexdigest() != integrity:
            return Line(number, record_id, prev, integrity, None)
        record = {
            "action": action,
            "actorType": actor_type,
            "after": orjson.Fragment(_json(after)),
            "before": orjson.Fragment(_json(before)),
            "changes": orjson.Fragment(changes),
            "entityId": entity_id,
            "entityName": name,
            "entityType": kind,
            "entityVersion": None if version is None else int(version),
            "id": record_id,
            "integrityHash": integrity,
            "prevHash": prev,
            "requestId": request_id,
            "seq": number,
            "tenantId": tenant,
            "timestamp": _timestamp(at),
            "userId": user_id,
            "userName": user_name,
        }
        leaf = sha256(b"\x00" + orjson.dumps(record)).digest()
    except (ValueError, TypeError, RecursionError):
        # Not what the sequencer writes. The exceptions carry what they met, so they go no further.
        return Line(number, record_id, prev, integrity, None)
    return Line(number, record_id, prev, integrity, leaf if leaf.hex() == stored_leaf else None)


def canonical_json(text: bytes) -> bytes:
    """`jsonb::text` as RFC 8785 writes it. Raises NotCanonical, ValueError or TypeError for what has no such form."""
    brackets = text.count(b"[") + text.count(b"{")
    if brackets > MAX_DEPTH and not text.startswith(b'"') and type(loads_exact(text.decode())) is str:
        raise NotCanonical("nested deeper than anything that the log holds")
    if _FRACTION.search(text):
        return canonical(_exactly(text.decode()))
    if text.isascii():
        return orjson.dumps(orjson.loads(text), option=_SORTED)
    # Beyond ASCII the order of keys may be another one.
    return canonical(orjson.loads(text))


def _json(field: bytes) -> bytes:
    if field == _NULL:
        return b"null"
    # jsonb prints control characters as escapes of its own, so COPY has nothing to escape but backslashes.
    return canonical_json(field.replace(b"\\\\", b"\\") if b"\\" in field else field)


def _text(field: str) -> str | None:
    if field == "\\N":
        return None
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), field)


def _timestamp(at: str | None) -> str | None:
    """As audit.chain.timestamp_text spells it; what is no ordinary moment comes out as something that nobody hashed."""
    if at is None:
        return None
    if len(at) != _WHOLE_MICROSECONDS:
        at = (at if "." in at else f"{at}.").ljust(_WHOLE_MICROSECONDS, "0")
    return f"{at[:10]}T{at[11:]}Z"


def _inexact(literal: str) -> NoReturn:
    raise NotCanonical("a number that JSON does not carry exactly")


def _whole(literal: str) -> int:
    number = loads_exact(literal)
    return number if type(number) is int else _inexact(literal)


def _fractional(literal: str) -> float:
    number = loads_exact(literal)
    return number if type(number) is float else _inexact(literal)


_exactly = json.JSONDecoder(parse_int=_whole, parse_float=_fractional, parse_constant=_inexact).decode
