"""Idempotency-Key: the same POST twice happens once, and answers the same."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError
from rest_framework.response import Response

from kaireon.api.errors import Conflict, Unprocessable
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.keyring import open_text, seal_text
from kaireon.tenancy.managers import TenantQuerySet
from kaireon.tenancy.models import IdempotencyKey

KEPT_FOR = timedelta(hours=24)
RUNS_AT_MOST = timedelta(minutes=2)


@dataclass
class Claim:
    """The right to answer for a key, or the answer that was given before."""

    row: IdempotencyKey
    replay: Response | None = None

    def answer(self, response: Response) -> None:
        """Keep the answer, sealed, in the transaction that did the work.

        Raises Conflict, which takes the work back, when this was so slow that another request took over.
        """
        sealed = seal_text(json.dumps(response.data, default=str), context=f"idempotency:{self.row.pk}")
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
    if row.fingerprint != fingerprint:
        raise Unprocessable("This Idempotency-Key was used with another request.", code="idempotency_mismatch")
    if row.status is not None:
        text = open_text(bytes(row.answer or b""), context=f"idempotency:{row.pk}")
        return Claim(row, Response(json.loads(text), status=row.status, headers={"Idempotency-Replayed": "true"}))
    # Whoever ran it died: the condition lets exactly one take over.
    stale = IdempotencyKey.objects.filter(pk=row.pk, status=None, locked_until__lte=now)
    row.locked_until = now + RUNS_AT_MOST
    if stale.update(locked_until=row.locked_until):
        return Claim(row)
    raise Conflict("The first request with this Idempotency-Key is still running.", code="idempotency_running")
