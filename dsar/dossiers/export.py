"""Answering an access request: one consistent read, one sealed package, however often the worker dies on the way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db import transaction as django_transaction

from audit import services as audit_log
from customers.models import Customer
from dsar.dossiers import keeping, writing
from dsar.dossiers.keeping import Draft
from dsar.models import DsarRequest, Outcome, Status
from dsar.requests import outcomes, services, subjects
from kaireon.jobs.runner import JobError, JobRun
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction, transaction

COMPLETED_VERB = "dsar.export.completed"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Whom a dossier was read of, at one moment, and how many rows by section."""

    customer_pk: UUID | None
    customer_id: str | None
    counts: dict[str, int]


def process_export(run: JobRun) -> None:
    """Answer the export request of a job. Opens its own transactions.

    Until the last of them nothing is changed but that the name of a large package's object is written down, and that
    one writes package, request, record and job together: a crash anywhere means that it is read anew, and of two
    workers only the one with the lease commits.
    """
    request_id = UUID(run.payload["request_id"])
    with transaction():
        if services.start(request_id=request_id, now=clock.now()) is None:
            run.finish()
            return
    # Before the reading transaction, so that what just happened is in its snapshot.
    audit_log.drain(context.tenant_id())
    with keeping.draft(request_id=request_id) as made:
        with one_moment():
            reading = _read(request_id, made, now=clock.now(), between=run.check)
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
        request = DsarRequest.objects.select_for_update().get(pk=request_id)
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
        outcomes.answer(request, outcome=outcome, verb=COMPLETED_VERB, now=now)
        run.finish({"bytes": size})


@contextmanager
def one_moment() -> Iterator[None]:
    """A transaction that sees the database as it was at its first look, and changes nothing."""
    with django_transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        with transaction():
            yield


def _read(request_id: UUID, made: Draft, *, now: datetime, between: Callable[[], object]) -> Reading | None:
    request = DsarRequest.objects.get(pk=request_id)
    if request.is_shredded:
        return None
    try:
        customer = subjects.customer_of(request)
    except subjects.AmbiguousSubject as e:
        raise JobError("ambiguous_subject", permanent=True) from e
    named = request.subject_id if request.subject_type == "customer_id" else None
    customer_id = customer.customer_id if customer else named
    counts = writing.write(
        made.tee, request=request, customer=customer, customer_id=customer_id, now=now, between=between
    )
    return Reading(customer_pk=customer.pk if customer else None, customer_id=customer_id, counts=counts)


@requires_transaction
def _still_there(reading: Reading) -> bool:
    """Whether the customer that was read is the one there still is; keeps it so. Nobody is nobody still."""
    if reading.customer_pk is None:
        return True
    customer = Customer.objects.select_for_update(no_key=True).filter(pk=reading.customer_pk).first()
    return customer is not None and customer.customer_id == reading.customer_id


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
