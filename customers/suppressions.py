"""Who must not be contacted, also after their erasure."""

from datetime import datetime

from customers import returns, subjects
from customers.models import Customer, Suppression, SuppressionTombstone
from customers.models.consent import ANY_CHANNEL
from kaireon.tenancy.context import requires_transaction


@requires_transaction
def suppress(
    customer: Customer,
    *,
    now: datetime,
    channel: str = ANY_CHANNEL,
    reason: str = "",
    expires_at: datetime | None = None,
) -> Suppression:
    return Suppression.objects.create(
        customer=customer, channel=channel, reason=reason, created_at=now, expires_at=expires_at
    )


@requires_transaction
def is_suppressed(customer: Customer, *, channel: str, now: datetime) -> bool:
    """Whether a suppression, or the tombstone of one, stands in the way on this channel."""
    if Suppression.objects.filter(customer=customer).on_channel(channel).active(now).exists():
        return True
    keys = subjects.all_keys(customer_id=customer.customer_id, email=customer.email)
    return SuppressionTombstone.objects.keyed(keys).on_channel(channel).active(now).exists()


@requires_transaction
def leave_tombstones(customer: Customer, *, now: datetime) -> int:
    """Before the customer's suppressions are deleted, write down by key what they forbade. Returns how many keys.

    One for the customer's number and one for the e-mail address, on each channel; the longest suppression counts. Also
    that the customer is not taken in again: see customers/returns.py.
    """
    returns.shut_out(customer, now=now)
    keys = [subjects.number_key(customer.customer_id)]
    if customer.email:
        keys.append(subjects.email_key(customer.email))
    longest: dict[str, datetime | None] = {}
    for suppression in Suppression.objects.filter(customer=customer).active(now):
        longest[suppression.channel] = _later(longest.get(suppression.channel, now), suppression.expires_at)
    for channel, expires_at in longest.items():
        for key in keys:
            tombstone, is_new = SuppressionTombstone.objects.get_or_create(
                subject_key=key, channel=channel, defaults={"created_at": now, "expires_at": expires_at}
            )
            if not is_new:
                tombstone.expires_at = _later(tombstone.expires_at, expires_at)
                tombstone.save(update_fields=["expires_at"])
    return len(longest) * len(keys)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later expiry, where None is never."""
    return None if one is None or other is None else max(one, other)
