"""A record's changes, before and after, out of what the trigger wrote: exact numbers, personal values sealed. Pure.

What changed is worked out before anything is sealed, so that a value that stayed is not among the changes.
"""

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from audit.chain import Canonical
from audit.sealing.sealed import ERASED, WITHHELD, Sealer
from kaireon.lib.canonical import MAX_DEPTH, canonical, loads_exact


class Contents(NamedTuple):
    """The three as canonical JSON, the row's version, and the JSON to store where it is not what the trigger wrote."""

    changes: Canonical | None
    before: Canonical | None
    after: Canonical | None
    version: int | None
    texts: tuple[str | None, str | None, str | None]


# A number that loads_exact may have turned into text is at least this long: jsonb prints numbers without exponents.
_MAYBE_INEXACT = re.compile(r"[\d.]{16}|\\u")
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{},:]', re.DOTALL)

_dumped = json.JSONEncoder(ensure_ascii=False).encode


def plain(operation: str, changes_text: str | None, before_text: str | None, after_text: str | None) -> Contents:
    """Of an event (E), a bulk fact (B), or a row without personal columns."""
    before, after = _loaded(before_text), _loaded(after_text)
    changes = (
        _loaded(changes_text) if operation in "BE" else _settled(changes_of(before, after), before_text, after_text)
    )
    found = _written(changes, before, after)
    pairs = ((changes_text, changes), (before_text, before), (after_text, after))
    if any(text is not None and (_MAYBE_INEXACT.search(text) or type(value) is str) for text, value in pairs):
        return found
    return found._replace(texts=(found.texts[0] if operation == "U" else None, None, None))


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
    before, after = _columns(before_text), _columns(after_text)
    changed = None if before is None or after is None else _changed(before, after)
    whose_before, whose_after = subjects[0] or subjects[1], subjects[1] or subjects[0]
    # Equal values of one subject are sealed once.
    hide = partial(_hidden, kind=kind, named=named)
    hidden_before = None if before is None else hide(before, whose_before, key_of)
    same = before if hidden_before is not None and whose_before == whose_after else {}
    hidden_after = None if after is None else hide(after, whose_after, key_of, like=(same or {}, hidden_before or {}))
    changes = None
    if changed is not None and hidden_before is not None and hidden_after is not None:
        changes = {column: [hidden_before.get(column), hidden_after.get(column)] for column in changed}
    old, new, changes = (_settled(value, before_text, after_text) for value in (hidden_before, hidden_after, changes))
    if changes is None:
        # Of a creation or deletion, the row itself.
        changes = new if old is None else old
    return _written(changes, old, new)


def _written(changes: Any, before: Any, after: Any) -> Contents:
    old = None if before is None else Canonical(canonical(before))
    new = None if after is None else Canonical(canonical(after))
    if changes is None:
        said = None
    elif changes is after or changes is before:
        said = new if changes is after else old
    else:
        said = Canonical(canonical(changes))
    version = after.get("version") if isinstance(after, dict) else None
    texts = (_text(said), _text(old), _text(new))
    return Contents(said, old, new, version if type(version) is int else None, texts)


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
    return [column for column in {**before, **after} if _differ(before.get(column), after.get(column))]


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
