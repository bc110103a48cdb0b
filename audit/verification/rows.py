"""Records as PostgreSQL prints them, and their two hashes: the arithmetic of audit.chain at the speed of reading. Pure.

What is derived here equals what audit.chain derives from the same row, for every row that the sequencer writes; of any
other row nothing is derived at all, so it cannot fit. Numbers that JSON does not carry exactly are such a case: the
sequencer stores them as text, so one that stands there as a number was put there.

Records are taken many at a time: their JSON is read and written at once, and what needs no escaping goes into the
hashed text as it is. What is unusual is derived by itself, to the same result.
"""

import json
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import chain, islice
from typing import Any, NamedTuple, NoReturn

import orjson
from psycopg import Connection, Cursor
from psycopg.types.string import TextLoader

from kaireon.lib.canonical import MAX_DEPTH, NotCanonical, canonical, loads_exact

# Every column of a record as PostgreSQL prints it, in the order of `_SELECT`. A plain tuple: there are a million.
Row = tuple[Any, ...]

_SELECT = """
SELECT action, entity_type, entity_id, user_name, actor_type, entity_name, user_id, request_id, tenant_id, seq, id,
       entity_version, "timestamp", integrity_hash, prev_hash, leaf_hash, {changes}, {before}, {after}
  FROM public.audit_record WHERE tenant_id = %s AND seq > %s AND seq <= %s ORDER BY seq
"""
# A value that takes more bytes in the table is left out at first, and no JSON stands in its place.
_LARGE = 8000
_JSON = ("changes", "before", "after")
_SMALL = {name: f"CASE WHEN pg_column_size({name}) > {_LARGE} THEN '' ELSE {name}::text END" for name in _JSON}
_SELECT_SMALL = _SELECT.format(**_SMALL)
_SELECT_WHOLE = _SELECT.format(**{name: f"{name}::text" for name in _JSON})
# How moments are spelled, whatever the role's own settings say.
_SPELLING = "SELECT set_config('datestyle', 'ISO, YMD', true), set_config('timezone', 'UTC', true)"
# The types of the columns that psycopg would make something else of than their text.
_PRINTED = ("int8", "timestamptz", "uuid")

# So many rows are derived at once, and so many are received at once.
_MANY = 256
_RECEIVED = 64
# Of whole rows, so many characters of JSON are derived at once.
_MUCH = 256 * 1024

# Between two values of a list it is no value that jsonb can hold, so it stands nowhere else.
_BETWEEN = ',"\\u0000",'
# A number with a fraction, as jsonb prints it: what follows it ends a value. Some texts look like one.
_FRACTION = re.compile(r"\.\d+(?:[,\]}]|$)")
# From here on the order of keys by UTF-16 is another one than by UTF-8.
_BEYOND = re.compile("[\ud800-\U0010ffff]")
# What is nested too deeply has at least so many characters.
_MAYBE_DEEP = 2 * MAX_DEPTH
_WHOLE_MICROSECONDS = len("2026-01-15 09:00:00.000000")
_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER

# JSON as it is printed to its canonical form; None for what has none.
Said = dict[str | None, str | None]


class Derived(NamedTuple):
    """What records say of themselves, each list in their order.

    `leaves` are their leaf hashes, derived; None for a record whose hashes are not what it says they are.
    """

    seqs: list[int]
    ids: tuple[str, ...]
    prev_hashes: tuple[str, ...]
    integrity_hashes: tuple[str, ...]
    leaves: list[bytes | None]


def read(
    connection: Connection, tenant_id: str, after: int, until: int, *, whole: bool = False
) -> Generator[list[Row], None, None]:
    """The records with `after` < seq <= `until`, in order, a list of some at a time.

    Memory depends neither on the log nor, `whole`, on how large its records are: then there is one at a time, however
    large. Otherwise large values are left out, so that no hash can be derived; `whole` takes a third longer.

    The connection is in a transaction that knows the tenant; until its end moments are spelled in UTC. Close the
    iterator when it is not read to its end.
    """
    with Cursor(connection) as cursor:
        cursor.execute(_SPELLING)
        for name in _PRINTED:
            cursor.adapters.register_loader(name, TextLoader)
        place = [tenant_id, after, until]
        if whole:
            yield from _in_heaps(cursor.stream(_SELECT_WHOLE, place))
            return
        stream = cursor.stream(_SELECT_SMALL, place, size=_RECEIVED)
        while rows := list(islice(stream, _MANY)):
            yield rows


def _in_heaps(stream: Iterator[Row]) -> Iterator[list[Row]]:
    rows: list[Row] = []
    size = 0
    for row in stream:
        rows.append(row)
        size += sum(len(text) for text in row[-3:] if text)
        if len(rows) == _MANY or size > _MUCH:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def derive(rows: Sequence[Row]) -> Derived:
    """Derive both hashes of each record anew from what it says."""
    columns = list(zip(*rows, strict=True))
    said = _canonical(chain(*columns[-3:]))
    are_usual = all(said.values()) and _are_bare(columns)
    leaves = _usual_leaves(rows, said) if are_usual else [_leaf(row, said) for row in rows]
    stored = columns[15]
    if not (all(leaves) and [leaf.hex() for leaf in leaves if leaf] == list(stored)):
        leaves = [leaf if leaf and leaf.hex() == kept else None for leaf, kept in zip(leaves, stored, strict=True)]
    return Derived(
        seqs=list(map(int, columns[9])),
        ids=columns[10],
        prev_hashes=columns[14],
        integrity_hashes=columns[13],
        leaves=leaves,
    )


def _are_bare(columns: Sequence[tuple[Any, ...]]) -> bool:
    """Whether all text can stand between quotation marks as it is, and none is missing that never is."""
    try:
        text = "".join(chain(*columns[:5], columns[12], filter(None, chain(*columns[5:8]))))
    except TypeError:
        return False
    return len(orjson.dumps(text)) == len(text.encode()) + len('""')


def _usual_leaves(rows: Iterable[Row], said: Said) -> list[bytes | None]:
    """`_leaf` of each record, where all text is bare and all JSON has its canonical form."""
    leaves: list[bytes | None] = []
    for row in rows:
        # fmt: off
        (
            action, kind, entity_id, user_name, actor_type, name, user_id, request_id, tenant, seq, record_id,
            version, at, integrity, prev, _, changes, before, after,
        ) = row
        # fmt: on
        changed = said[changes]
        hashed = (
            f"{action}{kind}{entity_id}{name or ''}{'' if changed == 'null' else changed}"
            f"{user_id or ''}{user_name}{tenant}{request_id or ''}{prev}"
        )
        if sha256(hashed.encode()).hexdigest() != integrity:
            leaves.append(None)
            continue
        moment = at[:-3].replace(" ", "T")
        if len(moment) != _WHOLE_MICROSECONDS:
            moment = _padded(moment)
        said_name = "null" if name is None else f'"{name}"'
        said_request = "null" if request_id is None else f'"{request_id}"'
        said_user = "null" if user_id is None else f'"{user_id}"'
        # In the order in which RFC 8785 has the keys.
        record = (
            f'\0{{"action":"{action}","actorType":"{actor_type}","after":{said[after]},"before":{said[before]},'
            f'"changes":{changed},"entityId":"{entity_id}","entityName":{said_name},"entityType":"{kind}",'
            f'"entityVersion":{version or "null"},"id":"{record_id}","integrityHash":"{integrity}",'
            f'"prevHash":"{prev}","requestId":{said_request},"seq":{seq},"tenantId":"{tenant}",'
            f'"timestamp":"{moment}Z","userId":{said_user},"userName":"{user_name}"}}'
        )
        leaves.append(sha256(record.encode()).digest())
    return leaves


def _leaf(row: Row, said: Said) -> bytes | None:
    """The leaf hash of a record, from what it says; None when its integrity hash is another."""
    # fmt: off
    (
        action, kind, entity_id, user_name, actor_type, name, user_id, request_id, tenant, seq, record_id,
        version, at, integrity, prev, _, changes, before, after,
    ) = row
    # fmt: on
    changed, was, became = said[changes], said[before], said[after]
    if changed is None or was is None or became is None or at is None or seq is None:
        return None
    hashed = (
        f"{action or ''}{kind or ''}{entity_id or ''}{name or ''}{'' if changed == 'null' else changed}"
        f"{user_id or ''}{user_name or ''}{tenant or ''}{request_id or ''}{prev or ''}"
    )
    if sha256(hashed.encode()).hexdigest() != integrity:
        return None
    moment = at[:-3].replace(" ", "T")
    record = {
        "action": action,
        "actorType": actor_type,
        "after": orjson.Fragment(became),
        "before": orjson.Fragment(was),
        "changes": orjson.Fragment(changed),
        "entityId": entity_id,
        "entityName": name,
        "entityType": kind,
        "entityVersion": None if version is None else int(version),
        "id": record_id,
        "integrityHash": integrity,
        "prevHash": prev,
        "requestId": request_id,
        "seq": int(seq),
        "tenantId": tenant,
        "timestamp": f"{moment if len(moment) == _WHOLE_MICROSECONDS else _padded(moment)}Z",
        "userId": user_id,
        "userName": user_name,
    }
    return sha256(b"\0" + orjson.dumps(record)).digest()


def _padded(moment: str) -> str:
    """With the six decimals of audit.chain.timestamp_text; what is no ordinary moment becomes what nobody hashed."""
    return (moment if "." in moment else f"{moment}.").ljust(_WHOLE_MICROSECONDS, "0")


def _canonical(texts: Iterable[str | None]) -> Said:
    """Each JSON text as RFC 8785 writes it; null for one that is not there."""
    distinct = dict.fromkeys(texts)
    distinct.pop(None, None)
    plain: list[str] = list(distinct)  # type: ignore[arg-type]
    joined = _BETWEEN.join(plain)
    unusual: list[str] = []
    if _FRACTION.search(joined) or _is_beyond(joined) or not _are_flat(plain):
        unusual = [text for text in plain if _FRACTION.search(text) or _is_beyond(text) or not _is_flat(text)]
        apart = set(unusual)
        plain = [text for text in plain if text not in apart]
        joined = _BETWEEN.join(plain)
    said: Said = {None: "null"}
    try:
        written = orjson.dumps(orjson.loads(f"[{joined}]"), option=_SORTED).decode()[1:-1]
        said |= zip(plain, written.split(_BETWEEN) if plain else (), strict=True)
    except (ValueError, TypeError, RecursionError):
        # One of them is nothing that the sequencer writes. Exceptions carry what they met, so they go no further.
        unusual += plain
    for text in unusual:
        said[text] = _canonical_alone(text)
    return said


def _canonical_alone(text: str) -> str | None:
    try:
        return canonical_json(text).decode()
    except (ValueError, TypeError, RecursionError):
        return None


def canonical_json(text: str) -> bytes:
    """`jsonb::text` as RFC 8785 writes it. Raises NotCanonical, ValueError or TypeError for what has no such form."""
    if not _is_flat(text) and not text.startswith('"') and type(loads_exact(text)) is str:
        raise NotCanonical("nested deeper than anything that the log holds")
    if _FRACTION.search(text):
        return canonical(exactly(text))
    value = orjson.loads(text)
    return canonical(value) if _is_beyond(text) else orjson.dumps(value, option=_SORTED)


def _is_beyond(text: str) -> bool:
    return not text.isascii() and _BEYOND.search(text) is not None


def _are_flat(texts: Sequence[str]) -> bool:
    return max(map(len, texts), default=0) < _MAYBE_DEEP or all(map(_is_flat, texts))


def _is_flat(text: str) -> bool:
    return len(text) < _MAYBE_DEEP or text.count("[") + text.count("{") <= MAX_DEPTH


def _inexact(literal: str) -> NoReturn:
    raise NotCanonical("a number that JSON does not carry exactly")


def _whole(literal: str) -> int:
    number = loads_exact(literal)
    return number if type(number) is int else _inexact(literal)


def _fractional(literal: str) -> float:
    number = loads_exact(literal)
    return number if type(number) is float else _inexact(literal)


# JSON as a value in which no number was rounded. Raises NotCanonical where one would be.
exactly = json.JSONDecoder(parse_int=_whole, parse_float=_fractional, parse_constant=_inexact).decode
