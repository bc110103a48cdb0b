"""CSV and NDJSON, record by record, with the byte after each: reading can go on where it stopped.

What is wrong with one line stays its own fault: a quotation mark nobody closes does not swallow the lines after it.
"""

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

FORMATS = ("csv", "ndjson")
MAX_LINE_BYTES = 1024 * 1024
# A quoted cell may run over lines; one that runs over more than this was never closed.
MAX_LINES_A_RECORD = 50
MAX_COLUMNS = 1000

_BOM = b"\xef\xbb\xbf"
_DELIMITERS = ",;\t"


class UnusableFile(ValueError):
    """The file cannot be read at all: its encoding or its header is wrong. The message says what to change."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its line, the byte and line after it, and either its row or what is wrong with it."""

    line: int
    end: int
    last_line: int
    row: dict[str, Any] | None
    fault: str = ""


class _Fault(ValueError):
    """This record cannot be read; the message says why."""


def records(file: IO[bytes], format_: str, *, end: int = 0, last_line: int = 0) -> Iterator[Record]:
    """The records of a file from a position on. Empty lines are passed over. Raises UnusableFile."""
    file.seek(0)
    if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
        raise UnusableFile("the file is UTF-16: save it as UTF-8.")
    file.seek(0)
    return _csv(file, end, last_line) if format_ == "csv" else _ndjson(file, end, last_line)


def header(file: IO[bytes]) -> tuple[list[str], str]:
    """The column names of a CSV file and its delimiter (`,`, `;` or tab). Raises UnusableFile."""
    file.seek(0)
    try:
        text = _text(file.readline(MAX_LINE_BYTES + 1).removeprefix(_BOM)).rstrip("\r\n")
        delimiter = max(_DELIMITERS, key=text.count)
        names = [name.strip() for name in _cells(text, delimiter)]
    except _Fault as e:
        raise UnusableFile(f"the header {e}") from e
    if not text.strip():
        raise UnusableFile("the file is empty: its first line must name the columns.")
    if "" in names or len(set(names)) != len(names) or len(names) > MAX_COLUMNS:
        raise UnusableFile(f"the header must name each of at most {MAX_COLUMNS} columns, and none twice.")
    return names, delimiter


def _ndjson(file: IO[bytes], end: int, last_line: int) -> Iterator[Record]:
    file.seek(end)
    line = last_line
    while content := _line(file):
        line += 1
        end = file.tell()
        if line == 1:
            content = content.removeprefix(_BOM)
        if content.strip():
            try:
                yield Record(line, end, line, _object(_text(content)))
            except _Fault as e:
                yield Record(line, end, line, None, str(e))


def _csv(file: IO[bytes], end: int, last_line: int) -> Iterator[Record]:
    names, delimiter = header(file)
    if end == 0:
        end, last_line = file.tell(), 1
    file.seek(end)
    line = last_line
    while content := _line(file):
        line += 1
        end = file.tell()
        if not content.strip():
            continue
        try:
            text, more = _text(content), 0
            if text.count('"') % 2:
                text, more = _quoted(file, text)
            row = _row(names, _cells(text.rstrip("\r\n"), delimiter))
        except _Fault as e:
            # The lines after the first may be good ones, taken in by a stray quotation mark.
            file.seek(end)
            yield Record(line, end, line, None, str(e))
        else:
            first, end, line = line, file.tell(), line + more
            yield Record(first, end, line, row)


def _quoted(file: IO[bytes], text: str) -> tuple[str, int]:
    """The record whose quoted cell runs over the end of its line, and how many lines it took."""
    for more in range(1, MAX_LINES_A_RECORD):
        following = _line(file)
        if not following:
            break
        text += _text(following)
        if text.count('"') % 2 == 0:
            return text, more
    raise _Fault("opens a quotation mark that is not closed.")


def _line(file: IO[bytes]) -> bytes:
    """The next line; of one that is too long the rest is passed over, and its length stays the sign of it."""
    content: bytes = file.readline(MAX_LINE_BYTES + 1)
    rest = content
    while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
        rest = file.readline(MAX_LINE_BYTES + 1)
    return content


def _text(content: bytes) -> str:
    if len(content) > MAX_LINE_BYTES:
        raise _Fault(f"is longer than {MAX_LINE_BYTES} bytes.")
    try:
        return content.decode()
    except UnicodeDecodeError as e:
        raise _Fault(f"is not UTF-8 at byte {e.start + 1}.") from e


def _object(text: str) -> dict[str, Any]:
    try:
        row = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as e:
        raise _Fault(f"is not JSON: {e.msg} at column {e.colno}.") from e
    except _Fault:
        raise
    except (ValueError, RecursionError) as e:
        raise _Fault("is not JSON that can be read.") from e
    if not isinstance(row, dict):
        raise _Fault("is not an object.")
    return row


def _no_constant(_name: str) -> None:
    raise ValueError


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _Fault("holds a number beyond those that can be kept.")
    return number


def _cells(text: str, delimiter: str) -> list[str]:
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error as e:
        raise _Fault("is not CSV: check its quotation marks.") from e


def _row(names: list[str], cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(names):
        raise _Fault(f"has {len(cells)} columns, the header has {len(names)}.")
    return dict(zip(names, cells, strict=True))
