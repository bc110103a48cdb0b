"""The log as NDJSON or CSV, written by PostgreSQL itself (COPY): nothing but blocks of bytes passes through here.

A slice of `seq` at a time, each in a transaction of its own: no snapshot is held while millions of records go by, and
whoever waits can be told how far it is. The log only grows, so the slices make one whole.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import IO, Any

from django.db import connection

from audit.export import COLUMNS
from kaireon.lib.csv_safe import INVISIBLE, STARTERS
from kaireon.tenancy.context import requires_transaction, transaction

FORMATS = ("ndjson", "csv")
SLICE = 20_000
_BLOCK_BYTES = 1024 * 1024

# What each column of audit.export.COLUMNS is in SQL.
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


def _text(characters: str) -> str:
    """An SQL literal; by code points, so that no session's setting reads it otherwise. NUL is in no text there."""
    return "U&'" + "".join(f"\\+{ord(c):06x}" for c in sorted(characters) if c != "\x00") + "'"


def neutral(value: str) -> str:
    """SQL that does to a text what `kaireon.lib.csv_safe.neutral` does.

    Most texts begin with a letter, a bracket or a digit, which two comparisons tell.
    """
    harmless = " OR ".join(
        f"""{value} COLLATE "C" >= '{first}' AND {value} COLLATE "C" < '{beyond}'"""
        for first, beyond in (("A", "~"), ("0", ":"))
    )
    dangerous = " OR ".join(
        f"strpos({_text(''.join(STARTERS))}, left({found}, 1)) > 0 AND {found} <> ''"
        for found in (value, f"ltrim({value}, {_text(INVISIBLE)})")
    )
    return f"CASE WHEN {harmless} THEN {value} WHEN {dangerous} THEN '''' || {value} ELSE {value} END"


def _cell(name: str) -> str:
    return neutral(_SQL[name]) if name in _OTHERS_WORDS else _SQL[name]


_FROM = """
  FROM public.audit_record
 WHERE tenant_id = {tenant} AND seq >= {first} AND seq <= {last}{wanted}
 ORDER BY seq
"""
# As CSV of one column whose separators occur in no JSON: its lines are then the objects themselves.
_COPY = {
    "ndjson": "COPY (SELECT row_to_json(record) FROM (SELECT "  # noqa: S608 - columns of this file
    + ", ".join(f'{column} AS "{name}"' for name, column in _SQL.items())
    + _FROM
    + r") record) TO STDOUT (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')",
    "csv": f"COPY (SELECT {', '.join(_cell(name) for name in COLUMNS)}{_FROM}) TO STDOUT (FORMAT csv)",
}
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
    if head := HEADS[format_]:
        written.add(head)
        file.write(head)
    for after in range(wanted.first - 1, wanted.last, SLICE):
        until = min(after + SLICE, wanted.last)
        with transaction():
            piece = replace(wanted, first=after + 1, last=until)
            copied = _copy(file, piece, format_, written)
        if wanted.is_whole and copied != until - after:
            raise RecordsMissing(f"{until - after - copied} records between {after + 1} and {until} are missing")
        written.records += copied
        moved(until)
    return written


@requires_transaction
def _copy(file: IO[bytes], wanted: Selection, format_: str, written: Written) -> int:
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
    with connection.cursor() as cursor:
        blocks: list[bytes] = []
        waiting = 0
        with cursor.copy(query, given) as rows:
            for row in rows:
                blocks.append(row)
                waiting += len(row)
                if waiting >= _BLOCK_BYTES:
                    _put(file, blocks, written)
                    waiting = 0
        _put(file, blocks, written)
        return int(cursor.rowcount)


def _put(file: IO[bytes], blocks: list[bytes], written: Written) -> None:
    block = b"".join(blocks)
    blocks.clear()
    written.add(block)
    file.write(block)
