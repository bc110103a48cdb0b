"""How PostgreSQL itself spells the records of an export, as lines of JSON or cells of CSV: the queries that COPY runs.

Each takes `%(tenant)s`, `%(first)s` and `%(last)s` and whatever its conditions name, in a session on UTC.
"""

from collections.abc import Iterable

from audit.exports.files import COLUMNS
from kaireon.lib.csv_safe import INVISIBLE, STARTERS

# What each column of audit.exports.files.COLUMNS is in SQL.
_SQL = {
    "seq": "seq",
    "timestamp": """to_char("timestamp", 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
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
# The columns in which others' words may stand as they are: a spreadsheet would run them, and JSON escapes them. JSON
# text begins with a bracket, a quotation mark or a number; the rest is our own.
_OTHERS_WORDS = frozenset({"action", "entityType", "entityId", "entityName", "userId", "userName", "requestId"})
_JSON = frozenset({"changes", "before", "after"})
# Our own texts, which need no escaping and are never null.
_OUR_WORDS = frozenset({"timestamp", "actorType", "tenantId", "id", "integrityHash", "prevHash"})


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


def _as_json(name: str, column: str) -> str:
    """SQL of a value as it stands in a line; of our own texts, without the quotation marks."""
    if name in _OTHERS_WORDS:
        return f"coalesce(to_json({column}), 'null')"
    if name in _JSON:
        return f"coalesce({column}, 'null')"
    return f"coalesce({column}::text, 'null')" if name == "entityVersion" else column


_TEMPLATE = ",".join(f'"{name}":"%%s"' if name in _OUR_WORDS else f'"{name}":%%s' for name in COLUMNS)
_VALUES = ", ".join(_as_json(name, _SQL[name]) for name in COLUMNS)
_LINE = f"format(E'{{{_TEMPLATE}}}\\n', {_VALUES})"
_CELLS = ", ".join(neutral(_SQL[name]) if name in _OTHERS_WORDS else _SQL[name] for name in COLUMNS)

# Lines that travel together: to send a row and to take it is work, however much is in it.
TOGETHER = 128
# A longer line travels alone. Nothing else bounds what many of them are together.
LARGE_BYTES = 32 * 1024
# Stands in place of a line that must travel alone; in no JSON.
LARGE = b"\x02"


def cells(conditions: str) -> str:
    """COPY of the records as rows of CSV."""
    return f"COPY (SELECT {_CELLS} {_records(conditions)}) TO STDOUT (FORMAT csv, ENCODING 'UTF8')"


def lines(conditions: str) -> str:
    """COPY of the records as lines of JSON, as one column of text, binary; a row is a line."""
    return f"COPY (SELECT {_LINE} {_records(conditions)}) TO STDOUT (FORMAT binary)"


def lines_together(conditions: str) -> str:
    """As `lines`, but a row is the lines of TOGETHER numbers, NULL where there are none of them; LARGE stands for each
    line of more than LARGE_BYTES."""
    line = f"CASE WHEN octet_length(line) <= {LARGE_BYTES} THEN line ELSE E'\\x{LARGE.hex()}' END"
    some = _records(conditions, first="start", last=f"least(start + {TOGETHER - 1}, %(last)s)")
    return f"""
        COPY (SELECT (SELECT string_agg({line}, '') FROM (SELECT {_LINE} AS line {some}) lines)
                FROM generate_series(%(first)s::bigint, %(last)s, {TOGETHER}) start) TO STDOUT (FORMAT binary)
    """  # noqa: S608 - what is put in is of this file


def _records(conditions: str, *, first: str = "%(first)s", last: str = "%(last)s") -> str:
    return f"""
        FROM public.audit_record
       WHERE tenant_id = %(tenant)s AND seq BETWEEN {first} AND {last}{conditions}
       ORDER BY seq
    """
