"""The log as NDJSON or CSV, written by PostgreSQL itself (COPY): values are spelled there, here come the keys of JSON.

A slice of `seq` at a time, each in a transaction of its own: no snapshot is held while millions of records go by, and
whoever waits can be told how far it is. The log only grows, so the slices make one whole.
"""

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from itertools import islice
from threading import Barrier
from typing import IO, Any

from django.db import connection
from psycopg.abc import Buffer

from audit.exports.files import COLUMNS
from kaireon.lib.csv_safe import INVISIBLE, STARTERS
from kaireon.tenancy import context
from kaireon.tenancy.context import transaction

FORMATS = ("ndjson", "csv")
SLICE = 20_000
# So many slices are copied at once, each over a connection of its own; one waits in memory up to so many bytes, and
# beyond that in a temporary file.
CONNECTIONS = 2
_IN_MEMORY = 16 * 1024 * 1024
# Spelled at once: as much as stays near the processor.
_BLOCK_BYTES = 64 * 1024

# What each column of audit.exports.files.COLUMNS is in SQL.
_SQL = {
    "seq": "seq",
    "timestamp": """to_char("timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
    "action": "action",
    "entityType": "entity_type",
    "entityId": "entity_id",
    "entityName": "entity_name",
    "userId": "user_id",
    "userName": "user_name",
    "actorType": "actor_type",
    "requestId": "request_id",
    "changes": "changes",
    "before": "before",
    "after": "after",
    "entityVersion": "entity_version",
    "tenantId": "tenant_id",
    "id": "id",
    "integrityHash": "integrity_hash",
    "prevHash": "prev_hash",
}
# The columns in which others' words may stand as they are: a spreadsheet would run them. JSON text begins with a
# bracket, a quotation mark or a number; the rest is our own.
_OTHERS_WORDS = frozenset({"action", "entityType", "entityId", "entityName", "userId", "userName", "requestId"})


def _text(characters: Iterable[str]) -> str:
    """An SQL literal; by code points, so that no session's setting reads it otherwise. NUL is in no text there."""
    return "U&'" + "".join(f"\\+{ord(c):06x}" for c in sorted(characters) if c != "\x00") + "'"


def neutral(value: str) -> str:
    """SQL that does to a text what `kaireon.lib.csv_safe.neutral` does.

    Most texts are none, or begin with a letter, a bracket or a digit: that is asked first, of one character.
    """
    harmless = f"{value} IS NULL OR ascii({value}) BETWEEN 65 AND 125 OR ascii({value}) BETWEEN 48 AND 57"
    dangerous = " OR ".join(
        f"strpos({_text(STARTERS)}, left({found}, 1)) > 0 AND {found} <> ''"
        for found in (value, f"ltrim({value}, {_text(INVISIBLE)})")
    )
    return f"CASE WHEN {harmless} THEN {value} WHEN {dangerous} THEN '''' || {value} ELSE {value} END"


_FROM = """
  FROM public.audit_record
 WHERE tenant_id = {tenant} AND seq >= {first} AND seq <= {last}{wanted}
 ORDER BY seq
"""
_CELLS = ", ".join(neutral(column) if name in _OTHERS_WORDS else column for name, column in _SQL.items())
_VALUES = ", ".join(f"to_json({column})" if name in _OTHERS_WORDS else column for name, column in _SQL.items())
# What parts the values of a record on their way here, and quotes them: neither occurs in JSON.
_PARTS, _QUOTES = b"\x01", b"\x02"
_COPY = {
    "ndjson": f"COPY (SELECT {_VALUES}{_FROM}) TO STDOUT"
    r" (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02', NULL 'null', ENCODING 'UTF8')",
    "csv": f"COPY (SELECT {_CELLS}{_FROM}) TO STDOUT (FORMAT csv, ENCODING 'UTF8')",
}
HEADS = {"ndjson": b"", "csv": ",".join(COLUMNS).encode() + b"\n"}
# Of the columns that are no JSON by themselves.
_QUOTED = frozenset({"timestamp", "actorType", "tenantId", "id", "integrityHash", "prevHash"})
_LINE = b"{%b}\n" % b",".join(
    b'"%b":"%%b"' % name.encode() if name in _QUOTED else b'"%b":%%b' % name.encode() for name in COLUMNS
)


def _json_lines(rows: bytes) -> bytes:
    """Rows as COPY sends them, each ended by a newline; of all of them at once, for there are a million."""
    # A JSON null is quoted, to be told from none.
    values = rows.replace(_QUOTES, b"") if _QUOTES in rows else rows
    # JSON has no newline inside a value.
    return _LINE * values.count(b"\n") % tuple(values[:-1].replace(b"\n", _PARTS).split(_PARTS))


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which records: a run of `seq`, and of it those within the moments (inclusive), of a kind, with a verb."""

    tenant_id: str
    first: int
    last: int
    since: datetime | None = None
    until: datetime | None = None
    entity_type: str = ""
    action: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether every record of the run is wanted."""
        return not (self.since or self.until or self.entity_type or self.action)


class RecordsMissing(RuntimeError):
    """The run of the log has gaps. Verify it; an evidence bundle shows the auditor where."""


@dataclass
class Written:
    """What a file holds."""

    records: int = 0
    size: int = 0
    _digest: Any = field(default_factory=sha256)

    @property
    def sha256(self) -> str:
        return str(self._digest.hexdigest())

    def add(self, block: bytes) -> None:
        self.size += len(block)
        self._digest.update(block)


def write(
    file: IO[bytes], wanted: Selection, format_: str, *, moved: Callable[[int], object] = lambda _: None
) -> Written:
    """Write the records to the file, in order of `seq`; runs outside any transaction, in the scope of their log.

    `moved` hears the `seq` that it has come to, between two slices. Memory does not grow with the log.

    Raises RecordsMissing.
    """
    written = Written()
    _put(file, HEADS[format_], written)
    starts = range(wanted.first, wanted.last + 1, SLICE)
    pieces = (replace(wanted, first=first, last=min(first + SLICE - 1, wanted.last)) for first in starts)
    for piece, (copied, slice_) in _in_order(pieces, format_, at_once=min(CONNECTIONS, len(starts))):
        if wanted.is_whole and copied != piece.last - piece.first + 1:
            missing = piece.last - piece.first + 1 - copied
            raise RecordsMissing(f"{missing} records between {piece.first} and {piece.last} are missing")
        with slice_:
            slice_.seek(0)
            while block := slice_.read(_BLOCK_BYTES):
                _put(file, block, written)
        written.records += copied
        moved(piece.last)
    return written


def _in_order(
    pieces: Iterator[Selection], format_: str, *, at_once: int
) -> Iterator[tuple[Selection, tuple[int, IO[bytes]]]]:
    """The slices one after the other, while the next ones are being copied already, each over a connection of its own.

    A single one is copied where we are.
    """
    if at_once <= 1:
        for piece in pieces:
            yield piece, _copy(piece, format_)
        return
    here = context.current()

    together = Barrier(at_once)

    def copy(piece: Selection) -> tuple[int, IO[bytes]]:
        with context.scope(tenant_id=here.tenant_id, actor=here.actor, request_id=here.request_id):
            return _copy(piece, format_)

    def close() -> None:
        # Each thread has a connection, and only it can close that: none is done before all have one of these calls.
        together.wait()
        connection.close()

    with ThreadPoolExecutor(at_once, thread_name_prefix="copy") as pool:
        try:
            running = deque((piece, pool.submit(copy, piece)) for piece in islice(pieces, at_once))
            while running:
                piece, copied = running.popleft()
                done = copied.result()
                running.extend((following, pool.submit(copy, following)) for following in islice(pieces, 1))
                yield piece, done
        finally:
            for _ in range(at_once):
                pool.submit(close)


def _copy(wanted: Selection, format_: str) -> tuple[int, IO[bytes]]:
    """How many records a slice has, and their lines."""
    conditions = {
        ' AND "timestamp" >= %(since)s': wanted.since,
        ' AND "timestamp" <= %(until)s': wanted.until,
        " AND entity_type = %(entity_type)s": wanted.entity_type,
        " AND action = %(action)s": wanted.action,
    }
    query = _COPY[format_].format(
        tenant="%(tenant)s",
        first="%(first)s",
        last="%(last)s",
        wanted="".join(condition for condition, value in conditions.items() if value),
    )
    given = {
        "tenant": wanted.tenant_id,
        "first": wanted.first,
        "last": wanted.last,
        "since": wanted.since,
        "until": wanted.until,
        "entity_type": wanted.entity_type,
        "action": wanted.action,
    }
    spelled = _json_lines if format_ == "ndjson" else bytes
    # Whoever asked closes it.
    slice_: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
    with transaction(), connection.cursor() as cursor:
        with cursor.copy(query, given) as rows:
            block: list[Buffer] = []
            waiting = 0
            for row in rows:
                block.append(row)
                waiting += len(row)
                if waiting >= _BLOCK_BYTES:
                    slice_.write(spelled(b"".join(block)))
                    block, waiting = [], 0
            if block:
                slice_.write(spelled(b"".join(block)))
        return int(cursor.rowcount), slice_


def _put(file: IO[bytes], block: bytes, written: Written) -> None:
    written.add(block)
    file.write(block)
