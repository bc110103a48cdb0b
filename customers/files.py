"""Files of rows to import: the columns of a CSV file under the names that ingest knows, cells made members of objects.

How records are read, with their lines and positions, is kaireon/flows/files.py.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from kaireon.flows.files import Record, UnusableFile, header, records

__all__ = ["Record", "UnusableFile", "rows"]

# Columns that hold objects: one cell with JSON, or a column for each member, `attributes.tier`.
_OBJECTS = ("attributes", "context")


def rows(file: BinaryIO, format_: str, *, known: Sequence[str], end: int = 0, last_line: int = 0) -> Iterator[Record]:
    """The records of a file from a position on, each with the row that ingest takes, or what is wrong with it.

    A column of a CSV file (RFC 4180, with `,`, `;` or tab) is one of `known`, in camelCase or snake_case, or
    `attributes.…` and `context.…` for a member of that object; empty cells are left out. Raises UnusableFile.
    """
    found = records(file, format_, end=end, last_line=last_line)
    if format_ != "csv":
        return found
    names = _columns(header(file)[0], known)
    return (record if record.row is None else _shaped(record, names) for record in found)


def _columns(given: list[str], known: Sequence[str]) -> list[str]:
    names = [_camel(name) for name in given]
    unknown = [n for n in names if n not in known and n.partition(".")[0] not in _OBJECTS]
    if unknown or len(set(names)) != len(names):
        fault = f"names {unknown[0][:64]!r}" if unknown else "names a column twice"
        raise UnusableFile(f"the header {fault}: columns are {', '.join(known)} and attributes.… or context.…")
    return names


def _camel(name: str) -> str:
    if "." in name or "_" not in name:
        return name
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _shaped(record: Record, names: list[str]) -> Record:
    row: dict[str, Any] = {}
    for name, cell in zip(names, (record.row or {}).values(), strict=True):
        if not cell.strip():
            continue
        outer, _, inner = name.partition(".")
        if inner:
            row.setdefault(outer, {})[inner] = cell
        elif name in _OBJECTS:
            try:
                row[name] = json.loads(cell, parse_constant=_no_constant)
            except (ValueError, RecursionError):
                return replace(record, row=None, fault=f"has no JSON in {name}.")
        else:
            row[name] = cell
    return replace(record, row=row)


def _no_constant(_name: str) -> None:
    raise ValueError
