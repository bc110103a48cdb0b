"""What messages and dead letters say: canonical JSON, bounded, sealed at rest under their ids."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from kaireon.lib.canonical import NotCanonical, canonical
from kaireon.lib.sealing import open_sealed, seal
from kaireon.outbox.models import Payload
from kaireon.outbox.topics import PayloadOffSchema
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.keyring import keyring

MOST_BYTES = 256 * 1024


class PayloadTooLarge(ValueError):
    """A payload is at most 256 KiB as JSON. Put the rest into an object and send its name."""


def encoded(payload: Mapping[str, Any], name: str) -> bytes:
    """The payload as it is sealed. Raises PayloadTooLarge, PayloadOffSchema for what is no JSON."""
    try:
        text = canonical(dict(payload))
    except (NotCanonical, TypeError) as e:
        raise PayloadOffSchema(f"{name}: the payload has a value that JSON cannot carry exactly.") from e
    if len(text) > MOST_BYTES:
        raise PayloadTooLarge(f"{name}: {len(text)} bytes; at most {MOST_BYTES} are taken.")
    return text


@requires_transaction
def store(
    *,
    ref: UUID,
    text: bytes,
    subject_ref: UUID | None = None,
    ends_at: datetime | None = None,
    now: datetime | None = None,
) -> None:
    """Seal a payload under the id of what it belongs to; `now` when its retention counts from here."""
    sealed = seal(text, context=_context(ref), keyring=keyring())
    Payload.objects.create(id=ref, sealed=sealed, subject_ref=subject_ref, ends_at=ends_at, finished_at=now)


@requires_transaction
def replace(*, ref: UUID, payload: Mapping[str, Any]) -> None:
    """Seal another payload in the place of the one under this id, if it is still there."""
    sealed = seal(canonical(dict(payload)), context=_context(ref), keyring=keyring())
    Payload.objects.filter(pk=ref).update(sealed=sealed)


@requires_transaction
def read(ref: UUID) -> dict[str, Any] | None:
    """None when erasure or retention took it. Raises sealing.CannotOpen."""
    row = Payload.objects.filter(pk=ref).first()
    return None if row is None else opened(row)


def opened(row: Payload) -> dict[str, Any]:
    """Raises sealing.CannotOpen."""
    return unsealed(bytes(row.sealed), ref=row.pk)


def unsealed(sealed: bytes, *, ref: UUID) -> dict[str, Any]:
    """What was sealed under the id of what it belongs to. Raises sealing.CannotOpen."""
    value: dict[str, Any] = json.loads(open_sealed(sealed, context=_context(ref), keyring=keyring()))
    return value


def _context(ref: UUID) -> str:
    return f"outbox:{context.tenant_id()}:{ref}"
