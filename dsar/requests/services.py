"""Filing a request, trying it again, giving it up. What the worker does with it is in export.py and erasure.py."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import audit
from compliance.holding import pauses
from dsar import signals
from dsar.erasing import gates
from dsar.models import Demanded, DsarRequest, Proof, State, Status, SubjectType
from dsar.requests import accepting, clocks, demands, identity, subjects
from dsar.requests.grounds import UNPROVEN
from dsar.requests.kinds import KINDS
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.lib.ids import uuid7
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction
from kaireon.tenancy.kept import Kept
from kaireon.tenancy.keyring import seal_text
from kaireon.tenancy.models import Tenant

# What no worker takes up: nobody agreed to it yet, or it is with an officer.
_NOT_THE_WORKERS = (State.IDENTITY, State.APPROVAL, State.REVIEW)
EARLIEST_RECEIPT = datetime(2000, 1, 1, tzinfo=UTC)


_BEGUN = Kept(
    lambda request: (
        DsarRequest.objects.select_for_update()
        .filter(pk=request)
        .only("tenant", "status", "state", "started_at", "customer_ref")
    ),
    request=UUID,
)


class ReceivedAtRefused(ValueError):
    """A request was not received in the future, nor before the year 2000."""


class NothingQueued(LookupError):
    """No job answers this request now: it waits for proof, for an earlier one, or for a person."""


class RequestNotFailed(RuntimeError):
    """Only a failed request is tried again."""


@dataclass(frozen=True, kw_only=True)
class Filed:
    """A request and the job that will answer it, if one does. Give it to `wake` after the commit."""

    request: DsarRequest
    queued: Job | None

    @property
    def job(self) -> Job:
        """Raises NothingQueued."""
        if self.queued is None:
            raise NothingQueued(str(self.request.pk))
        return self.queued


@requires_transaction
def create_request(
    *,
    request_type: str,
    subject_id: str,
    subject_type: str = SubjectType.CUSTOMER_ID,
    regulation: str | None = None,
    received_at: datetime | None = None,
    encrypt: bool = False,
    details: str = "",
    language: str = "",
    identity_by: str = "",
    at_once: bool = False,
    again: bool = False,
    actor: Actor,
    now: datetime,
) -> Filed:
    """File a request with its clock and its job; recorded as `dsar.create`.

    Retention leaves what there is of the subject alone until the request is answered.
    An unknown subject is filed too: it has to be answered. `regulation` defaults to the tenant's, `received_at` to now.
    `identity_by` lets it wait for that proof, and so does the tenant's demand: then nothing is queued.
    `details` is what they want in their own words, kept sealed; `language` is that of letters to them. `at_once` makes
    a failure final, for a caller who waits for the answer. An erasure may have to wait for a second person, or in its
    window; see dsar/erasing/gates.py.
    `again`: it was carried out before, which a restored database forgot, so it waits for nobody.
    Raises approvals.RequesterMayNot (a second person is demanded, and a job or command asks), subjects.SubjectRefused,
    ReceivedAtRefused, deadlines.UnknownRegulation.
    """
    name = subjects.normal(subject_type, subject_id)
    received = received_at or now
    if not EARLIEST_RECEIPT <= received <= now:
        raise ReceivedAtRefused("must lie between 2000 and now.")
    law = regulation or Tenant.objects.values_list("regulation", flat=True).get(pk=context.tenant_id())
    begun = clocks.begin(regulation=law, request_type=request_type, received=received)
    request = DsarRequest(
        id=uuid7(),
        request_type=request_type,
        subject_type=subject_type,
        subject_key=subjects.key(subject_type, name),
        customer_ref=_customer_ref(subject_type, name),
        regulation=law,
        received_at=received,
        **begun.columns,
        requested_at=now,
        requested_by=actor.id[:64],
        requested_by_name=actor.name[:200],
        encrypt=encrypt,
        language=language,
    )
    request.subject_sealed = seal_text(name, context=request.sealing_context)
    if details:
        request.note(details=details)
    may_demand = (law, request_type) not in UNPROVEN
    waits = bool(identity_by) or (may_demand and not again and demands.is_demanded(Demanded.IDENTITY))
    if waits:
        request.move_to(State.IDENTITY)
    job = None if waits else accepting.accept(request, at_once=at_once, again=again, now=now)
    audit.action("dsar.create", entity=request)
    request.save(force_insert=True)
    if waits:
        identity.ask(request, method=identity_by or Proof.CODE)
    if request.customer_ref is not None:
        pauses.pause_retention(request_id=request.pk, subject_id=request.customer_ref, actor=actor, now=now)
    job = job or accepting.wait_at_gate(request, actor=actor, now=now)
    if not waits:
        signals.accepted.send(sender=DsarRequest, request=request, at_once=at_once, now=now)
    return Filed(request=request, queued=job)


def wake(filed: Filed) -> None:
    """Tell a worker, after the commit."""
    if filed.queued is not None:
        jobs.wake(filed.queued)


@requires_transaction
def retry_request(*, request: DsarRequest, now: datetime) -> Filed:
    """Queue a failed request again; recorded as `dsar.retry`. Raises RequestNotFailed. Call `wake` after the commit."""
    audit.action("dsar.retry", entity=request)
    queued = DsarRequest.objects.filter(pk=request.pk, status=Status.FAILED).update(
        status=Status.QUEUED, state=State.QUEUED, error="", closed_at=None
    )
    if not queued:
        raise RequestNotFailed(str(request.pk))
    request.refresh_from_db()
    if gate := gates.gate_of(request):
        # Tried again is asked again: nobody agreed to it.
        waiting = gates.wait(request, gate, actor=context.current().actor, now=now)
        return Filed(request=request, queued=waiting)
    job = jobs.enqueue(type=KINDS[request.request_type].job_type, payload={"request_id": request.pk}, now=now)
    DsarRequest.objects.filter(pk=request.pk).update(job_ref=job.pk)
    return Filed(request=request, queued=job)


@requires_transaction
def start(*, request_id: UUID, now: datetime) -> DsarRequest | None:
    """Note that work on a request began, or goes on after a crash. None when there is nothing left to do.

    The row has few of its columns, which takes half the time; the others are fetched when they are asked for.
    """
    request = _BEGUN.first(request=request_id)
    if request is None or request.status == Status.COMPLETED or request.state in _NOT_THE_WORKERS:
        return None
    if request.state == State.QUEUED or request.started_at is None:
        audit.action("dsar.start", entity=request)
        request.move_to(State.RUNNING)
        request.started_at = now
        request.save(update_fields=["state", "status", "started_at"])
    return request


@requires_transaction
def gave_up(job: Job) -> None:
    """Mark the request of a job that failed for good, with the job's reason code."""
    request = DsarRequest.objects.select_for_update().filter(pk=job.payload["request_id"], job_ref=job.pk).first()
    if request is None or request.status == Status.COMPLETED:
        return
    audit.action(KINDS[request.request_type].failed_verb, entity=request)
    request.move_to(State.FAILED)
    request.error = job.error
    request.save(update_fields=["state", "status", "error"])
    accepting.hand_on(request, now=clock.now())


def _customer_ref(subject_type: str, name: str) -> UUID | None:
    try:
        customer = subjects.resolve(subject_type, name)
    except subjects.AmbiguousSubject:
        return None
    return customer.pk if customer else None
