"""Doing the erasures again that a restored database forgot: by the same service, step by step, each once.

An entry of the journal is taken over first, so that the database knows it; done again, it is ticked off in the
transaction that records it. Whoever is stopped in between goes on where they were. Holds and floors are those of the
restored database: what they keep is deferred, and goes on by itself when they end.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import audit
from audit import services as audit_log
from audit.sealing import subject_keys
from compliance.holding import holds
from customers import returns
from customers.models import Customer
from dsar.erasing import log_keys, residue
from dsar.journal import entries
from dsar.journal.outside import Outside
from dsar.models import REPEATED_BY, DsarRequest, ErasureEntry, RequestType, State, Status
from dsar.requests import services
from dsar.restoring import forgotten
from kaireon.jobs import runner
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.lib.progress import Progress
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction, transaction, without_transaction

# By which the requests that it files are known.
ACTOR = Actor(id=REPEATED_BY, name="command:compliance_restore_check", type="system")
REPLAYED_VERB = "dsar.erasure.replayed"
TAKEN_OVER_VERB = "dsar.erasure.taken_over"
# Between two looks whether a lease that somebody left has run out, and for how long at most.
_PAUSE = 0.5
_LONGEST_WAIT = jobs.LEASE.total_seconds() + 30


@dataclass
class Replayed:
    """What became of one entry. `requests` are those that did it again, with how they stand."""

    number: int
    request_id: str
    erased_at: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys_destroyed: int = 0

    @property
    def is_done(self) -> bool:
        return all(one["state"] in (State.COMPLETED, State.DEFERRED) for one in self.requests)

    def as_wire(self) -> dict[str, Any]:
        return {
            "entry": self.number,
            "requestId": self.request_id,
            "erasedAt": self.erased_at,
            "again": self.requests,
            "keysDestroyed": self.keys_destroyed,
            "done": self.is_done,
        }


@requires_transaction
def take_over(found: Iterable[Outside], *, now: datetime) -> int:
    """Let the database know of entries that are outside; how many. The chain of new ones goes on behind them."""
    rows = [
        ErasureEntry(
            number=one.number,
            request_ref=UUID(one.said["requestId"]),
            content=one.content,
            sha256=entries.digest(one.content),
            made_at=datetime.fromisoformat(one.said["erasedAt"]),
            written_at=now,
            taken_over_at=now,
        )
        for one in found
    ]
    for row in rows:
        audit.action(TAKEN_OVER_VERB, entity=row)
        row.save(force_insert=True)
    return len(rows)


@without_transaction
def replay_all(*, quiet: bool = False) -> list[Replayed]:
    """Do again what was taken over and is not ticked off, in the active tenant. Opens its own transactions.

    Raises JournalBroken and UnknownKeyVersion before anything is done.
    """
    with transaction():
        rows = list(ErasureEntry.objects.to_replay().in_order())
        # Nobody of them comes in again meanwhile, also who is not here.
        keys = [key for row in rows for one in forgotten.said(row) for key in (one["number"], one["email"]) if key]
        returns.shut_out_keys(dict.fromkeys(keys), now=clock.now())
        found = forgotten.find(rows, label=f"{context.tenant_id()}: people", quiet=quiet)
    with Progress(f"{context.tenant_id()}: erasures", total=len(rows), quiet=quiet or not rows) as progress:
        done = []
        for row in rows:
            done.append(_replay(row, found))
            progress.advance(1)
    return done


def _replay(row: ErasureEntry, found: forgotten.Found) -> Replayed:
    said = entries.opened(bytes(row.content), form=entries.ENTRY, name=str(row))
    done = Replayed(row.number, said["requestId"], said["erasedAt"])
    for customer in found.customers.get(row.number, []):
        request = _erase(customer)
        if request is not None:
            done.requests.append({"requestId": str(request.pk), "state": request.state, "outcome": request.outcome})
    for subject in found.keys.get(row.number, []):
        done.keys_destroyed += _destroy_key(subject)
    if done.is_done:
        with transaction():
            audit.action(REPLAYED_VERB, entity=row)
            ErasureEntry.objects.filter(pk=row.pk, replayed_at=None).update(replayed_at=clock.now())
    return done


def _erase(customer_ref: UUID) -> DsarRequest | None:
    """None: somebody did it a moment before."""
    with transaction():
        request = _under_way(customer_ref)
        customer = Customer.objects.filter(pk=customer_ref).first()
        if request is None and customer is None:
            return None
        if request is None:
            assert customer is not None  # noqa: S101  said right above
            request = services.create_request(
                request_type=RequestType.DELETE,
                subject_id=customer.customer_id,
                again=True,
                actor=ACTOR,
                now=clock.now(),
            ).request
    if request.state != State.DEFERRED:
        assert request.job_ref is not None  # noqa: S101  it was queued
        _work_off(request.job_ref)
    with transaction():
        return DsarRequest.objects.get(pk=request.pk)


def _under_way(customer_ref: UUID) -> DsarRequest | None:
    """One that a run which was stopped had begun, or that waits for a hold already."""
    mine = DsarRequest.objects.filter(
        request_type=RequestType.DELETE, customer_ref=customer_ref, requested_by=ACTOR.id
    ).exclude(status__in=[Status.COMPLETED, Status.FAILED])
    return mine.order_by("requested_at").first()


def _work_off(job_id: UUID) -> None:
    """Until the job is over, here; a lease that a stopped process left is waited for, and a pause after a failure."""
    until = time.monotonic() + _LONGEST_WAIT
    while True:
        job = runner.run(job_id=job_id)
        if job is None:
            with transaction():
                job = Job.objects.get(pk=job_id)
        if job.state not in (JobState.QUEUED, JobState.RUNNING) or time.monotonic() > until:
            return
        time.sleep(_PAUSE)


def _destroy_key(subject: UUID) -> bool:
    """Of somebody of whom the database has no row any more, but can still open what the log says of them."""
    audit_log.drain(context.tenant_id(), wholly=True)
    with transaction():
        holds.lock_epoch()
        is_held = log_keys.hold_on_log(holds.held_classes())
        if log_keys.ground_of(subject, anything_retained=bool(residue.residue(subject, [])), is_held=is_held):
            return False
        return subject_keys.destroy(str(subject), now=clock.now())
