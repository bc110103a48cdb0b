"""Reading a portable dossier back, a row at a time: dsar/dossiers/writing.py gives each row a line of its own."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from dsar.dossiers.writing import CLOSING, OPENING

_OPENING, _CLOSING = OPENING.rstrip(b"\n"), CLOSING
# What stands before the rows, and what behind them, is shorter.
_MOST_AROUND = 16 * 1024


class Outline:
    """What a dossier says of itself, from its two ends: tell it every chunk that goes by."""

    def __init__(self) -> None:
        self._start = self._end = b""

    def follow(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if len(self._start) < _MOST_AROUND:
                self._start += chunk
            self._end = (self._end + chunk)[-_MOST_AROUND:]
            yield chunk

    @property
    def head(self) -> dict[str, Any]:
        """`customerId`, `exportedAt` and `encrypted`. Known after the first chunk."""
        before = self._start[: self._start.index(b', "data": {')]
        return dict(json.loads(before + b"}"))

    @property
    def counts(self) -> dict[str, int]:
        """Known after the last chunk."""
        return dict(json.loads(self._end[self._end.rindex(_CLOSING) + len(_CLOSING) : -1]))


def rows(chunks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Each row as JSON, with its section. A dossier of an earlier version, which has no lines, is held as a whole."""
    lines = _lines(chunks)
    first = next(lines)
    if not first.endswith(_OPENING):
        yield from _rows_of(orjson.loads(first + b"\n".join(lines)))
        return
    section = ""
    for line in lines:
        if line.startswith(b'"'):
            name, _, line = line.partition(b": ")  # noqa: PLW2901 - what stands behind the name may be a row
            section = str(orjson.loads(name))
        if line.startswith(b"{"):
            yield section, line.rstrip(b",")
        elif line.startswith(_CLOSING):
            return


def _rows_of(dossier: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    for section, found in dossier["data"].items():
        for row in [found] if isinstance(found, dict) else found or []:
            yield section, orjson.dumps(row)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    yield rest
