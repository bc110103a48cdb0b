"""A record as COPY sends it, and its two hashes: the arithmetic of audit.chain at the speed of reading. Pure.

What is derived here equals what audit.chain derives from the same row, for every row that the sequencer writes; of any
other row nothing is derived at all, so it cannot fit. Numbers that JSON does not carry exactly are such a case: the
sequencer stores them as text, so one that stands there as a number was put there.
"""

import json
import re
from collections.abc import Generator
from hashlib import sha256
from typing import Any, NoReturn

import orjson
from psycopg import Connection
from psycopg.abc import Buffer

from kaireon.lib.canonical import MAX_DEPTH, NotCanonical, canonical, loads_exact

# Text columns first: what follows the last three tabs is JSON.
_COPY = """
COPY (SELECT seq, id, action, entity_type, entity_id, entity_name, entity_version, user_id, user_name, actor_type,
             tenant_id, request_id, ("timestamp" AT TIME ZONE 'UTC')::text || 'Z', integrity_hash, prev_hash, leaf_hash,
             changes, before, after
        FROM public.audit_record WHERE tenant_id = %(tenant)s AND seq > %(after)s AND seq <= %(until)s ORDER BY seq)
  TO STDOUT (FORMAT text, ENCODING 'UTF8')
"""
# How the timestamp is spelled, whatever the role's own settings say.
_SPELLING = "SELECT set_config('datestyle', 'ISO, YMD', true)"

_NULL = "\\N"
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
# A number with a fraction, as jsonb prints it: what follows it ends a value, or the column. Some texts look like one.
_FRACTION = re.compile(r"\.\d+(?:[,\]}\t]|$)")
# What is nested too deeply has at least so many characters.
_MAYBE_DEEP = 2 * MAX_DEPTH
_WHOLE_MICROSECONDS = len("2026-01-15 09:00:00.000000Z")
_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER

# What a record says of itself: seq, id, prevHash and integrityHash; and its leaf hash, derived, or None when what it
# says of its hashes is not what they are. A plain tuple: there are a million of them.
Line = tuple[int, str, str, str, bytes | None]


def read(connection: Connection, tenant_id: str, after: int, until: int) -> Generator[Buffer, None, None]:
    """The lines of the records with `after` < seq <= `until`, in order; one record in memory at a time.

    The connection is in a transaction that knows the tenant. Close the iterator when it is not read to its end.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SPELLING)
        with cursor.copy(_COPY, {"tenant": tenant_id, "after": after, "until": until}) as copy:
            yield from copy


def derive(line: Buffer) -> Line:
    """Read a line and derive both hashes anew from what it says."""
    text = str(line, "utf-8")[:-1]
    fields: list[Any] = text.split("\t")
    escaped = text.count("\\") != fields.count(_NULL)
    if escaped:
        fields = [_text(field) if "\\" in field else field for field in fields]
    # fmt: off
    (
        seq, record_id, action, kind, entity_id, name, version, user_id, user_name, actor_type,
        tenant, request_id, at, integrity, prev, stored_leaf, changes, before, after,
    ) = fields
    # fmt: on
    if not escaped:
        # In the columns that may be null.
        name = None if name == _NULL else name
        version = None if version == _NULL else version
        user_id = None if user_id == _NULL else user_id
        request_id = None if request_id == _NULL else request_id
    number = int(seq)
    # Where the JSON begins: what stands before it is not looked through for fractions.
    start = 0 if escaped else len(text) - len(changes) - len(before) - len(after) - 2
    is_flat = len(text) - start < _MAYBE_DEEP or text.count("[", start) + text.count("{", start) <= MAX_DEPTH
    is_plain = is_flat and not _FRACTION.search(text, start)
    canonical_text = _plain_json if is_plain else canonical_json
    try:
        said = b"null" if changes is None or changes == _NULL else canonical_text(changes)
        before_said = b"null" if before is None or before == _NULL else canonical_text(before)
        # A creation's changes are the new row itself.
        after_said = said if after == changes else b"null" if after is None or after == _NULL else canonical_text(after)
        hashed = b"%b%b%b" % (
            f"{action}{kind}{entity_id or ''}{name or ''}".encode(),
            b"" if said == b"null" else said,
            f"{user_id or ''}{user_name or ''}{tenant or ''}{request_id or ''}{prev}".encode(),
        )
        if sha256(hashed).hexdigest() != integrity:
            return number, record_id, prev, integrity, None
        # In the order in which RFC 8785 has the keys.
        record = {
            "action": action,
            "actorType": actor_type,
            "after": orjson.Fragment(after_said),
            "before": orjson.Fragment(before_said),
            "changes": orjson.Fragment(said),
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
            "timestamp": at.replace(" ", "T") if len(at) == _WHOLE_MICROSECONDS else _timestamp(at),
            "userId": user_id,
            "userName": user_name,
        }
        leaf = sha256(b"\x00" + orjson.dumps(record)).digest()
    except (ValueError, TypeError, RecursionError):
        # Not what the sequencer writes. The exceptions carry what they met, so they go no further.
        return number, record_id, prev, integrity, None
    return number, record_id, prev, integrity, leaf if leaf.hex() == stored_leaf else None


def canonical_json(text: str) -> bytes:
    """`jsonb::text` as RFC 8785 writes it. Raises NotCanonical, ValueError or TypeError for what has no such form."""
    if len(text) > _MAYBE_DEEP and not text.startswith('"') and _is_deep(text):
        raise NotCanonical("nested deeper than anything that the log holds")
    return canonical(_exactly(text)) if _FRACTION.search(text) else _plain_json(text)


def _plain_json(text: str) -> bytes:
    """The same of what has no fractions in it and is not deep."""
    value = orjson.loads(text)
    # Beyond ASCII the order of keys may be another one.
    return orjson.dumps(value, option=_SORTED) if text.isascii() else canonical(value)


def _is_deep(text: str) -> bool:
    return text.count("[") + text.count("{") > MAX_DEPTH and type(loads_exact(text)) is str


def _text(field: str) -> str | None:
    if field == _NULL:
        return None
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), field)


def _timestamp(at: str) -> str:
    """As audit.chain.timestamp_text spells it; what is no ordinary moment comes out as something that nobody hashed."""
    moment = at[:-1]
    return (moment if "." in moment else f"{moment}.").ljust(_WHOLE_MICROSECONDS - 1, "0").replace(" ", "T") + "Z"


def _inexact(literal: str) -> NoReturn:
    raise NotCanonical("a number that JSON does not carry exactly")


def _whole(literal: str) -> int:
    number = loads_exact(literal)
    return number if type(number) is int else _inexact(literal)


def _fractional(literal: str) -> float:
    number = loads_exact(literal)
    return number if type(number) is float else _inexact(literal)


_exactly = json.JSONDecoder(parse_int=_whole, parse_float=_fractional, parse_constant=_inexact).decode
