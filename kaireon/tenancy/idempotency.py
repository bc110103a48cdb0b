"""Idempotency-Key: the same POST twice happens once, and answers the same."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from rest_framework.response import Response

from kaireon.api.errors import Conflict, Gone, Unprocessable
from kaireon.lib import clock
from kaireon.lib.naming import Names
from kaireon.lib.sealing import CannotOpen
from kaireon.tenancy.context import requires_transaction, transaction
from kaireon.tenancy.keyring import open_text, seal_text
from kaireon.tenancy.managers import TenantQuerySet
from kaireon.tenancy.models import IdempotencyKey

KEPT_FOR = timedelta(hours=24)
RUNS_AT_MOST = timedelta(minutes=2)
# In the place of the fingerprint of a body that named somebody who was erased since.
_ERASED = ""


@dataclass
class Claim:
    """The right to answer for a key, or the answer that was given before."""

    row: IdempotencyKey
    replay: Response | None = None

    def answer(self, response: Response, *, without: Collection[str] = ()) -> None:
        """Keep the answer, sealed, in the transaction that did the work; `without` these of its fields.

        Raises Conflict, which takes the work back, when this was so slow that another request took over.
        """
        said = response.data
        if isinstance(said, Mapping):
            said = {name: value for name, value in said.items() if name not in without}
        sealed = seal_text(json.dumps(said, default=str), context=_context(self.row))
        if not self._still_ours().update(status=response.status_code, answer=sealed):
            raise Conflict("Another request took this Idempotency-Key over.", code="idempotency_running")

    def give_up(self) -> None:
        """Let the key be used again: nothing was done under it."""
        with transaction():
            self._still_ours().delete()

    def _still_ours(self) -> TenantQuerySet[IdempotencyKey]:
        return IdempotencyKey.objects.filter(pk=self.row.pk, status=None, locked_until=self.row.locked_until)


def claim(*, principal: str, key: str, fingerprint: str) -> Claim:
    """Claim a key in a transaction of its own.

    Raises Unprocessable (another body under this key) and Conflict (the first is still running).
    """
    now = clock.now()
    # Callers put what they like into a key, a customer's number too: only its hash is kept.
    key = hashlib.sha256(key.encode()).hexdigest()
    with transaction():
        IdempotencyKey.objects.filter(principal=principal, key=key, expires_at__lte=now).delete()
    row = IdempotencyKey(
        principal=principal,
        key=key,
        fingerprint=fingerprint,
        locked_until=now + RUNS_AT_MOST,
        expires_at=now + KEPT_FOR,
    )
    try:
        with transaction():
            row.save(force_insert=True)
        return Claim(row)
    except IntegrityError:
        with transaction():
            return _earlier(principal, key, fingerprint)


def _earlier(principal: str, key: str, fingerprint: str) -> Claim:
    now = clock.now()
    row = IdempotencyKey.objects.filter(principal=principal, key=key).first()
    if row is None:
        raise Conflict("This Idempotency-Key is still in use: try again shortly.", code="idempotency_running")
    if row.fingerprint not in (fingerprint, _ERASED):
        raise Unprocessable("This Idempotency-Key was used with another request.", code="idempotency_mismatch")
    if row.status is not None:
        if row.answer is None:
            raise Gone(
                "This was done, and its answer named somebody who was erased since.", code="idempotency_answer_erased"
            )
        return Claim(row, Response(_answered(row), status=row.status, headers={"Idempotency-Replayed": "true"}))
    # Whoever ran it died: the condition lets exactly one take over.
    stale = IdempotencyKey.objects.filter(pk=row.pk, status=None, locked_until__lte=now)
    row.locked_until = now + RUNS_AT_MOST
    if stale.update(locked_until=row.locked_until):
        return Claim(row)
    raise Conflict("The first request with this Idempotency-Key is still running.", code="idempotency_running")


@requires_transaction
def answered() -> TenantQuerySet[IdempotencyKey]:
    """The keys whose answers are kept."""
    return IdempotencyKey.objects.filter(answer__isnull=False)


@requires_transaction
def naming(names: Names) -> list[UUID]:
    """The keys whose kept answers name this person."""
    kept = answered().order_by("pk")
    return [row.pk for row in kept.iterator(chunk_size=500) if _says(row, names)]


@requires_transaction
def forget_answers(ids: Collection[UUID]) -> int:
    """Destroy these answers. Their keys stay for their day, so that nothing is done twice; how many."""
    return IdempotencyKey.objects.filter(pk__in=ids, answer__isnull=False).update(answer=None, fingerprint=_ERASED)


def _says(row: IdempotencyKey, names: Names) -> bool:
    try:
        return names.said_in(_answered(row))
    except CannotOpen:
        # What no key opens says nothing to anybody, and goes with its day.
        return False


def _answered(row: IdempotencyKey) -> Any:
    return json.loads(open_text(bytes(row.answer or b""), context=_context(row)))


def _context(row: IdempotencyKey) -> str:
    return f"idempotency:{row.pk}"
