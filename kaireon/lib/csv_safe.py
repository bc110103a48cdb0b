"""CSV that a spreadsheet opens as text, never as a formula (OWASP "CSV Injection")."""

import csv
from collections.abc import Iterable
from typing import Protocol

# What starts a formula, a DDE call or a Lotus function; the full-width forms are folded to ASCII by some imports.
STARTERS = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")

# Importers that trim a cell would bring a starter behind these to the front. None of them can be seen.
INVISIBLE = (
    " \x00\v\f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)


class Sink(Protocol):
    """Anything that takes text: an open file, a StringIO, an echo buffer of a streaming answer."""

    def write(self, text: str, /) -> object: ...


def neutral(cell: object) -> object:
    """The cell, with an apostrophe before it when a spreadsheet would otherwise run it.

    Only text can carry a formula; numbers, dates and None come back as they are, so a negative number stays a number.
    Text that looks like one (`"-5"`) is neutralised too: nothing about a text says who wrote it.
    """
    if not isinstance(cell, str) or not cell:
        return cell
    if cell[0] in STARTERS:
        return "'" + cell
    bare = cell.lstrip(INVISIBLE)
    return "'" + cell if bare and bare[0] in STARTERS else cell


def neutral_row(cells: Iterable[object]) -> list[object]:
    return [neutral(cell) for cell in cells]


class SafeWriter:
    """A csv.writer (RFC 4180, CRLF) that neutralises each cell.

    Text is always quoted, so no separator or quotation mark inside a cell can start another one.
    """

    def __init__(self, sink: Sink) -> None:
        self._writer = csv.writer(sink, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")

    def writerow(self, cells: Iterable[object]) -> None:
        self._writer.writerow(neutral_row(cells))

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        for row in rows:
            self.writerow(row)
