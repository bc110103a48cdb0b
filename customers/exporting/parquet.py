"""Lines as a Parquet file: a typed column for each member, in the order of the lines. docs/exports.md has the types.

Only formats.py imports this, and only when a file is written or read: pyarrow takes as much memory as half a worker.
"""

from typing import Any

import orjson
import pyarrow as pa
from pyarrow.parquet import ParquetFile, write_table

from customers.exporting import lines
from customers.exporting.formats import FormatUnknown, Unreadable
from kaireon.lib.canonical import SAFE_INTEGER

# Told in the file's metadata: another number when a column comes, goes or changes its type.
SCHEMA_VERSION = {b"kaireon.schema": b"interactions-1"}
_TEXT = pa.string()
_MOMENT = pa.timestamp("us", tz="UTC")
_AMOUNT = pa.decimal128(18, 4)
_TYPES = {
    "id": _TEXT,
    "customerRef": _TEXT,
    "occurredAt": _MOMENT,
    "customerId": _TEXT,
    "kind": _TEXT,
    "channel": _TEXT,
    "offer": _TEXT,
    "quantity": pa.int64(),
    "amount": _AMOUNT,
    "currency": _TEXT,
    "externalId": _TEXT,
    "context": _TEXT,
    "createdAt": _MOMENT,
}
# Members that lines.parted gives by themselves.
_BEHIND = ("context", "createdAt")
_MAY_BE_NULL = ("quantity", "amount")
SCHEMA = pa.schema(
    [pa.field(name, of, nullable=name in _MAY_BE_NULL) for name, of in _TYPES.items()], metadata=SCHEMA_VERSION
)
_HOW: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 3,
    # Those that say the same in many rows.
    "use_dictionary": ["customerRef", "customerId", "kind", "channel", "offer", "currency"],
    # Readers skip files by their times. What names somebody stands in rows alone, in no summary of them.
    "write_statistics": [name for name, of in _TYPES.items() if of == _MOMENT],
}


def packed(found: list[bytes]) -> bytes:
    """A file's content. The same lines give the same bytes, with the same version of pyarrow."""
    parted = [lines.parted(line) for line in found]
    heads = [orjson.loads(head) for head, _, _ in parted]
    values: dict[str, list[Any]] = {name: [head[name] for head in heads] for name in _TYPES if name not in _BEHIND}
    values["context"] = [context.decode() for _, context, _ in parted]
    values["createdAt"] = [created_at.decode() for _, _, created_at in parted]
    # Beyond what a double can carry it is text in a line.
    values["quantity"] = [None if value is None else int(value) for value in values["quantity"]]
    columns = [pa.array(values[name], _spelled(of)).cast(of) for name, of in _TYPES.items()]
    sink = pa.BufferOutputStream()
    write_table(pa.Table.from_arrays(columns, schema=SCHEMA), sink, **_HOW)
    return bytes(sink.getvalue())


def unpacked(content: bytes) -> list[bytes]:
    """The lines that were packed, to the byte. Raises Unreadable and FormatUnknown."""
    try:
        table = ParquetFile(pa.BufferReader(content)).read(use_threads=False)
    except (pa.ArrowException, OSError) as e:
        raise Unreadable(type(e).__name__) from e
    if not table.schema.equals(SCHEMA, check_metadata=True):
        raise FormatUnknown("columns of another version")
    columns = [_told(name, table[name]) for name in _TYPES]
    return [orjson.dumps(dict(zip(_TYPES, row, strict=True))) for row in zip(*columns, strict=True)]


def _spelled(of: Any) -> Any:
    """The type that values of a column have in a line."""
    return _TEXT if of in (_MOMENT, _AMOUNT) else of


def _told(name: str, column: Any) -> list[Any]:
    """The values of a column as a line has them."""
    of = _TYPES[name]
    values: list[Any] = column.cast(_spelled(of)).to_pylist()
    if of == _MOMENT:
        return [value.replace(" ", "T") for value in values]
    if name == "quantity":
        return [value if value is None or abs(value) <= SAFE_INTEGER else str(value) for value in values]
    if name == "context":
        return [orjson.Fragment(value) for value in values]
    return values
