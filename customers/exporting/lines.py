"""The lines of an exported file: one interaction each, spelled by PostgreSQL (see customers/spelling.py).

The first three members have a fixed length, so that whoever looks for a person in a file need not parse it.
"""

import gzip
import json
from collections.abc import Collection, Iterable
from uuid import UUID

from customers import spelling
from customers.exporting.arrivals import Piece
from customers.models import Customer, Interaction
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

# Members of a line, in order, with the column they are of.
FIELDS = {
    "id": ("i.id", "id"),
    "customerRef": ("i.customer_id", "customer"),
    "occurredAt": ("i.occurred_at", "occurred_at"),
    "customerId": ("c.customer_id", ""),
    "kind": ("i.kind", "kind"),
    "channel": ("i.channel", "channel"),
    "offer": ("i.offer", "offer"),
    "quantity": ("i.quantity", "quantity"),
    "amount": ("i.amount", "amount"),
    "currency": ("i.currency", "currency"),
    "externalId": ("i.external_id", "external_id"),
    "context": ("i.context", "context"),
    "createdAt": ("i.created_at", "created_at"),
}
_TYPES = {
    name: spelling.field_of(Interaction, field) if field else Customer._meta.get_field("customer_id")
    for name, (_, field) in FIELDS.items()
}
_ROWS = f"""
SELECT {", ".join(column for column, _ in FIELDS.values())}
  FROM public.customers_interaction i
  JOIN public.customers_customer c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id
 WHERE i.tenant_id = %(tenant)s AND (i.arrival, i.id) > (%(after)s, %(after_id)s)
   AND (i.arrival, i.id) <= (%(until)s, %(until_id)s)
 ORDER BY i.arrival, i.id
"""  # noqa: S608 - columns named above
# {"id":"0198…","customerRef":"0197…","occurredAt":"2026-11-02T10:00:00.000000Z",…
_HEAD = b'{"id":"'
_ID = slice(7, 43)
_REF = slice(60, 96)
_AT = slice(112, 139)
# Eight bytes of an id, the random ones: what tells in which file somebody is.
_MARK_BYTES = 8


@requires_transaction
def read(wanted: Piece) -> list[bytes]:
    """The rows of a piece that are there now, in order, one line each, without line ends."""
    given = {
        "after": wanted.after.arrival,
        "after_id": wanted.after.last_id,
        "until": wanted.until.arrival,
        "until_id": wanted.until.last_id,
        "tenant": context.tenant_id(),
    }
    copied = spelling.sections({"rows": spelling.spelled(_ROWS, _TYPES)}, given)
    return [_tight(line) for _, block in copied for line in block.split(spelling.BEFORE)[1:]]


def written(lines: list[bytes], *, compressed: bool) -> bytes:
    """A file's content: NDJSON, every line ended. The same lines give the same bytes."""
    text = b"\n".join([*lines, b""])
    return gzip.compress(text, compresslevel=6, mtime=0) if compressed else text


def read_back(content: bytes, *, compressed: bool) -> list[bytes]:
    """Raises gzip.BadGzipFile, EOFError and zlib.error for what was cut short or changed."""
    text = gzip.decompress(content) if compressed else content
    return text.split(b"\n")[:-1]


def span(lines: list[bytes]) -> tuple[str | None, str | None]:
    """The earliest and the latest `occurredAt`. RFC 3339 in one form sorts as text."""
    moments = [line[_AT] for line in lines]
    return (min(moments).decode(), max(moments).decode()) if moments else (None, None)


def id_of(line: bytes) -> UUID:
    return UUID(line[_ID].decode())


def _tight(line: bytes) -> bytes:
    """As PostgreSQL writes it, also where Python had to write it anew for its numbers."""
    if line.startswith(_HEAD):
        return line
    return json.dumps(json.loads(line), ensure_ascii=False, separators=(",", ":")).encode()


def ref_of(line: bytes) -> str:
    return line[_REF].decode()


def marks(lines: Iterable[bytes]) -> bytes:
    """Whose lines these are, so short that a search through all files is one through a few megabytes."""
    # Of the text: eight bytes are its last sixteen digits, four before the last hyphen and twelve behind it.
    found = {line[_REF.start + 19 : _REF.start + 23] + line[_REF.start + 24 : _REF.stop] for line in lines}
    return bytes.fromhex(b"".join(sorted(found)).decode())


def mark(ref: UUID) -> bytes:
    return ref.bytes[-_MARK_BYTES:]


def is_marked(subjects: bytes, refs: Collection[UUID]) -> bool:
    there = {subjects[at : at + _MARK_BYTES] for at in range(0, len(subjects), _MARK_BYTES)}
    return any(mark(ref) in there for ref in refs)
