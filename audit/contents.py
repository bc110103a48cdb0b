"""A record's changes, before and after, out of what the trigger wrote: exact numbers, personal values sealed. Pure.

What changed is worked out before anything is sealed, so that a value that stayed is not among the changes.
"""

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import orjson

from audit.chain import Canonical
from audit.sealing.sealed import ERASED, WITHHELD, Sealer
from kaireon.lib.canonical import MAX_DEPTH, canonical, loads_exact


class Contents(NamedTuple):
    """The three as canonical JSON, the row's version, and the JSON to store where it is not what the trigger wrote.

    The changes of a creation or deletion are the row itself, and stored as it.
    """

    changes: Canonical | None
    before: Canonical | None
    after: Canonical | None
    version: int | None
    texts: tuple[str | None, str | None, str | None]


# Almost every row is tame: C code reads and writes it as the long way would. A number that loads_exact would turn into
# text is at least this long, since jsonb prints numbers without exponents.
_NUMERIC = bytes(ord("0") if chr(byte) in "0123456789." else ord(" ") for byte in range(256))
_MAYBE_INEXACT = b"0" * 16
_MAYBE_DEEP = 2 * (MAX_DEPTH - 2)
_FLAT = frozenset((str, int, bool, type(None)))

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{},:]', re.DOTALL)

_dumped = json.JSONEncoder(ensure_ascii=False).encode


def plain(operation: str, changes_text: str | None, before_text: str | None, after_text: str | None) -> Contents:
    """Of an event (E), a bulk fact (B), or a row without personal columns."""
    texts = (changes_text, before_text, after_text)
    raws = [None if text is None else _tame(text) for text in texts]
    is_tame = raws.count(None) == texts.count(None)
    changes, before, after = map(_read, raws) if is_tame else map(_loaded, texts)
    if operation not in "BE":
        changes = changes_of(before, after)
        if not is_tame:
            changes = _settled(changes, before_text, after_text)
    if not is_tame:
        return _written(changes, before, after)
    old, new = _json(before), _json(after)
    said = old if changes is before else new if changes is after else _json(changes)
    return Contents(said, old, new, _version(after), (_text(said) if operation == "U" else None, None, None))


def sealed(
    before_text: str | None,
    after_text: str | None,
    *,
    kind: str,
    columns: str,
    subjects: tuple[str | None, str | None],
    key_of: Callable[[str], Sealer | None],
) -> Contents:
    """Of a row with personal `columns`, joined by commas, of an entity of this `kind`.

    `subjects` say whose the values before and after are; where a row names nobody, the other row's subject is taken.
    """
    named = columns.split(",")
    rows = [None if text is None else _tame_row(text) for text in (before_text, after_text)]
    is_tame = rows.count(None) == (before_text, after_text).count(None)
    before, after = rows if is_tame else (_columns(before_text), _columns(after_text))
    changed = None if before is None or after is None else _changed(before, after)
    whose_before, whose_after = subjects[0] or subjects[1], subjects[1] or subjects[0]
    # Equal values of one subject are sealed once.
    hide = partial(_hidden, kind=kind, named=named)
    old = None if before is None else hide(before, whose_before, key_of)
    same = before if old is not None and whose_before == whose_after else {}
    new = None if after is None else hide(after, whose_after, key_of, like=(same or {}, old or {}))
    if is_tame:
        old, new = _flat(old, named), _flat(new, named)
    changes = None
    if changed is not None and old is not None and new is not None:
        changes = {column: [old.get(column), new.get(column)] for column in changed}
    if is_tame:
        before_said, after_said = _sorted(old), _sorted(new)
        said = (after_said or before_said) if changes is None else _sorted(changes)
        texts = (None if changes is None else _text(said), _text(before_said), _text(after_said))
        return Contents(said, before_said, after_said, _version(new), texts)
    old, new, changes = (_settled(value, before_text, after_text) for value in (old, new, changes))
    if changes is None:
        # Of a creation or deletion, the row itself.
        changes = new if old is None else old
    return _written(changes, old, new)


def _tame(text: str) -> bytes | None:
    """`jsonb::text` in UTF-8, unless it needs the long way: for a number, an escape or its depth."""
    raw = text.encode()
    if b"\\u" in raw or _MAYBE_INEXACT in raw.translate(_NUMERIC):
        return None
    is_deep = len(raw) > _MAYBE_DEEP and raw.count(b"[") + raw.count(b"{") >= MAX_DEPTH - 2
    return None if is_deep else raw


def _tame_row(text: str) -> dict[str, Any] | None:
    row = _read(_tame(text))
    # Beyond ASCII the order of keys may be another one.
    return row if isinstance(row, dict) and "".join(row).isascii() else None


def _read(raw: bytes | None) -> Any:
    return None if raw is None else orjson.loads(raw)


def _json(value: Any) -> Canonical | None:
    """Of what was tame."""
    if type(value) is dict and _FLAT.issuperset(map(type, value.values())) and "".join(value).isascii():
        return _sorted(value)
    return None if value is None else Canonical(canonical(value))


def _flat(row: dict[str, Any] | None, named: list[str]) -> dict[str, Any] | None:
    """The row with whatever orjson might not write in canonical form written already; `named` are hidden."""
    if row is None:
        return None
    for column, value in row.items():
        if type(value) not in _FLAT and column not in named:
            row[column] = orjson.Fragment(canonical(value))
    return row


def _sorted(value: dict[str, Any] | None) -> Canonical | None:
    return None if value is None else Canonical(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


def _written(changes: Any, before: Any, after: Any) -> Contents:
    old = None if before is None else Canonical(canonical(before))
    new = None if after is None else Canonical(canonical(after))
    if changes is None:
        said = None
    elif changes is after or changes is before:
        said = new if changes is after else old
    else:
        said = Canonical(canonical(changes))
    return Contents(said, old, new, _version(after), (_text(said), _text(old), _text(new)))


def _version(after: Any) -> int | None:
    version = after.get("version") if isinstance(after, dict) else None
    return version if type(version) is int else None


def _text(part: Canonical | None) -> str | None:
    return None if part is None else part.decode()


def changes_of(before: Any, after: Any) -> Any:
    """What an entity's record says changed: the row for a create or delete, [old, new] by column for an update."""
    if before is None or after is None:
        return after if before is None else before
    if not (isinstance(before, dict) and isinstance(after, dict)):
        # A row nested too deeply to be read as JSON is kept as its text.
        return [before, after]
    return {column: [before.get(column), after.get(column)] for column in _changed(before, after)}


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    if before.keys() != after.keys():
        return [column for column in {**before, **after} if _differ(before.get(column), after.get(column))]
    return [
        column
        for column, new in after.items()
        # Most values are the same, of a kind for which that is all: decided here, without a call.
        if ((old := before[column]) != new or type(old) is not type(new) or type(new) not in _FLAT)
        and _differ(old, new)
    ]


def _differ(old: Any, new: Any) -> bool:
    """To Python 1 equals True, inside lists and objects too."""
    if old != new:
        return True
    is_ambiguous = type(old) is not type(new) or isinstance(old, dict | list)
    return is_ambiguous and canonical(old) != canonical(new)


def _hidden(
    row: dict[str, Any],
    subject: str | None,
    key_of: Callable[[str], Sealer | None],
    *,
    kind: str,
    named: list[str],
    like: tuple[dict[str, Any], dict[str, Any]] = ({}, {}),
) -> dict[str, Any]:
    """The row without a personal value in clear. `like` is a row in clear, and what became of it."""
    key = key_of(subject) if subject else None
    same, hidden = like
    shown = dict(row)
    for column in named:
        value = row.get(column)
        if value is None:
            continue
        if key is None:
            shown[column] = ERASED if subject else WITHHELD
        elif column in same and not _differ(same[column], value):
            shown[column] = hidden[column]
        else:
            shown[column] = key.seal(value, column=f"{kind}.{column}")
    return shown


def _loaded(text: str | None) -> Any:
    return None if text is None else loads_exact(text)


def _columns(text: str | None) -> dict[str, Any] | None:
    """A row as its columns, also one that is nested too deeply to be read as a whole: no column may escape sealing."""
    row = _loaded(text)
    if text is None or isinstance(row, dict):
        return row if text is not None else None
    return {column: loads_exact(value) for column, value in _split(text).items()}


def _split(text: str) -> dict[str, str]:
    """The JSON of each member of an object, however deep."""
    found: dict[str, str] = {}
    depth, key, start = 0, "", 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in ("]", "}"):
            depth -= 1
        if (depth, token) in ((0, "}"), (1, ",")):
            if start:
                found[key] = text[start : match.start()].strip()
            start = 0
        elif depth == 1 and not start:
            if token == ":":  # noqa: S105 - of JSON
                start = match.end()
            elif token[0] == '"':
                key = str(loads_exact(token))
        if token in ("[", "{"):
            depth += 1
    return found


def _settled(value: Any, *texts: str | None) -> Any:
    """As it is read back: changes are nested deeper than their rows, and what is too deep is its text."""
    if any(text is not None and text.count("[") + text.count("{") >= MAX_DEPTH - 2 for text in texts):
        return loads_exact(_dumped(value))
    return value
