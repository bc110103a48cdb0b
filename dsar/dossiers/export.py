"""Answering an access request: one consistent read, one sealed package, however often the worker dies on the way."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from audit import services as audit_log
from customers.models import Customer
from dsar.dossiers import keeping, writing
from dsar.dossiers.keeping import Draft
from dsar.models import DsarRequest, Outcome, Status
from dsar.requests import outcomes, services, subjects
from kaireon.jobs.runner import JobError, JobRun
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import not_durably, requires_transaction, transaction
from kaireon.tenancy.kept import Kept
from kaireon.tenancy.trips import fewer_trips

COMPLETED_VERB = "dsar.export.completed"

# What an answer looks at and writes: to fetch all takes twice as long.
_CHANGED = ("counts", "customer_ref", "package_expires_at")
_ANSWERED = (
    *("tenant", "request_type", "subject_sealed", "status", "state", "outcome", "error", "closed_at", "duplicate_of"),
    *_CHANGED,
)


_LOCKED = Kept(
    lambda request: DsarRequest.objects.select_for_update().filter(pk=request).only(*_ANSWERED), request=UUID
)
_NUMBER_OF = Kept(
    lambda customer: Customer.objects.select_for_update(no_key=True).filter(pk=customer).values_list("customer_id"),
    customer=UUID,
)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Whom a dossier was read of, at one moment, and how many rows by section."""

    customer_pk: UUID | None
    customer_id: str | None
    counts: dict[str, int]


@fewer_trips()
def process_export(run: JobRun) -> None:
    """Answer the export request of a job. Opens its own transactions.

    Until the last of them nothing is changed but that the name of a large package's object is written down, and that
    one writes package, request, record and job together: a crash anywhere means that it is read anew, and of two
    workers only the one with the lease commits.
    """
    request_id = UUID(run.payload["request_id"])
    with transaction():
        # A server that crashes may forget that somebody came, as if nobody had. The next commit makes it so.
        not_durably()
        request = services.start(request_id=request_id, now=clock.now())
        if request is None:
            run.finish()
            return
    # Before the reading transaction, so that what just happened is in its snapshot.
    audit_log.drain(context.tenant_id())
    with keeping.draft(request_id=request_id) as made:
        with transaction(one_moment=True):
            reading = _read(request, made, now=clock.now(), between=run.check)
        run.check()
        if reading is not None:
            keeping.store(made, now=clock.now())
            run.check()
        _answer(run, request_id, reading, made)


def _answer(run: JobRun, request_id: UUID, reading: Reading | None, made: Draft) -> None:
    now = clock.now()
    with transaction():
        # The customer before the request, as an erasure does, which now waits for this transaction or was before it.
        found = reading is not None and _still_there(reading)
        [request] = _LOCKED.all(request=request_id)
        if request.status == Status.COMPLETED:
            # Withdrawn or rejected meanwhile: what was read is dropped.
            keeping.abandon(made, now=now)
            run.finish()
            return
        outcome, size = Outcome.NO_DATA, 0
        if reading is not None and found and not request.is_shredded:
            _keep(request, reading, made)
            outcome, size = Outcome.COMPLETED if reading.customer_pk else Outcome.NO_DATA, made.row.size
        else:
            # Erased since: nothing may come back.
            keeping.abandon(made, now=now)
        outcomes.answer(request, outcome=outcome, verb=COMPLETED_VERB, changed=_CHANGED, now=now)
        run.finish({"bytes": size})


def _read(begun: DsarRequest, made: Draft, *, now: datetime, between: Callable[[], object]) -> Reading | None:
    asked = writing.requests_about(begun.pk, begun.customer_ref)
    request = next(one for one in asked if one.pk == begun.pk)
    if request.is_shredded:
        return None
    try:
        customer = subjects.customer_of(request)
    except subjects.AmbiguousSubject as e:
        raise JobError("ambiguous_subject", permanent=True) from e
    if customer is not None and customer.pk != begun.customer_ref:
        # Whose it is was not known when it was filed.
        asked = writing.requests_about(request.pk, customer.pk)
    named = request.subject_id if request.subject_type == "customer_id" else None
    customer_id = customer.customer_id if customer else named
    counts = writing.write(
        made.tee,
        sections=writing.sections_of(request.request_type),
        asked=asked,
        customer=customer,
        customer_id=customer_id,
        now=now,
        between=between,
    )
    return Reading(customer_pk=customer.pk if customer else None, customer_id=customer_id, counts=counts)


@requires_transaction
def _still_there(reading: Reading) -> bool:
    """Whether the customer that was read is the one there still is; keeps it so. Nobody is nobody still."""
    if reading.customer_pk is None:
        return True
    return _NUMBER_OF.values(customer=reading.customer_pk) == [(reading.customer_id,)]


@requires_transaction
def _keep(request: DsarRequest, reading: Reading, made: Draft) -> None:
    """Keep the package, the only one of this request: the database refuses a second."""
    now = clock.now()
    made.row.customer_ref = reading.customer_pk
    made.row.created_at = now
    made.row.expires_at = now + timedelta(days=settings.DSAR_PACKAGE_DAYS)
    keeping.attach(made)
    request.counts = reading.counts
    request.customer_ref = reading.customer_pk
    request.package_expires_at = made.row.expires_at
