"""Ending contact with a subject: what an opt-out asks for, and an objection to direct marketing.

"Where the data subject objects to processing for direct marketing purposes, the personal data shall no longer be
processed for such purposes" (GDPR Art. 21(3), UK GDPR Art. 21(3)): nobody has to weigh anything, or to carry it out.
"""

from customers import consents, ingest, suppressions
from customers import subjects as customer_keys
from customers.models import Customer, Suppression, SuppressionTombstone
from customers.models.consent import ANY_CHANNEL, ConsentStatus
from dsar.models import DsarRequest, SubjectType
from dsar.requests import subjects
from kaireon.lib import clock
from kaireon.tenancy.context import requires_transaction


@requires_transaction
def locked_customer(request: DsarRequest) -> Customer | None:
    """Before the request is locked: an erasure locks the customer first too. Raises subjects.AmbiguousSubject."""
    customer = subjects.customer_of(request)
    if customer is None:
        return None
    return Customer.objects.select_for_update(no_key=True).filter(pk=customer.pk).first()


@requires_transaction
def end(request: DsarRequest, customer: Customer | None) -> dict[str, int]:
    """From here on nobody contacts the subject, and what they had granted is withdrawn; what that changed, by name.

    Of a name that nobody has yet a tombstone is left: whoever comes under it later is not contacted either. Empty when
    the subject was erased since, and what had to last was left then. The caller saves the locked `request`.
    """
    if customer is not None:
        request.customer_ref = customer.pk
        request.counts = {
            "suppressions": _suppress(customer, reason=request.request_type),
            "consentsWithdrawn": _withdraw_consents(customer, source=f"dsar {request.request_type}"),
        }
    elif not request.is_shredded:
        request.counts = {"tombstones": _leave_tombstone(request)}
    return dict(request.counts)


def _suppress(customer: Customer, *, reason: str) -> int:
    """On every channel and for ever, unless that was so already."""
    standing = Suppression.objects.filter(customer=customer, channel=ANY_CHANNEL, expires_at=None)
    if standing.exists():
        return 0
    suppressions.suppress(customer, now=clock.now(), reason=reason)
    return 1


def _withdraw_consents(customer: Customer, *, source: str) -> int:
    """A withdrawal for each consent that stands; the grants end with it."""
    now = clock.rfc3339(clock.now())
    batch = [
        {
            "customerId": customer.customer_id,
            "channel": channel,
            "purpose": purpose,
            "status": ConsentStatus.WITHDRAWN.value,
            "source": source,
            "recordedAt": now,
        }
        for (channel, purpose), status in sorted(consents.standing(customer).items())
        if status == ConsentStatus.GRANTED
    ]
    withdrawn = 0
    for start in range(0, len(batch), ingest.MAX_ROWS):
        withdrawn += ingest.ingest_consents(batch[start : start + ingest.MAX_ROWS], now=clock.now()).created
    return withdrawn


def _leave_tombstone(request: DsarRequest) -> int:
    by_email = request.subject_type == SubjectType.EMAIL
    name = request.subject_id
    key = customer_keys.email_key(name) if by_email else customer_keys.number_key(name)
    tombstone, is_new = SuppressionTombstone.objects.get_or_create(
        subject_key=key, channel=ANY_CHANNEL, defaults={"created_at": clock.now()}
    )
    if not is_new and tombstone.expires_at is not None:
        tombstone.expires_at = None
        tombstone.save(update_fields=["expires_at"])
    return 1
