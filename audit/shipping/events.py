"""Records as they are shipped: one JSON object each, with its place in the log and its hashes, under an id of its own.

PostgreSQL spells them; what leaves is what the log holds: personal values are sealed in it, so erasing a person makes
the copies unreadable too. The id is made of origin, tenant, seq and leaf hash, so a second copy is known for the same,
and a log that went on from an older database never passes off one record for another.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from typing import Any

import orjson
from django.db import connection

from audit.tree import signing
from kaireon.tenancy.context import requires_transaction

# Records that are looked for together: a tag at the receiver says which block an event belongs to.
BLOCK = 1000
# Bytes of a batch's records as stored; the first is taken whatever its size.
BATCH_BYTES = 3 * 1024 * 1024
# Of a text that stays in a reduced event, in characters.
MOST_TEXT = 256
LARGE = ("changes", "before", "after")

# Of its leaf hash, in an event's id.
ID_DIGITS = 16
MILLIS = """floor(extract(epoch FROM "timestamp") * 1000)::bigint"""
_MOMENT = """to_char("timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
_WORDS = "coalesce(to_json({}), 'null')"
_SPELLED = {
    # As they are: numbers stay exact.
    False: "coalesce({}, 'null')",
    # As text: receivers that derive types from names would contradict themselves, or make a column of each name.
    True: "coalesce(to_json({}::text), 'null')",
}
# The texts, by their names in an event.
COLUMNS = {
    "action": "action",
    "entityType": "entity_type",
    "entityId": "entity_id",
    "entityName": "entity_name",
    "userId": "user_id",
    "userName": "user_name",
    "actorType": "actor_type",
    "requestId": "request_id",
}
HASHES = {"integrityHash": "integrity_hash", "prevHash": "prev_hash", "leafHash": "leaf_hash"}
_MAY_BE_NULL = frozenset({"entity_name", "user_id", "request_id"})


class Sql(str):
    """An expression in SQL, among words that stand as they are."""

    __slots__ = ()


def spelled(*, as_text: bool, is_plain: bool = False) -> list[str | Sql]:
    """What an event says of a record behind its id: the members of a JSON object, as words and expressions.

    `is_plain` is right only where none of the record's COLUMNS holds what JSON would escape: it takes them as they are.
    """
    parts: list[str | Sql] = ['"kind":"record","seq":', Sql("seq"), ',"tenantId":"', Sql("tenant_id")]
    parts += ['","recordId":"', Sql("id"), '","timestamp":"', Sql(_MOMENT), '"']
    for name, column in COLUMNS.items():
        if not is_plain:
            parts += [f',"{name}":', Sql(_WORDS.format(column))]
        elif column in _MAY_BE_NULL:
            parts += [f',"{name}":', Sql(f"""coalesce('"' || {column} || '"', 'null')""")]
        else:
            parts += [f',"{name}":"', Sql(column), '"']
    for name in LARGE:
        parts += [f',"{name}":', Sql(_SPELLED[as_text].format(name))]
    parts += [',"entityVersion":', Sql("coalesce(entity_version::text, 'null')")]
    for name, column in HASHES.items():
        parts += [f',"{name}":"', Sql(column), '"']
    return parts


def concat(parts: Iterable[str | Sql], *, name: str = "word") -> tuple[str, dict[str, str]]:
    """One text of them in SQL, and its words by name. It knows each type after the first row, where `format` asks anew
    for every value."""
    words: dict[str, str] = {}
    said: list[str] = []
    for is_sql, some in groupby(parts, lambda part: isinstance(part, Sql)):
        if is_sql:
            said += some
        else:
            words[f"{name}{len(words)}"] = "".join(some)
            said.append(f"%({name}{len(words) - 1})s")
    return f"concat({', '.join(said)})", words


def _query(*, as_text: bool) -> tuple[str, dict[str, str]]:
    """Of each record: seq, leaf hash, milliseconds, verb and type, and the object behind its first two fields."""
    line, words = concat([*spelled(as_text=as_text), "}"])
    query = f"""
        SELECT seq, leaf_hash, {MILLIS}, action, entity_type, {line}
          FROM (SELECT *, sum(coalesce(pg_column_size(changes), 0) + coalesce(pg_column_size(before), 0)
                              + coalesce(pg_column_size(after), 0)) OVER (ORDER BY seq) AS so_far
                  FROM (SELECT * FROM public.audit_record
                         WHERE tenant_id = %(tenant)s AND seq > %(after)s AND seq <= %(until)s
                         ORDER BY seq LIMIT %(most)s) first) bounded
         WHERE so_far <= %(bytes)s OR seq = %(after)s + 1
         ORDER BY seq
    """  # noqa: S608 - what is put in is of this file
    return query, words


_QUERIES = {as_text: _query(as_text=as_text) for as_text in (False, True)}
_IDS = """
SELECT seq, leaf_hash FROM public.audit_record WHERE tenant_id = %s AND seq BETWEEN %s AND %s ORDER BY seq
"""


@dataclass(slots=True, kw_only=True)
class Event:
    """`text` is a JSON object whose first field is `eventId`. `hash` is the record's leaf hash, or what a receipt
    says; `block` is `<tenant>.<number>`. `millis` are since 1970, UTC."""

    id: str
    seq: int
    hash: str
    block: str
    millis: int
    title: str
    text: bytes
    is_record: bool = True
    is_reduced: bool = False
    # Its part of a body, once it is encoded: for one destination, in one run.
    body: bytes | None = None


def event_id(log: str, seq: int, leaf_hash: str) -> str:
    """`log` is the log's origin, such as `kaireon.local/acme`."""
    return f"{log}/{seq}-{leaf_hash[:ID_DIGITS]}"


def block(tenant_id: str, seq: int) -> str:
    return f"{tenant_id}.{seq // BLOCK}"


@requires_transaction
def read(tenant_id: str, *, after: int, until: int, most: int, as_text: bool) -> list[Event]:
    """Up to `most` records behind `after`, fewer when they are large."""
    query, words = _QUERIES[as_text]
    given: dict[str, str | int] = {
        **words,
        "tenant": tenant_id,
        "after": after,
        "until": until,
        "most": most,
        "bytes": BATCH_BYTES,
    }
    log = signing.origin(tenant_id)
    with connection.cursor() as cursor:
        cursor.execute(query, given)
        rows = cursor.fetchall()
    return [
        Event(
            id=(name := event_id(log, seq, leaf)),
            seq=seq,
            hash=leaf,
            block=block(tenant_id, seq),
            millis=millis,
            title=f"{action} {kind}",
            text=f'{{"eventId":"{name}",{rest}'.encode(),
        )
        for seq, leaf, millis, action, kind, rest in rows
    ]


@requires_transaction
def ids(tenant_id: str, *, first: int, last: int) -> dict[str, tuple[int, str]]:
    """Of the records that are kept in the range: their event id, and under it seq and leaf hash."""
    log = signing.origin(tenant_id)
    with connection.cursor() as cursor:
        cursor.execute(_IDS, [tenant_id, first, last])
        return {event_id(log, seq, leaf): (seq, leaf) for seq, leaf in cursor.fetchall()}


def reduced(event: Event) -> Event:
    """The same record without its contents, marked: `truncated: true`, which fields were `omitted`, and the SHA-256
    and the size of the event as it would have been. Its hashes stay, so the whole can be had from the log and checked.
    """
    said: dict[str, Any] = orjson.loads(event.text)
    omitted = [name for name in LARGE if said.get(name) is not None]
    for name in omitted:
        said[name] = None
    for name, value in said.items():
        if name != "eventId" and isinstance(value, str) and len(value) > MOST_TEXT and name != "note":
            said[name] = value[:MOST_TEXT]
            omitted.append(name)
    said |= {
        "truncated": True,
        "omitted": omitted,
        "wholeSha256": sha256(event.text).hexdigest(),
        "wholeBytes": len(event.text),
    }
    return Event(
        id=event.id,
        seq=event.seq,
        hash=event.hash,
        block=event.block,
        millis=event.millis,
        title=event.title[:MOST_TEXT],
        text=orjson.dumps(said),
        is_record=event.is_record,
        is_reduced=True,
    )


def test_event(tenant_id: str, *, number: str, millis: int) -> Event:
    """What Test connection sends, and what tells whether a refusal is about a record or about everything."""
    name = f"{signing.origin(tenant_id)}/test-{number}"
    said = {"eventId": name, "kind": "test", "tenantId": tenant_id, "action": "kaireon.test"}
    return Event(
        id=name,
        seq=0,
        hash="",
        block=f"{tenant_id}.test",
        millis=millis,
        title="kaireon.test",
        text=orjson.dumps(said),
        is_record=False,
    )


def contiguous(events: Sequence[Event], after: int) -> bool:
    """Whether they go on from `after` without a gap."""
    return not events or (events[0].seq == after + 1 and events[-1].seq == after + len(events))


def halves(events: Sequence[Event]) -> Iterator[list[Event]]:
    middle = (len(events) + 1) // 2
    yield list(events[:middle])
    yield list(events[middle:])
