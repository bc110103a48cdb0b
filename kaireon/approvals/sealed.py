"""What was asked for, sealed: one document that also says by whom, of whom and until when, lest a part be swapped."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any

from kaireon.approvals.models import ApprovalRequest
from kaireon.lib import clock
from kaireon.lib.canonical import canonical
from kaireon.lib.sealing import NotSealed, SealBroken, UnknownKeyVersion
from kaireon.tenancy.keyring import open_text, seal_text

LONGEST = 64 * 1024  # bytes


class PayloadTooLong(ValueError):
    """A payload says what to do, by ids; it does not carry the data itself."""


class ApprovalChanged(Exception):
    """The stored request is not what was asked for: its seal, its digest or one of its columns does not fit."""


def seal(row: ApprovalRequest, payload: Mapping[str, Any]) -> None:
    """Set the row's payload and digest. Raises PayloadTooLong."""
    # The salt keeps the digest, which everybody may see, from telling what a short payload says.
    text = canonical({**_columns(row), "payload": dict(payload), "salt": secrets.token_hex(16)})
    if len(text) > LONGEST:
        raise PayloadTooLong(f"A payload takes {LONGEST} bytes at most.")
    row.digest = hashlib.sha256(text).hexdigest()
    row.payload = seal_text(text.decode(), context=_context(row))


def payload_of(row: ApprovalRequest) -> dict[str, Any]:
    """The payload as it was asked for. Raises ApprovalChanged, also when the payload is gone."""
    try:
        text = open_text(bytes(row.payload or b""), context=_context(row))
    except (NotSealed, SealBroken, UnknownKeyVersion) as e:
        raise ApprovalChanged(str(row.pk)) from e
    found = json.loads(text)
    payload: dict[str, Any] = found.pop("payload")
    del found["salt"]
    if hashlib.sha256(text.encode()).hexdigest() != row.digest or found != json.loads(canonical(_columns(row))):
        raise ApprovalChanged(str(row.pk))
    return payload


def _columns(row: ApprovalRequest) -> dict[str, Any]:
    return {
        "verb": row.verb,
        "stages": row.stages,
        "requestedBy": row.requested_by,
        "requestedByType": row.requested_by_type,
        "requestedFor": row.requested_for,
        "requestedAt": clock.rfc3339(row.requested_at),
        "deadline": clock.rfc3339(row.deadline),
    }


def _context(row: ApprovalRequest) -> str:
    return f"approval:{row.tenant_id}:{row.pk}"
