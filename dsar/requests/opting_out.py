"""Answering an opt-out: from here on nobody contacts the subject, and what they had granted is withdrawn."""

from uuid import UUID

from customers import consents, ingest, suppressions
from customers import subjects as customer_keys
from customers.models import Customer, Suppression, SuppressionTombstone
from customers.models.consent import ANY_CHANNEL, ConsentStatus
from dsar.models import DsarRequest, Outcome, Status, SubjectType
from dsar.requests import outcomes, services, subjects
from kaireon.jobs.runner import JobError, JobRun
from kaireon.lib import clock
from kaireon.tenancy.context import requires_transaction, transaction

COMPLETED_VERB = "dsar.opt_out.completed"
REASON = "opt_out"
SOURCE = "dsar opt_out"


def process_opt_out(run: JobRun) -> None:
    """Answer the opt-out of a job: one transaction, however often the worker dies. Opens its own."""
    request_id = UUID(run.payload["request_id"])
    with transaction():
        if services.start(request_id=request_id, now=clock.now()) is None:
            run.finish()
            return
    try:
        with transaction():
            counts = _opt_out(request_id)
            run.finish(counts)
    except subjects.AmbiguousSubject as e:
        raise JobError("ambiguous_subject", permanent=True) from e


@requires_transaction
def _opt_out(request_id: UUID) -> dict[str, int]:
    now = clock.now()
    customer = subjects.customer_of(DsarRequest.objects.get(pk=request_id))
    if customer is not None:
        # The customer before the request, as an erasure does.
        customer = Customer.objects.select_for_update(no_key=True).filter(pk=customer.pk).first()
    request = DsarRequest.objects.select_for_update().get(pk=request_id)
    if request.status == Status.COMPLETED:
        # Withdrawn or rejected meanwhile.
        return {}
    if customer is not None:
        request.customer_ref = customer.pk
        request.counts = {"suppressions": _suppress(customer), "consentsWithdrawn": _withdraw_consents(customer)}
        outcome = Outcome.COMPLETED
    elif request.is_shredded:
        # Erased since, and what had to last of it was left then.
        outcome = Outcome.NO_DATA
    else:
        # Nobody of that name yet: whoever comes under it later is not contacted either.
        request.counts = {"tombstones": _leave_tombstone(request)}
        outcome = Outcome.COMPLETED if request.counts["tombstones"] else Outcome.NO_DATA
    outcomes.answer(request, outcome=outcome, verb=COMPLETED_VERB, now=now)
    return dict(request.counts)


def _suppress(customer: Customer) -> int:
    """On every channel and for ever, unless that was so already."""
    standing = Suppression.objects.filter(customer=customer, channel=ANY_CHANNEL, expires_at=None)
    if standing.exists():
        return 0
    suppressions.suppress(customer, now=clock.now(), reason=REASON)
    return 1


def _withdraw_consents(customer: Customer) -> int:
    """A withdrawal for each consent that stands; the grants end with it."""
    now = clock.rfc3339(clock.now())
    batch = [
        {
            "customerId": customer.customer_id,
            "channel": channel,
            "purpose": purpose,
            "status": ConsentStatus.WITHDRAWN.value,
            "source": SOURCE,
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
