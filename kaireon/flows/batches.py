"""Rows between two steps: in storage, in batches, sealed, and gone when the run is.

Names are made of run, step and number, so a step that is begun again writes over what it wrote before.
"""

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.files.base import ContentFile, File
from django.core.files.storage import default_storage

from kaireon.lib.sealing import open_sealed, seal
from kaireon.tenancy import context
from kaireon.tenancy.keyring import keyring

BATCH_ROWS = 1000

# A row and the line of its source it came from.
Numbered = tuple[int, dict[str, Any]]


class NameTaken(RuntimeError):
    """The storage gave a file another name than the one asked for, though the old one was deleted."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that a step refused: the line of its source, the field, and why. Never a value."""

    line: int
    field: str
    reason: str


def folder() -> str:
    """Where the active tenant's pipelines keep files: `flows/<tenant>`."""
    return f"flows/{context.tenant_id()}"


def write(run_id: UUID, step: str, number: int, rows: Sequence[Numbered]) -> None:
    name = _batch(run_id, step, number)
    packed = zlib.compress(json.dumps(rows, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass"), 1)
    put(name, ContentFile(seal(packed, context=name, keyring=keyring())))


def read(run_id: UUID, step: str, number: int) -> list[Numbered]:
    """Raises FileNotFoundError when the run's batches were dropped."""
    name = _batch(run_id, step, number)
    with default_storage.open(name) as file:
        packed = open_sealed(file.read(), context=name, keyring=keyring())
    return [(line, row) for line, row in json.loads(zlib.decompress(packed).decode("utf-8", "surrogatepass"))]


def write_rejects(run_id: UUID, step: str, number: int, rejects: Iterable[Reject]) -> None:
    """Write what a batch refused, or remove what an earlier try of the same batch did."""
    said = [[r.line, r.field, r.reason] for r in rejects]
    name = f"{_batch(run_id, step, number)}.rejects"
    if said:
        put(name, ContentFile(json.dumps(said).encode()))


def rejects(run_id: UUID, step: str, upto: int) -> Iterable[Reject]:
    """What a step refused in its first `upto` batches."""
    for number in range(upto):
        name = f"{_batch(run_id, step, number)}.rejects"
        if default_storage.exists(name):
            with default_storage.open(name) as file:
                yield from (Reject(*entry) for entry in json.load(file))


def drop(run_id: UUID, steps: Iterable[tuple[str, int]]) -> None:
    """Remove the batches of these steps, given with how many each wrote. One more may lie there after a crash."""
    for step, count in steps:
        for number in range(count + 1):
            name = _batch(run_id, step, number)
            default_storage.delete(name)
            default_storage.delete(f"{name}.rejects")
    # An empty folder on a disk; on an object store there is no such thing.
    default_storage.delete(_work(run_id))


def put(name: str, content: "File[Any]") -> None:
    """Write an object under exactly this name, in the place of an earlier one. Raises NameTaken."""
    default_storage.delete(name)
    given = default_storage.save(name, content)
    if given != name:
        default_storage.delete(given)
        raise NameTaken(name)


def _work(run_id: UUID) -> str:
    return f"{folder()}/work/{run_id}"


def _batch(run_id: UUID, step: str, number: int) -> str:
    return f"{_work(run_id)}/{step}.{number:06}"
