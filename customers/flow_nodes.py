"""Where pipelines meet customers and files: the nodes that load and write them.

Rows of customers' entities have the fields of the ingest API, so what is loaded can be written again. Files lie under
the tenant's folder in storage, `flows/<tenant>/`.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from tempfile import TemporaryFile
from typing import Any
from uuid import UUID

from django.core.files.base import File
from django.core.files.storage import default_storage

from customers import ingest, rows
from customers.models import ConsentRecord, Customer, Interaction
from kaireon.flows import batches, files
from kaireon.flows.batches import BATCH_ROWS, Numbered, Reject
from kaireon.flows.engine import Permanent
from kaireon.flows.nodes import (
    Kind,
    Loaded,
    Node,
    ParamInvalid,
    Params,
    columns,
    file_path,
    only,
    register,
    text,
)
from kaireon.lib import clock
from kaireon.lib.canonical import exact
from kaireon.lib.csv_safe import neutral

# Entity: its model, the fields of its rows, and the service that stores them.
ENTITIES: dict[str, tuple[Any, Mapping[str, rows.Field], Callable[..., ingest.Outcome]]] = {
    "customers": (Customer, rows.CUSTOMER, ingest.ingest_customers),
    "interactions": (Interaction, rows.INTERACTION, ingest.ingest_interactions),
    "consents": (ConsentRecord, rows.CONSENT, ingest.ingest_consents),
}
_OBJECTS = ("attributes", "context")
BATCH_BYTES = 4 * 1024 * 1024


class FileMissing(Permanent):
    """The file a pipeline reads is not there. Put it there, or change the path."""


class FileUnusable(Permanent):
    """The file a pipeline reads cannot be read at all, or the one it writes cannot hold the rows."""


# --- Entities ---------------------------------------------------------------------------------------------------------


def _check_entity(params: Params) -> None:
    only(params, "entity", required=("entity",))
    text(params, "entity", choices=ENTITIES)


def _load_entity(params: Params, position: Any) -> Iterator[Loaded]:
    """In order of their ids; those that come while it reads are read too."""
    model, fields, _ = ENTITIES[params["entity"]]
    found = model._default_manager.order_by("pk")
    if model is not Customer:
        # What erasure left as evidence is of nobody any more.
        found = found.filter(customer__isnull=False)
    names = {name: _path(model, field.column) for name, field in fields.items()}
    total = max(1, found.count())
    line, after = position or (0, None)
    while True:
        further = found.filter(pk__gt=UUID(after)) if after else found
        part = list(further.values_list("pk", *names.values())[:BATCH_ROWS])
        if not part:
            return
        numbered: list[Numbered] = [
            (line + n, dict(zip(names, map(exact, values), strict=True))) for n, (_, *values) in enumerate(part, 1)
        ]
        line, after = line + len(part), str(part[-1][0])
        yield Loaded(rows=numbered, rejects=[], position=[line, after], share=min(1.0, line / total))


def _path(model: type[object], column: str) -> str:
    return "customer__customer_id" if column == "customer_id" and model is not Customer else column


def _write_entity(params: Params, given: Sequence[Numbered]) -> list[Reject]:
    """Through the ingest service: a row that is there already changes nothing, so a batch may come twice."""
    _, _, store = ENTITIES[params["entity"]]
    outcome = store([_shaped(row) for _, row in given], now=clock.now())
    return [Reject(given[error.index][0], error.field[:64], error.message) for error in outcome.errors]


def _shaped(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row as ingest takes it: an empty cell says nothing, `attributes.tier` is a member of attributes."""
    shaped: dict[str, Any] = {}
    for name, value in row.items():
        outer, dot, inner = name.partition(".")
        if value == "" or value is None:
            continue
        if dot and outer in _OBJECTS:
            members = shaped.setdefault(outer, {})
            if isinstance(members, dict):
                members[inner] = value
        elif name in _OBJECTS and isinstance(value, str):
            shaped[name] = _json_or_text(value)
        else:
            shaped[name] = value
    return shaped


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        # Ingest refuses the row and says why.
        return value


# --- Files ------------------------------------------------------------------------------------------------------------


def _check_load_file(params: Params) -> None:
    only(params, "file", "format", required=("file", "format"))
    if "{" in file_path(params):
        raise ParamInvalid("file", "may hold {run} where a file is written only.")
    text(params, "format", choices=files.FORMATS)


def _load_file(params: Params, position: Any) -> Iterator[Loaded]:
    name = f"{batches.folder()}/{params['file']}"
    end, line = position or (0, 0)
    try:
        opened = default_storage.open(name)
    except FileNotFoundError as e:
        raise FileMissing("The file it reads is not there: put it under the tenant's folder, or change 'file'.") from e
    with opened as file:
        size = max(1, file.size)
        try:
            found = files.records(file, params["format"], end=end, last_line=line)
            for part in _parts(found, end):
                yield Loaded(
                    rows=[(record.line, record.row) for record in part if record.row is not None],
                    rejects=[Reject(record.line, "", record.fault) for record in part if record.row is None],
                    position=[part[-1].end, part[-1].last_line],
                    share=min(1.0, part[-1].end / size),
                )
        except files.UnusableFile as e:
            raise FileUnusable(f"Of the file it reads, {e}") from e


def _parts(found: Iterable[files.Record], end: int) -> Iterator[list[files.Record]]:
    """In batches, none of them much larger than BATCH_BYTES: a line may be a megabyte, and a batch is in memory."""
    part: list[files.Record] = []
    for record in found:
        part.append(record)
        if len(part) == BATCH_ROWS or record.end - end >= BATCH_BYTES:
            yield part
            end, part = record.end, []
    if part:
        yield part


def _check_write_file(params: Params) -> None:
    only(params, "file", "format", "columns", required=("file", "format"))
    file_path(params)
    text(params, "format", choices=files.FORMATS)
    if "columns" in params:
        columns(params)


def _write_file(params: Params, run_id: str, given: Iterable[list[Numbered]]) -> Iterator[str]:
    """Through a local file: the object in storage is whole, or the one from before."""
    name = f"{batches.folder()}/{params['file'].replace('{run}', run_id)}"
    with TemporaryFile() as file:
        out = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
        write = _csv_writer(out, params.get("columns")) if params["format"] == "csv" else _ndjson_writer(out, params)
        for batch in given:
            write([row for _, row in batch])
            yield ""
        out.detach().seek(0)
        batches.put(name, File(file))
    yield name


def _csv_writer(out: io.TextIOWrapper, named: list[str] | None) -> Callable[[list[dict[str, Any]]], None]:
    """Columns as named, or as the first batch has them. Cells that a spreadsheet would run are neutralised."""
    writer = csv.writer(out, lineterminator="\r\n")
    header: list[str] = list(named or ())
    known: set[str] = set(header)
    if named:
        writer.writerow([neutral(name) for name in header])

    def write(batch: list[dict[str, Any]]) -> None:
        if not header and batch:
            header.extend(dict.fromkeys(name for row in batch for name in row))
            known.update(header)
            writer.writerow([neutral(name) for name in header])
        for row in batch:
            if not named and not known.issuperset(row):
                raise FileUnusable("Later rows have columns the first ones have not: name them all in 'columns'.")
            writer.writerow([neutral(_cell(row.get(name))) for name in header])

    return write


def _ndjson_writer(out: io.TextIOWrapper, params: Params) -> Callable[[list[dict[str, Any]]], None]:
    named = params.get("columns")

    def write(batch: list[dict[str, Any]]) -> None:
        for row in batch:
            shown = {name: row.get(name) for name in named} if named else row
            out.write(json.dumps(shown, ensure_ascii=False, allow_nan=False) + "\n")

    return write


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


for _node in (
    Node(
        name="load_entity",
        kind=Kind.LOAD,
        help=f"All {', '.join(ENTITIES)} of the tenant, by 'entity'.",
        check=_check_entity,
        load=_load_entity,
        in_transaction=True,
    ),
    Node(
        name="write_entity",
        kind=Kind.WRITE,
        help=f"Store rows as {', '.join(ENTITIES)}, by 'entity', as the ingest endpoints do.",
        check=_check_entity,
        write=_write_entity,
    ),
    Node(
        name="load_file",
        kind=Kind.LOAD,
        help="Rows of a CSV or NDJSON file in storage, under flows/<tenant>/.",
        check=_check_load_file,
        load=_load_file,
    ),
    Node(
        name="write_file",
        kind=Kind.WRITE_FILE,
        help="Write rows to a CSV or NDJSON file in storage, under flows/<tenant>/.",
        check=_check_write_file,
        write_file=_write_file,
    ),
):
    register(_node)
