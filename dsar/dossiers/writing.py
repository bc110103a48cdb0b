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
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol
from uuid import UUID

import orjson
from django.db.models import Q

from customers import catalogue, spelling
from customers.models import Customer
from customers.particulars import PROVIDED
from dsar.dossiers import records
from dsar.models import DsarRequest, RequestType
from kaireon.lib import clock
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.kept import Kept

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

# What is shown of requests, and whose they are.
_OF_REQUESTS = (
    *("tenant", "request_type", "subject_type", "subject_sealed", "pseudonym", "customer_ref"),
    *("regulation", "received_at", "due_on", "status", "outcome", "closed_at"),
)
_IN_ORDER = ("requested_at", "pk")
_ALONE = Kept(
    lambda request: DsarRequest.objects.filter(pk=request).only(*_OF_REQUESTS).order_by(*_IN_ORDER), request=UUID
)
_BESIDE = Kept(
    lambda request, customer: (
        DsarRequest.objects.filter(Q(pk=request) | Q(customer_ref=customer)).only(*_OF_REQUESTS).order_by(*_IN_ORDER)
    ),
    request=UUID,
    customer=UUID,
)


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
    sections: Sequence[str],
    asked: Sequence[DsarRequest],
    customer: Customer | None,
    customer_id: str | None,
    now: datetime,
    between: Callable[[], object] = lambda: None,
) -> dict[str, int]:
    """Write these sections about a subject, with what they `asked`; returns the number of rows by section.

    `between` is called now and then. Call it in a transaction that sees one moment.
    """
    head = {"customerId": customer_id, "exportedAt": clock.rfc3339(now), "encrypted": False}
    sink.write(json.dumps(head, ensure_ascii=False).encode()[:-1] + b", " + OPENING)
    counts: dict[str, int] = {}
    for section, blocks in _read(sections, asked, customer):
        name = (b",\n" if counts else b"") + json.dumps(section).encode()
        counts[section] = (_one if section == "profile" else _many)(sink, name, blocks, between)
    sink.write(b"\n" + CLOSING + json.dumps(counts).encode() + b"}")
    return counts


def sections_of(request_type: str) -> tuple[str, ...]:
    """What a package shows: to take along is what the person provided (Article 20), and nothing else."""
    if request_type == RequestType.PORTABILITY:
        return tuple(section for section in SECTIONS if section in PROVIDED)
    return SECTIONS


def requests_about(request_id: UUID, customer_pk: UUID | None) -> list[DsarRequest]:
    """The subject's requests, this one among them, oldest first."""
    if customer_pk is None:
        return _ALONE.all(request=request_id)
    return _BESIDE.all(request=request_id, customer=customer_pk)


def _read(
    sections: Sequence[str], asked: Sequence[DsarRequest], customer: Customer | None
) -> Generator[tuple[str, Iterable[bytes]]]:
    """Each section with its rows, as customers/spelling.py gives them. Read each to its end."""
    keys = records.own_key(customer)
    selects = {section: _select(section, customer) for section in sections}
    given = {"customer": customer and customer.pk, "requests": [str(one.pk) for one in asked]}
    # Closed whatever happens: until then the connection may be busy with them, and could not roll back.
    with closing(spelling.sections({name: sql for name, sql in selects.items() if sql}, given)) as rows:
        found = groupby(rows, key=itemgetter(0))
        for section, select in selects.items():
            if select:
                # As they are asked for, so they come: a section without rows, too.
                _, parts = next(found)
                blocks = (block for _, block in parts if block)
                yield section, records.shown(blocks, keys) if section == "auditLogs" else blocks
            else:
                yield section, _together(map(_request_row, asked)) if section == "dsarRequests" else ()


def _select(section: str, customer: Customer | None) -> str:
    """The statement of a section's rows; empty where there are none in the database, or none of its own form."""
    if section == "auditLogs":
        return records.select(customer)
    if section == "dsarRequests" or customer is None:
        return ""
    return " UNION ALL ".join(entity.spelled_select() for entity in catalogue.shown_in(section))


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


def _together(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    block = b"".join(spelling.BEFORE + orjson.dumps(row) for row in rows)
    if block:
        yield block


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
