"""Writing a portable dossier as it is read: JSON, a row a line, sealed chunk by chunk. Memory does not grow with it.

Each row, and each bracket of a section, has a line of its own: that is how dsar/dossiers/reading.py finds them again
without holding the whole. In one section after the other:

    {"customerId": …, "exportedAt": …, "encrypted": false, "data": {
    "profile": {…},
    "interactions": [
    {…},
    {…}
    ],
    …
    }, "counts": {…}}
"""

import hashlib
import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Any, Protocol

import orjson
from django.db.models import Q

from audit.models import AuditRecord
from audit.sealing import reveal, subject_keys
from customers import spelling
from customers.catalogue import CATALOGUE
from customers.models import Customer
from customers.particulars import PROVIDED
from dsar.models import DsarRequest, RequestType
from kaireon.lib import clock
from kaireon.lib.canonical import exact
from kaireon.tenancy.context import requires_transaction

SECTIONS = (
    "profile",
    "interactions",
    "summaries",
    "variantAssignments",
    "deliveries",
    "auditLogs",
    "consentRecords",
    "dsarRequests",
    "decisionTraces",
    "suppressions",
    "attributionResults",
    "identityLinks",
    "journeyEnrollments",
    "dynamicSchemaRows",
    "attachments",
)
OPENING = b'"data": {\n'
CLOSING = b'}, "counts": '
BEGINNING = b": [\n"
ENDING = b"]"

# Their changes are recorded by the statement, not by the row.
_IN_BULK = frozenset({"Interaction", "InteractionSummary", "DecisionTrace", "Delivery"})
# Columns that name who acted for the tenant, and what stands in their place.
_IN_OFFICE = re.compile(r"_by(_name)?$|^(assign|vouch)")
REDACTED = {"redacted": True}
_IDS_PER_QUERY = 2000
_RECORDS_AT_ONCE = 500
_BLOCK_BYTES = 64 * 1024
_RECORD_COLUMNS = ("id", "seq", "timestamp", "action", "entity_type", "entity_id", "changes", "actor_type")

_ENTITIES = {entity.section: entity for entity in CATALOGUE if entity.section}


class Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


class Tee:
    """Counts and hashes what goes into a sink."""

    def __init__(self, sink: Sink) -> None:
        self.size = 0
        self._sink = sink
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self._digest.update(data)
        self._sink.write(data)


@requires_transaction
def write(
    sink: Sink,
    *,
    request: DsarRequest,
    customer: Customer | None,
    customer_id: str | None,
    now: datetime,
    between: Callable[[], object] = lambda: None,
) -> dict[str, int]:
    """Write everything about a subject, or what they may take along; returns the number of rows by section.

    `between` is called now and then. Call it in a transaction that sees one moment (REPEATABLE READ).
    """
    head = {"customerId": customer_id, "exportedAt": clock.rfc3339(now), "encrypted": False}
    sink.write(json.dumps(head, ensure_ascii=False).encode()[:-1] + b", " + OPENING)
    counts: dict[str, int] = {}
    for number, section in enumerate(sections_of(request.request_type)):
        name = json.dumps(section).encode()
        write_section = _one if section == "profile" else _many
        # Closed whatever happens: until then the connection may be busy with them, and could not roll back.
        with closing(_blocks(section, request, customer)) as blocks:
            counts[section] = write_section(sink, (b",\n" if number else b"") + name, blocks, between)
    sink.write(b"\n" + CLOSING + json.dumps(counts).encode() + b"}")
    return counts


def sections_of(request_type: str) -> tuple[str, ...]:
    """What a package shows: to take along is what the person provided (Article 20), and nothing else."""
    if request_type == RequestType.PORTABILITY:
        return tuple(section for section in SECTIONS if section in PROVIDED)
    return SECTIONS


def requests_about(request: DsarRequest, customer: Customer | None) -> list[DsarRequest]:
    """The subject's requests, this one among them, oldest first."""
    about = Q(pk=request.pk)
    if customer is not None:
        about |= Q(customer_ref=customer.pk)
    return list(DsarRequest.objects.filter(about).order_by("requested_at", "pk"))


def _one(sink: Sink, name: bytes, blocks: Iterable[bytes], between: Callable[[], object]) -> int:
    found = b"".join(blocks)[len(spelling.BEFORE) :]
    sink.write(name + b": " + (found or b"null"))
    return int(bool(found))


def _many(sink: Sink, name: bytes, blocks: Iterable[bytes], between: Callable[[], object]) -> int:
    rows = 0
    for block in blocks:
        if not rows:
            sink.write(name + BEGINNING)
            block = block[len(spelling.BEFORE) :]  # noqa: PLW2901 - nothing stands before the first
            rows = 1
        rows += block.count(b"\n")
        sink.write(block)
        between()
    sink.write(b"\n" + ENDING if rows else name + b": []")
    return rows


def _blocks(section: str, request: DsarRequest, customer: Customer | None) -> Generator[bytes]:
    """The rows of a section as customers/spelling.py gives them."""
    if section == "dsarRequests":
        yield from _together(_request_row(row) for row in requests_about(request, customer))
    elif section == "auditLogs":
        yield from _together(_records(request, customer))
    elif customer is not None:
        yield from _ENTITIES[section].spelled_for_dossier(customer.pk)


def _together(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    block = bytearray()
    for row in rows:
        block += spelling.BEFORE
        block += orjson.dumps(row)
        if len(block) >= _BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def _request_row(request: DsarRequest) -> dict[str, Any]:
    return {
        "id": str(request.pk),
        "requestType": request.request_type,
        "subjectType": request.subject_type,
        "subjectId": request.subject_id,
        "regulation": request.regulation,
        "receivedAt": clock.rfc3339(request.received_at),
        "dueOn": request.due_on.isoformat(),
        "status": request.status,
        "outcome": request.outcome,
        "closedAt": clock.rfc3339(request.closed_at) if request.closed_at else None,
    }


def _records(request: DsarRequest, customer: Customer | None) -> Iterator[dict[str, Any]]:
    """The audit records of the subject's rows, by the row's kind, with the subject's own sealed values opened.

    Without our own people: who acted in office is not the subject's data (CJEU C-579/21, Pankki S). That goes for what
    the rows themselves say of it too.
    """
    keys: reveal.Keys | None = None if customer is None else _own_key(customer)
    for entity_type, ids in _recorded(request, customer):
        for some in _batches(str(pk) for pk in ids):
            rows = AuditRecord.objects.filter(entity_type=entity_type, entity_id__in=some).order_by("seq")
            for row in rows.values(*_RECORD_COLUMNS).iterator(chunk_size=_RECORDS_AT_ONCE):
                yield {
                    "id": str(row["id"]),
                    "seq": row["seq"],
                    "timestamp": clock.rfc3339(row["timestamp"]),
                    "action": row["action"],
                    "entityType": row["entity_type"],
                    "entityId": row["entity_id"],
                    "changes": exact(_readable(row["entity_type"], row["changes"], keys)),
                    "actorType": row["actor_type"],
                }


def _recorded(request: DsarRequest, customer: Customer | None) -> Iterator[tuple[str, Iterable[object]]]:
    """The kinds of rows that have records of their own, and the ids of those of the dossier."""
    if customer is not None:
        for entity in CATALOGUE:
            kind = entity.model_class.__name__
            if entity.section and entity.section != "dsarRequests" and kind not in _IN_BULK:
                yield kind, entity.ids_for_dossier(customer.pk)
    yield DsarRequest.__name__, (row.pk for row in requests_about(request, customer))


def _own_key(customer: Customer) -> reveal.Keys:
    """The one key whose values are shown: what else stands in these records is somebody else's."""
    key_id = subject_keys.id_of(str(customer.pk))
    return {} if key_id is None else subject_keys.by_id([key_id])


def _readable(entity_type: str, changes: Any, keys: reveal.Keys | None) -> Any:
    shown = reveal.open_contents(entity_type, changes, keys).value if keys else changes
    if not isinstance(shown, dict):
        return shown
    return {column: REDACTED if _IN_OFFICE.search(column) else value for column, value in shown.items()}


def _batches(values: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(values)
    while some := list(islice(rest, _IDS_PER_QUERY)):
        yield some
