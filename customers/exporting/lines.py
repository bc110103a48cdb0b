"""The lines of an exported file: one interaction each, spelled by PostgreSQL; numbers that JSON cannot carry are text.

The first three members have a fixed length, so that whoever looks for a person in a file need not parse it.
"""

import json
import re
from collections.abc import Collection, Iterable
from uuid import UUID

from django.db import connection

from audit import copied
from customers.exporting.arrivals import Piece
from kaireon.lib.canonical import SAFE_INTEGER, loads_exact
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

_OUR_OWN = "{}"
_MOMENT = """to_char({}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
_TEXT = "to_json({})"
_JSON = "coalesce({}, 'null')"
_NUMERIC = """coalesce('"' || {} || '"', 'null')"""
_INTEGER = (
    f"CASE WHEN {{0}} IS NULL THEN 'null' WHEN {{0}} BETWEEN -{SAFE_INTEGER} AND {SAFE_INTEGER} THEN {{0}}::text"
    """ ELSE '"' || {0} || '"' END"""
)
# Members of a line, in order: the column that each is of, and how it is spelled in a session on UTC.
FIELDS = {
    "id": ("i.id", _OUR_OWN),
    "customerRef": ("i.customer_id", _OUR_OWN),
    "occurredAt": ("i.occurred_at", _MOMENT),
    "customerId": ("c.customer_id", _TEXT),
    "kind": ("i.kind", _TEXT),
    "channel": ("i.channel", _TEXT),
    "offer": ("i.offer", _TEXT),
    "quantity": ("i.quantity", _INTEGER),
    "amount": ("i.amount", _NUMERIC),
    "currency": ("i.currency", _TEXT),
    "externalId": ("i.external_id", _TEXT),
    "context": ("i.context", _JSON),
    "createdAt": ("i.created_at", _MOMENT),
}
# {"id":"0198…","customerRef":"0197…","occurredAt":"2026-11-02T10:00:00.000000Z",…
_ID = slice(7, 43)
_REF = slice(60, 96)
_AT = slice(112, 139)
# …,"context":{…},"createdAt":"2026-11-02T10:00:00.000000Z"}. Only what stands unescaped can be the name of a member.
_CONTEXT = b',"context":'
_CREATED = slice(-29, -2)
_CREATED_BYTES = len(',"createdAt":"2026-11-02T10:00:00.000000Z"}')
# Of a row of the binary format, before its one value; and of rows handled at once.
_BEFORE_BYTES = 6
_BLOCK_BYTES = 64 * 1024
# What a number has that a double might not: jsonb prints numbers without exponents. Found in all lines at once by
# making nought of every digit and every dot.
_NOUGHTS = b"0" * 16
_TO_NOUGHTS = bytes(ord("0") if chr(byte) in "0123456789." else ord(" ") for byte in range(256))
_MANY_DIGITS = re.compile(rb"[0-9.]{16}")
# Eight bytes of an id, the random ones: what tells in which file somebody is.
_MARK_BYTES = 8


def _line() -> str:
    """SQL of a line. `concat` knows how to spell each type after the first row."""
    parts, before = [], "{"
    for name, (column, spelling) in FIELDS.items():
        # These are never null and need no escapes.
        quote = '"' if spelling in (_OUR_OWN, _MOMENT) else ""
        parts += [f"""'{before}"{name}":{quote}'""", spelling.format(column)]
        before = f"{quote},"
    return f"concat({', '.join(parts)}, '{before[:-1]}}}')"


_READ = f"""
COPY (SELECT {_line()}
        FROM public.customers_interaction i
        JOIN public.customers_customer c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id
       WHERE i.tenant_id = %(tenant)s AND (i.arrival, i.id) > (%(after)s, %(after_id)s)
         AND (i.arrival, i.id) <= (%(until)s, %(until_id)s)
       ORDER BY i.arrival, i.id) TO STDOUT (FORMAT binary)
"""  # noqa: S608 - columns named above


@requires_transaction
def read(wanted: Piece) -> list[bytes]:
    """The rows of a piece that are there now, in order, one line each, without line ends.

    Call it behind arrivals.read_along_the_index.
    """
    given = {
        "after": wanted.after.arrival,
        "after_id": wanted.after.last_id,
        "until": wanted.until.arrival,
        "until_id": wanted.until.last_id,
        "tenant": context.tenant_id(),
    }
    found: list[bytes] = []
    with connection.cursor() as cursor, cursor.copy(_READ, given) as copy:
        for rows in copied.binary(copy, size=_BLOCK_BYTES):
            some = [bytes(row[_BEFORE_BYTES:]) for row in rows]
            found += some if _NOUGHTS not in b",".join(some).translate(_TO_NOUGHTS) else map(_exact, some)
    return found


def _exact(line: bytes) -> bytes:
    """The line with a number of others' that a double would change as text."""
    if not _MANY_DIGITS.search(line, line.index(_CONTEXT)):
        return line
    return json.dumps(loads_exact(line.decode()), ensure_ascii=False, separators=(",", ":")).encode()


def span(lines: list[bytes]) -> tuple[str | None, str | None]:
    """The earliest and the latest `occurredAt`. RFC 3339 in one form sorts as text."""
    moments = [line[_AT] for line in lines]
    return (min(moments).decode(), max(moments).decode()) if moments else (None, None)


def id_of(line: bytes) -> UUID:
    return UUID(line[_ID].decode())


def ref_of(line: bytes) -> str:
    return line[_REF].decode()


def parted(line: bytes) -> tuple[bytes, bytes, bytes]:
    """The object of the members before `context`, `context` as it is spelled, and `createdAt`."""
    at = line.index(_CONTEXT)
    return line[:at] + b"}", line[at + len(_CONTEXT) : -_CREATED_BYTES], line[_CREATED]


def marks(lines: Iterable[bytes]) -> bytes:
    """Whose lines these are, so short that a search through all files is one through a few megabytes."""
    # Of the text: eight bytes are its last sixteen digits, four before the last hyphen and twelve behind it.
    found = {ref[19:23] + ref[24:] for ref in {line[_REF] for line in lines}}
    return bytes.fromhex(b"".join(sorted(found)).decode())


def mark(ref: UUID) -> bytes:
    return ref.bytes[-_MARK_BYTES:]


def is_marked(subjects: bytes, refs: Collection[UUID]) -> bool:
    there = {subjects[at : at + _MARK_BYTES] for at in range(0, len(subjects), _MARK_BYTES)}
    return any(mark(ref) in there for ref in refs)
