"""Files of rows, read record by record with line numbers and byte positions: reading can go on where it stopped.

What is wrong with one line stays its own fault: a quotation mark nobody closes does not swallow the lines after it.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

MAX_LINE_BYTES = 1024 * 1024
# A quoted field may run over lines; one that runs over more than this was never closed.
MAX_LINES_A_RECORD = 50

_BOM = b"\xef\xbb\xbf"
_OTHER_UNICODE = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = ",;\t"


class UnusableFile(ValueError):
    """The file cannot be read at all: its encoding or its header is wrong. The message says what to change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One record: where it begins, the byte after it, and either its row or what is wrong with it."""

    line: int
    end: int
    row: Mapping[str, Any] | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    end: int
    content: bytes


class _Lines:
    """The lines of a file from a position on; some can be put back."""

    def __init__(self, file: BinaryIO, *, offset: int, line: int) -> None:
        file.seek(offset)
        self._file = file
        self._end = offset
        self._number = line
        self._returned: list[_Line] = []

    def take(self) -> _Line | None:
        if self._returned:
            return self._returned.pop()
        content = self._file.readline(MAX_LINE_BYTES + 1)
        if not content:
            return None
        self._end += len(content)
        # The rest of a line that is too long is passed over; its length stays the sign of it.
        rest = content
        while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = self._file.readline(MAX_LINE_BYTES + 1)
            self._end += len(rest)
        self._number += 1
        if self._number == 1:
            content = content.removeprefix(_BOM)
        return _Line(self._number, self._end, content)

    def put_back(self, lines: Sequence[_Line]) -> None:
        self._returned.extend(reversed(lines))


def ndjson_records(file: BinaryIO, *, offset: int = 0, line: int = 0) -> Iterator[Record]:
    """JSON objects, one a line. Empty lines are passed over."""
    _check_encoding(file)
    lines = _Lines(file, offset=offset, line=line)
    while found := lines.take():
        if found.content.strip():
            yield _json_record(found)


def csv_records(file: BinaryIO, *, known: Sequence[str], offset: int = 0, line: int = 0) -> Iterator[Record]:
    """Rows of a CSV file (RFC 4180, with `,`, `;` or tab) under the names of its header, empty cells left out.

    A name is one of `known`, in camelCase or snake_case, or `attributes.…` and `context.…` for a member of that object.
    Raises UnusableFile.
    """
    _check_encoding(file)
    lines = _Lines(file, offset=0, line=0)
    first = lines.take()
    if first is None:
        raise UnusableFile("the file is empty: its first line must name the columns.")
    delimiter, header = _header(first.content, known)
    if offset:
        lines = _Lines(file, offset=offset, line=line)
    while found := lines.take():
        if found.content.strip():
            yield _csv_record(found, lines, delimiter, header)


def _check_encoding(file: BinaryIO) -> None:
    file.seek(0)
    if file.read(2) in _OTHER_UNICODE:
        raise UnusableFile("the file is UTF-16: save it as UTF-8.")


def _json_record(line: _Line) -> Record:
    try:
        row = json.loads(_text(line), parse_constant=_no_constant)
    except _Unusable as e:
        return Record(line=line.number, end=line.end, fault=str(e))
    except json.JSONDecodeError as e:
        return Record(line=line.number, end=line.end, fault=f"is not JSON: {e.msg} at column {e.colno}.")
    except (ValueError, RecursionError):
        return Record(line=line.number, end=line.end, fault="is not JSON that can be read.")
    if not isinstance(row, dict):
        return Record(line=line.number, end=line.end, fault="is not an object.")
    return Record(line=line.number, end=line.end, row=row)


def _no_constant(_name: str) -> None:
    raise ValueError


class _Unusable(ValueError):
    """This line cannot be read; the message says why."""


def _text(line: _Line) -> str:
    if len(line.content) > MAX_LINE_BYTES:
        raise _Unusable(f"is longer than {MAX_LINE_BYTES} bytes.")
    try:
        return line.content.decode("utf-8")
    except UnicodeDecodeError as e:
        raise _Unusable(f"is not UTF-8 at byte {e.start + 1}.") from e


def _header(content: bytes, known: Sequence[str]) -> tuple[str, list[str]]:
    try:
        text = _text(_Line(1, 0, content)).rstrip("\r\n")
    except _Unusable as e:
        raise UnusableFile(f"the header {e}") from e
    delimiter = max(_DELIMITERS, key=text.count)
    try:
        names = [_camel(name.strip()) for name in _cells(text, delimiter)]
    except _Unusable as e:
        raise UnusableFile(f"the header {e}") from e
    unknown = [n for n in names if n not in known and not n.startswith(("attributes.", "context."))]
    if unknown or len(set(names)) != len(names):
        fault = f"names {unknown[0][:64]!r}" if unknown else "names a column twice"
        raise UnusableFile(f"the header {fault}: columns are {', '.join(known)} and attributes.… or context.…")
    return delimiter, names


def _camel(name: str) -> str:
    if "." in name or "_" not in name:
        return name
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _csv_record(first: _Line, lines: _Lines, delimiter: str, header: list[str]) -> Record:
    group = [first]
    try:
        text = _text(first)
        while text.count('"') % 2 and len(group) < MAX_LINES_A_RECORD and (following := lines.take()):
            group.append(following)
            text += _text(following)
        row = _row(header, _cells(text.rstrip("\r\n"), delimiter))
    except _Unusable as e:
        # The lines after the first may be good ones, taken in by a stray quotation mark.
        lines.put_back(group[1:])
        fault = "opens a quotation mark that is not closed." if len(group) > 1 else str(e)
        return Record(line=first.number, end=first.end, fault=fault)
    return Record(line=first.number, end=group[-1].end, row=row)


def _cells(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error as e:
        raise _Unusable("is not CSV: check its quotation marks.") from e


def _row(header: list[str], cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(header):
        raise _Unusable(f"has {len(cells)} columns, the header has {len(header)}.")
    row: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        if not cell.strip():
            continue
        outer, _, inner = name.partition(".")
        if inner:
            row.setdefault(outer, {})[inner] = cell
        elif name in ("attributes", "context"):
            row[name] = _object(name, cell)
        else:
            row[name] = cell
    return row


def _object(name: str, cell: str) -> Any:
    try:
        return json.loads(cell, parse_constant=_no_constant)
    except (ValueError, RecursionError) as e:
        raise _Unusable(f"has no JSON in {name}.") from e
