"""What a customer's statements amount to, and what is left of them after erasure."""

from datetime import datetime

from customers import subjects, suppressions
from customers.models import ConsentRecord, Customer
from customers.models.consent import ConsentStatus
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.managers import TenantQuerySet


@requires_transaction
def standing(customer: Customer) -> dict[tuple[str, str], str]:
    """The newest statement by (channel, purpose): `granted` or `withdrawn`.

    Statements of an erased customer with the same number or e-mail address count too, so that an opt-out keeps its
    effect until somebody grants anew.
    """
    keys = subjects.all_keys(customer_id=customer.customer_id, email=customer.email)
    statements = [*ConsentRecord.objects.filter(customer=customer), *ConsentRecord.objects.keyed(keys)]
    # Of two statements at the same moment, the withdrawal counts.
    statements.sort(key=lambda s: (s.recorded_at, s.status == ConsentStatus.WITHDRAWN))
    return {(s.channel, s.purpose): s.status for s in statements}


@requires_transaction
def may_contact(customer: Customer, *, channel: str, purpose: str, now: datetime) -> bool:
    """Whether this customer granted it and nothing suppresses it."""
    if suppressions.is_suppressed(customer, channel=channel, now=now):
        return False
    return standing(customer).get((channel, purpose)) == ConsentStatus.GRANTED


@requires_transaction
def reduce_to_evidence(customer: Customer, rows: TenantQuerySet[ConsentRecord] | None = None) -> int:
    """Cut the statements loose from the customer, for erasure: keyed evidence stays. Returns how many there were.

    `rows` are those of them that are not held; without it, all.
    """
    statements = ConsentRecord.objects.filter(customer=customer) if rows is None else rows
    return statements.update(
        customer=None,
        subject_key=subjects.number_key(customer.customer_id),
        email_key=subjects.email_key(customer.email),
        source="",
    )
