"""What a dossier is: everything about one customer, read at one moment, as JSON; sealed at rest, or in an envelope.

Portable: `{customerId, exportedAt, encrypted: false, data: {section: rows}, counts: {section: number}}`, `profile`
being one object or null. Envelope: `{encrypted: true, data: {ciphertext, format, keyVersion, context}}`, whose
ciphertext is the base64 of a sealed portable dossier (kaireon/lib/sealing.py).
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from django.db.models import Q

from audit.models import AuditRecord
from audit.sealing import reveal, subject_keys
from customers.catalogue import CATALOGUE
from customers.models import Customer
from dsar.models import Dossier, DsarRequest
from kaireon.lib import clock
from kaireon.lib.canonical import exact
from kaireon.lib.sealing import key_version, open_sealed
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.keyring import keyring

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
FORMAT = "encrypted-aes-256-gcm"

# Their changes are recorded by the statement, not by the row.
_IN_BULK = frozenset({"Interaction", "InteractionSummary", "DecisionTrace", "Delivery"})
_IDS_PER_QUERY = 2000


class NotAnEnvelope(ValueError):
    """The file holds no encrypted dossier."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A portable dossier, ready to be sealed."""

    data: bytes
    counts: dict[str, int]


@requires_transaction
def gather(*, request: DsarRequest, customer: Customer | None) -> dict[str, Any]:
    """Every section's rows. Call it in a transaction that sees one moment (REPEATABLE READ)."""
    data: dict[str, Any] = {section: [] for section in SECTIONS}
    ids: dict[str, list[str]] = {}
    for entity in CATALOGUE:
        if customer is None or entity.section is None or entity.section == "dsarRequests":
            continue
        rows = list(entity.rows_for_dossier(customer.pk))
        data[entity.section] += rows
        if entity.model_class.__name__ not in _IN_BULK:
            ids[entity.model_class.__name__] = [str(row["id"]) for row in rows]
    data["profile"] = data["profile"][0] if data["profile"] else None
    data["dsarRequests"] = [_request_row(row) for row in requests_about(request, customer)]
    ids["DsarRequest"] = [row["id"] for row in data["dsarRequests"]]
    data["auditLogs"] = list(_records(ids, None if customer is None else _own_key(customer)))
    return data


def package(*, customer_id: str | None, data: dict[str, Any], now: datetime) -> Package:
    """The portable dossier as UTF-8 JSON. Needs no transaction."""
    counts = {section: int(rows is not None) if section == "profile" else len(rows) for section, rows in data.items()}
    portable = {
        "customerId": customer_id,
        "exportedAt": clock.rfc3339(now),
        "encrypted": False,
        "data": data,
        "counts": counts,
    }
    return Package(data=json.dumps(portable, ensure_ascii=False, allow_nan=False).encode(), counts=counts)


def envelope(dossier: Dossier) -> dict[str, Any]:
    """The dossier in its envelope, made of the sealed bytes as they lie in the database."""
    sealed = bytes(dossier.sealed)
    return {
        "encrypted": True,
        "data": {
            "ciphertext": base64.b64encode(sealed).decode(),
            "format": FORMAT,
            "keyVersion": key_version(sealed),
            "context": dossier.sealing_context,
        },
    }


def opened(dossier: Dossier) -> bytes:
    """The portable JSON. Raises what kaireon.lib.sealing raises."""
    return open_sealed(bytes(dossier.sealed), context=dossier.sealing_context, keyring=keyring())


def open_envelope(document: object) -> bytes:
    """The portable JSON out of an envelope, or out of a request's answer that carries one in `exportedData`.

    Raises NotAnEnvelope and what kaireon.lib.sealing raises, UnknownKeyVersion for a key that is not on the keyring.
    """
    if isinstance(document, Mapping) and "exportedData" in document:
        document = document["exportedData"]
    data = document.get("data") if isinstance(document, Mapping) and document.get("encrypted") is True else None
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise NotAnEnvelope("this is not an encrypted dossier.")
    ciphertext, context = data.get("ciphertext"), data.get("context")
    if not isinstance(ciphertext, str) or not isinstance(context, str):
        raise NotAnEnvelope("the envelope lacks its ciphertext or its context.")
    try:
        sealed = base64.b64decode(ciphertext, validate=True)
    except ValueError as e:
        raise NotAnEnvelope("the ciphertext is not base64.") from e
    return open_sealed(sealed, context=context, keyring=keyring())


def requests_about(request: DsarRequest, customer: Customer | None) -> list[DsarRequest]:
    """The subject's requests, this one among them, oldest first."""
    about = Q(pk=request.pk)
    if customer is not None:
        about |= Q(customer_ref=customer.pk)
    return list(DsarRequest.objects.filter(about).order_by("requested_at", "pk"))


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


def _own_key(customer: Customer) -> reveal.Keys:
    """The one key whose values are shown: what else stands in these records is somebody else's."""
    key_id = subject_keys.id_of(str(customer.pk))
    return {} if key_id is None else subject_keys.by_id([key_id])


def _records(ids: Mapping[str, list[str]], keys: reveal.Keys | None) -> Iterator[dict[str, Any]]:
    """The audit records of these rows, by the row's kind, with the subject's own sealed values opened.

    Without our own people's names: who looked in office is not the subject's data (CJEU C-579/21, Pankki S).
    """
    columns = ("id", "seq", "timestamp", "action", "entity_type", "entity_id", "changes", "actor_type")
    for entity_type, known in ids.items():
        for some in _batches(known):
            rows = AuditRecord.objects.filter(entity_type=entity_type, entity_id__in=some).order_by("seq")
            for row in rows.values(*columns):
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


def _readable(entity_type: str, changes: Any, keys: reveal.Keys | None) -> Any:
    return reveal.open_contents(entity_type, changes, keys).value if keys else changes


def _batches(values: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(values)
    while some := list(islice(rest, _IDS_PER_QUERY)):
        yield some
