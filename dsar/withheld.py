"""Whom requests withhold from models of what customers may accept; see customers/propensity/exclusions.py.

Whoever waits for an erasure or an opt-out, from the moment it is filed; whoever asked for restriction, of whose data
only storage is left (GDPR Art. 18(2)); whoever objected (Art. 21): until it is rejected or withdrawn.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

from django.db.models import Q

from customers.models import Customer
from customers.propensity import exclusions
from dsar.models import DsarRequest, Outcome, RequestType, Status, SubjectType
from dsar.models.request import DsarRequestQuerySet
from dsar.requests import subjects
from kaireon.tenancy.context import requires_transaction

_REASON: dict[str, str] = {
    RequestType.DELETE: exclusions.ERASURE_REQUESTED,
    RequestType.OPT_OUT: exclusions.OPTED_OUT,
    RequestType.RESTRICTION: exclusions.RESTRICTED,
    RequestType.OBJECTION: exclusions.OBJECTED,
}
# What was done for an erasure or an opt-out withholds them by itself.
_WHILE_OPEN = (RequestType.DELETE, RequestType.OPT_OUT)
_FOR_GOOD = (RequestType.RESTRICTION, RequestType.OBJECTION)
# A duplicate counts as the one does that it waited for.
_VOID = (Outcome.REJECTED, Outcome.WITHDRAWN, Outcome.DUPLICATE)


@requires_transaction
def everybody() -> Mapping[UUID, Collection[str]]:
    """Customers and the reasons, whoever a request may mean: of a shared address everybody."""
    found: dict[UUID, set[str]] = {}
    for row in _withholding():
        for ref in _meant(row):
            found.setdefault(ref, set()).add(_REASON[row.request_type])
    return found


@requires_transaction
def of(customer: Customer) -> Collection[str]:
    """The reasons of one customer."""
    about = Q(customer_ref=customer.pk) | Q(subject_key__in=subjects.keys_of(customer))
    return {_REASON[kind] for kind in _withholding().filter(about).values_list("request_type", flat=True)}


OTHER = exclusions.Other(everybody=everybody, of=of)


def _withholding() -> DsarRequestQuerySet:
    return DsarRequest.objects.filter(
        Q(request_type__in=_WHILE_OPEN) & ~Q(status=Status.COMPLETED)
        | Q(request_type__in=_FOR_GOOD) & ~Q(outcome__in=_VOID)
    )


def _meant(row: DsarRequest) -> set[UUID]:
    refs = {row.customer_ref} if row.customer_ref else set()
    if row.is_shredded:
        return refs
    if row.subject_type == SubjectType.EMAIL:
        return refs | subjects.refs_at(row.subject_id)
    customer = subjects.resolve(row.subject_type, row.subject_id)
    return refs | ({customer.pk} if customer else set())
