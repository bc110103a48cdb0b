"""Whose past no model is made of, and nobody is scored by: erased, opted out, restricted, objecting, suppressed.

Whoever withdrew any consent, or must not be contacted on any channel, is left out wholly: what a model learns it learns
in order to approach people. Layers above add whom they know, see OTHERS.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from customers import consents, subjects
from customers.models import ConsentRecord, Customer, ErasedSubject, Suppression, SuppressionTombstone
from customers.models.consent import ConsentStatus
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.keyring import keyring

ERASED = "erased"
ERASURE_REQUESTED = "erasure_requested"
RESTRICTED = "restricted"
OBJECTED = "objected"
OPTED_OUT = "opted_out"
SUPPRESSED = "suppressed"
# Whoever is left out for several is counted under the first of them.
REASONS = (ERASED, ERASURE_REQUESTED, RESTRICTED, OBJECTED, OPTED_OUT, SUPPRESSED)


@dataclass(frozen=True, kw_only=True)
class Other:
    """Who else leaves customers of the active tenant out: all of them with the reasons, or those of one customer."""

    everybody: Callable[[], Mapping[UUID, Collection[str]]]
    of: Callable[[Customer], Collection[str]]


# Called in a transaction.
OTHERS: list[Other] = []

_OPTED_OUT = """
SELECT DISTINCT customer_id FROM (
    SELECT DISTINCT ON (customer_id, channel, purpose) customer_id, status FROM public.customers_consentrecord
     WHERE tenant_id = %(tenant)s AND customer_id = ANY(%(ids)s)
     ORDER BY customer_id, channel, purpose, recorded_at DESC, status = 'withdrawn' DESC) newest
 WHERE status = 'withdrawn'
"""
_SUPPRESSED = """
SELECT DISTINCT customer_id FROM public.customers_suppression
 WHERE tenant_id = %(tenant)s AND customer_id = ANY(%(ids)s) AND (expires_at IS NULL OR expires_at > %(now)s)
"""


class Exclusions:
    """Who is left out, as of one moment. Make it in a transaction; what it knows by key it knows from then on."""

    @requires_transaction
    def __init__(self, now: datetime) -> None:
        self._now = now
        self._told: dict[UUID, set[str]] = {}
        for other in OTHERS:
            for ref, reasons in other.everybody().items():
                self._told.setdefault(ref, set()).update(reasons)
        self._erased = set(ErasedSubject.objects.standing().values_list("subject_key", flat=True))
        self._tombstones = set(SuppressionTombstone.objects.active(now).values_list("subject_key", flat=True))
        withdrawn = ConsentRecord.objects.evidence().filter(status=ConsentStatus.WITHDRAWN)
        self._withdrawn = {key for keys in withdrawn.values_list("subject_key", "email_key") for key in keys if key}

    @requires_transaction
    def among(self, refs: Collection[UUID]) -> dict[UUID, str]:
        """Those among these customers who are left out, with the reason; who is no customer any more was erased."""
        found: dict[UUID, set[str]] = {ref: set(self._told[ref]) for ref in refs if ref in self._told}
        given: dict[str, Any] = {"tenant": context.tenant_id(), "ids": list(refs), "now": self._now}
        for sql, reason in ((_OPTED_OUT, OPTED_OUT), (_SUPPRESSED, SUPPRESSED)):
            with connection.cursor() as cursor:
                cursor.execute(sql, given)
                for (ref,) in cursor.fetchall():
                    found.setdefault(ref, set()).add(reason)
        for ref, reason in self._by_key(refs):
            found.setdefault(ref, set()).add(reason)
        return {ref: min(reasons, key=REASONS.index) for ref, reasons in found.items()}

    def _by_key(self, refs: Collection[UUID]) -> list[tuple[UUID, str]]:
        rows = list(Customer.objects.filter(pk__in=refs).values_list("pk", "customer_id", "email"))
        found = [(ref, ERASED) for ref in set(refs) - {row[0] for row in rows}]
        known = self._erased | self._tombstones | self._withdrawn
        if not known:
            return found
        hashes = [subjects.number_hash(version) for version in keyring().versions]
        for ref, number, email in rows:
            texts = [subjects.number_text(number), *([subjects.email_text(email)] if email else [])]
            keys = {hashed(text) for hashed in hashes for text in texts} & known
            if keys & self._erased:
                found.append((ref, ERASED))
            if keys & self._tombstones:
                found.append((ref, SUPPRESSED))
            # What they stated since may have undone what is left of them from before.
            if keys & self._withdrawn and _stands_withdrawn(ref):
                found.append((ref, OPTED_OUT))
        return found


@requires_transaction
def reason_of(customer: Customer, *, now: datetime) -> str | None:
    """Why this customer is left out, if they are: the same as `Exclusions` says of many."""
    reasons = {reason for other in OTHERS for reason in other.of(customer)}
    keys = subjects.all_keys(customer_id=customer.customer_id, email=customer.email)
    if ErasedSubject.objects.standing().keyed(keys).exists():
        reasons.add(ERASED)
    if ConsentStatus.WITHDRAWN in consents.standing(customer).values():
        reasons.add(OPTED_OUT)
    suppressed = Suppression.objects.filter(customer=customer).active(now).exists()
    if suppressed or SuppressionTombstone.objects.keyed(keys).active(now).exists():
        reasons.add(SUPPRESSED)
    return min(reasons, key=REASONS.index) if reasons else None


def _stands_withdrawn(ref: UUID) -> bool:
    return ConsentStatus.WITHDRAWN in consents.standing(Customer.objects.get(pk=ref)).values()
