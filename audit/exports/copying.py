"""The log as NDJSON or CSV, written by PostgreSQL itself (COPY): whatever is spelled, is spelled there.

A slice of `seq` at a time, each in a transaction of its own: no snapshot is held while millions of records go by, and
whoever waits can be told how far it is. The log only grows, so the slices make one whole.
"""

import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from itertools import islice
from threading import Barrier
from typing import IO, Any

from django.db import connection
from psycopg import Copy

from audit import copied
from audit.exports import spelling
from audit.exports.files import COLUMNS
from kaireon.tenancy import context
from kaireon.tenancy.context import transaction

FORMATS = ("ndjson", "csv")
SLICE = 10_000
# So many slices are copied at once, each over a connection of its own; one waits in memory up to so many bytes, and
# beyond that in a temporary file.
CONNECTIONS = 2
_IN_MEMORY = 16 * 1024 * 1024
# Handled at once: as much as stays near the processor.
_BLOCK_BYTES = 64 * 1024

# A slice looks large enough to the planner to read the whole table for it, with several processes, and to sort it on
# disk: along the index it takes half the time. And the zone in which moments are spelled.
_SETTINGS = """
SELECT set_config(name, value, true)
  FROM (VALUES ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'), ('max_parallel_workers_per_gather', '0'),
               ('timezone', 'UTC')) setting (name, value)
"""
HEADS = {"ndjson": b"", "csv": ",".join(COLUMNS).encode() + b"\n"}


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
    for piece, (found, slice_) in _in_order(pieces, format_, at_once=min(CONNECTIONS, len(starts))):
        if wanted.is_whole and found != piece.last - piece.first + 1:
            missing = piece.last - piece.first + 1 - found
            raise RecordsMissing(f"{missing} records between {piece.first} and {piece.last} are missing")
        with slice_:
            slice_.seek(0)
            while block := slice_.read(_BLOCK_BYTES):
                _put(file, block, written)
        written.records += found
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
                piece, copying = running.popleft()
                done = copying.result()
                running.extend((following, pool.submit(copy, following)) for following in islice(pieces, 1))
                yield piece, done
        finally:
            for _ in range(at_once):
                pool.submit(close)


class _TooLarge(RuntimeError):
    """A record is among them that must travel alone."""


def _copy(wanted: Selection, format_: str) -> tuple[int, IO[bytes]]:
    """How many records a slice has, and their lines. Whoever asked closes them."""
    if format_ == "csv":
        return _received(wanted, spelling.cells, _rows)
    try:
        return _received(wanted, spelling.lines_together, _lines)
    except _TooLarge:
        return _received(wanted, spelling.lines, _lines)


def _received(
    wanted: Selection, query: Callable[[str], str], taken: Callable[[Copy], Iterator[tuple[int, bytes]]]
) -> tuple[int, IO[bytes]]:
    conditions = {
        ' AND "timestamp" >= %(since)s': wanted.since,
        ' AND "timestamp" <= %(until)s': wanted.until,
        " AND entity_type = %(entity_type)s": wanted.entity_type,
        " AND action = %(action)s": wanted.action,
    }
    given = {
        "tenant": wanted.tenant_id,
        "first": wanted.first,
        "last": wanted.last,
        "since": wanted.since,
        "until": wanted.until,
        "entity_type": wanted.entity_type,
        "action": wanted.action,
    }
    asked = query("".join(condition for condition, value in conditions.items() if value))
    slice_: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
    count = 0
    with transaction(), connection.cursor() as cursor:
        cursor.execute(_SETTINGS)
        with cursor.copy(asked, given) as copy:
            for records, block in taken(copy):
                slice_.write(block)
                count += records
    return count, slice_


def _rows(copy: Copy) -> Iterator[tuple[int, bytes]]:
    for rows in copied.batches(copy, size=_BLOCK_BYTES):
        yield len(rows), b"".join(rows)


def _lines(copy: Copy) -> Iterator[tuple[int, bytes]]:
    """Raises _TooLarge."""
    for lines in copied.texts(copy, size=_BLOCK_BYTES):
        if spelling.LARGE in lines:
            raise _TooLarge
        # JSON has no newline inside a value.
        yield lines.count(b"\n"), lines


def _put(file: IO[bytes], block: bytes, written: Written) -> None:
    written.add(block)
    file.write(block)
