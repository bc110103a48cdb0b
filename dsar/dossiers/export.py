"""Answering an access request: one consistent read, one sealed package, however often the worker dies on the way."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db import transaction as django_transaction

from audit import services as audit_log
from customers.models import Customer
from dsar.dossiers import dossier
from dsar.dossiers.dossier import Package
from dsar.models import Dossier, DsarRequest, Outcome, Status
from dsar.requests import outcomes, services, subjects
from kaireon.jobs.runner import JobError, JobRun
from kaireon.lib import clock
from kaireon.lib.ids import uuid7
from kaireon.lib.sealing import seal
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction, transaction
from kaireon.tenancy.keyring import keyring

COMPLETED_VERB = "dsar.export.completed"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read of a subject at one moment."""

    customer_pk: UUID | None
    customer_id: str | None
    data: dict[str, Any]


def process_export(run: JobRun) -> None:
    """Answer the export request of a job. Opens its own transactions.

    Until the last of them nothing is changed, and that one writes package, request, record and job together: a crash
    anywhere means that it is read anew, and of two workers only the one with the lease commits.
    """
    request_id = UUID(run.payload["request_id"])
    with transaction():
        if services.start(request_id=request_id, now=clock.now()) is None:
            run.finish()
            return
    # Before the reading transaction, so that what just happened is in its snapshot.
    audit_log.drain(context.tenant_id())
    with one_moment():
        reading = _read(request_id)
    run.check()
    now = clock.now()
    made = dossier.package(customer_id=reading.customer_id, data=reading.data, now=now) if reading else None
    with transaction():
        # The customer before the request, as an erasure does, which now waits for this transaction or was before it.
        found = reading is not None and _still_there(reading)
        request = DsarRequest.objects.select_for_update().get(pk=request_id)
        if request.status == Status.COMPLETED:
            # Withdrawn or rejected meanwhile: what was read is dropped.
            run.finish()
            return
        outcome = Outcome.NO_DATA
        if reading is not None and made is not None and found and not request.is_shredded:
            _store(request, reading, made)
            outcome = Outcome.COMPLETED if reading.customer_pk else Outcome.NO_DATA
        # Otherwise it was erased since: nothing may come back.
        outcomes.answer(request, outcome=outcome, verb=COMPLETED_VERB, now=now)
        run.finish({"bytes": len(made.data) if made else 0})


@contextmanager
def one_moment() -> Iterator[None]:
    """A transaction that sees the database as it was at its first look, and changes nothing."""
    with django_transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        with transaction():
            yield


def _read(request_id: UUID) -> Reading | None:
    request = DsarRequest.objects.get(pk=request_id)
    if request.is_shredded:
        return None
    try:
        customer = subjects.customer_of(request)
    except subjects.AmbiguousSubject as e:
        raise JobError("ambiguous_subject", permanent=True) from e
    named = request.subject_id if request.subject_type == "customer_id" else None
    return Reading(
        customer_pk=customer.pk if customer else None,
        customer_id=customer.customer_id if customer else named,
        data=dossier.gather(request=request, customer=customer),
    )


@requires_transaction
def _still_there(reading: Reading) -> bool:
    """Whether the customer that was read is the one there still is; keeps it so. Nobody is nobody still."""
    if reading.customer_pk is None:
        return True
    customer = Customer.objects.select_for_update(no_key=True).filter(pk=reading.customer_pk).first()
    return customer is not None and customer.customer_id == reading.customer_id


@requires_transaction
def _store(request: DsarRequest, reading: Reading, made: Package) -> None:
    """Keep the package, the only one of this request: the database refuses a second."""
    now = clock.now()
    row = Dossier(
        id=uuid7(),
        request=request,
        customer_ref=reading.customer_pk,
        sha256=hashlib.sha256(made.data).hexdigest(),
        size=len(made.data),
        created_at=now,
        expires_at=now + timedelta(days=settings.DSAR_PACKAGE_DAYS),
    )
    row.sealed = seal(made.data, context=row.sealing_context, keyring=keyring())
    row.save(force_insert=True)
    request.counts = made.counts
    request.customer_ref = reading.customer_pk
    request.package_expires_at = row.expires_at
