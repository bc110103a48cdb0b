"""Taking a request on: from here it waits for an earlier one of the same subject, for a worker, or for a person."""

from datetime import datetime
from functools import partial

from django.db import transaction

from dsar.erasing import gates
from dsar.models import DsarRequest, State
from dsar.requests import duplicates
from dsar.requests.kinds import KINDS
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction


@requires_transaction
def accept(request: DsarRequest, *, at_once: bool = False, again: bool = False, now: datetime) -> Job | None:
    """Queue a request that nothing stands in the way of; the caller saves it, and wakes the job after the commit.

    No job for what waits for an earlier request, nor for what a person works on, nor for what has a gate before it:
    that one is saved first, and then goes to `wait_at_gate`. `at_once` waits for no other request, `again` for nobody.
    """
    request.move_to(State.QUEUED)
    if again:
        return _enqueue(request, at_once=False, now=now)
    first = None if at_once else duplicates.first_of(request)
    if first is not None:
        duplicates.follow(request, first)
        return None
    gate = gates.gate_of(request)
    if gate is not None:
        request.move_to(gate)
        return None
    return _enqueue(request, at_once=at_once, now=now)


@requires_transaction
def wait_at_gate(request: DsarRequest, *, actor: Actor, for_subject: bool = False, now: datetime) -> Job | None:
    """Let a saved request wait where `accept` left it. Gives the job that begins its work when that is known.

    `for_subject` as in `gates.wait`. Else raises approvals.RequesterMayNot: jobs and commands ask nobody.
    """
    if request.state not in (State.APPROVAL, State.WINDOW):
        return None
    return gates.wait(request, State(request.state), actor=actor, for_subject=for_subject, now=now)


@requires_transaction
def hand_on(request: DsarRequest, *, now: datetime) -> None:
    """This one will not be answered: whoever waited for it is worked on instead."""
    heir = duplicates.next_after(request)
    if heir is None:
        return
    gate = gates.gate_of(heir)
    if gate is None:
        job = _enqueue(heir, at_once=False, now=now)
    else:
        # A worker, or the subject who withdrew the first, asks no member for it.
        actor = context.current().actor
        by_member = actor.type in ("user", "api_key")
        job = gates.wait(heir, gate, actor=actor, for_subject=not by_member, now=now)
    if job is not None:
        DsarRequest.objects.filter(pk=heir.pk).update(job_ref=job.pk)
        # Nobody here can wait for the commit; without a broker the sweep finds the job.
        transaction.on_commit(partial(jobs.wake, job))


def _enqueue(request: DsarRequest, *, at_once: bool, now: datetime) -> Job | None:
    kind = KINDS[request.request_type]
    if kind.by_person:
        return None
    payload: dict[str, object] = {"request_id": request.pk, "at_once": at_once}
    job = jobs.enqueue(type=kind.job_type, payload=payload, now=now)
    request.job_ref = job.pk
    return job
