"""The same subject asking for the same twice: the second waits for the answer to the first, and no clock is lost.

One that waits is queued, without a job of its own. The answer to the first ends it too, with the outcome `duplicate`;
when the first is withdrawn or fails, the one that came next is worked on in its place.
"""

from datetime import datetime
from uuid import UUID

from django.db import connection

import audit
from compliance.holding import pauses
from dsar.models import DsarRequest, Outcome, State, Status
from dsar.requests import clocks, subjects
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.kept import Kept

# Who waits for proof may not hold up, nor be answered by, who gave it; a failed one may never be answered.
_NO_FIRST = (State.IDENTITY, State.FAILED, State.COMPLETED)


_WAITED_FOR = Kept(lambda first: DsarRequest.objects.filter(duplicate_of=first).values_list("pk")[:1], first=UUID)


@requires_transaction
def first_of(request: DsarRequest) -> DsarRequest | None:
    """The open request, locked, that the answer to this one can wait for. Filings of one subject come one by one."""
    name = request.subject_id
    keys = subjects.keys(request.subject_type, name)
    with connection.cursor() as cursor:
        lock = f"dsar:{context.tenant_id()}:{request.request_type}:{request.subject_key}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
    same = DsarRequest.objects.asked_under(keys).filter(request_type=request.request_type, duplicate_of=None)
    firsts = same.exclude(pk=request.pk).exclude(state__in=_NO_FIRST).exclude(erased_at__isnull=False)
    firsts = firsts.select_for_update().order_by("requested_at", "id")
    # Two corrections are two requests, unless they say the same.
    said = request.notes.get("details", "")
    return next((first for first in firsts if first.notes.get("details", "") == said), None)


@requires_transaction
def follow(request: DsarRequest, first: DsarRequest) -> None:
    """Let `request`, which the caller saves, wait for `first`, whose clock becomes the earlier of the two."""
    request.duplicate_of = first.pk
    if request.received_at < first.received_at or request.due_on < first.due_on:
        audit.action("dsar.duplicate.earlier", entity=first)
        DsarRequest.objects.filter(pk=first.pk).update(**clocks.earliest(first, [request]))


@requires_transaction
def settle(first: DsarRequest, *, now: datetime) -> int:
    """End those that waited for this one, which is answered, and whose row is locked. Returns how many."""
    # Mostly nobody does; and who files the same now waits for the lock.
    if not _WAITED_FOR.is_any(first=first.pk):
        return 0
    waiting = list(DsarRequest.objects.waiting_for(first).select_for_update())
    for request in waiting:
        audit.action("dsar.duplicate.answered", entity=request)
        DsarRequest.objects.filter(pk=request.pk).exclude(status=Status.COMPLETED).update(
            state=State.COMPLETED,
            status=Status.COMPLETED,
            outcome=Outcome.DUPLICATE,
            closed_at=now,
            package_expires_at=first.package_expires_at,
            counts=first.counts if first.package_expires_at else {},
        )
        pauses.resume_retention(request_id=request.pk, now=now)
    return len(waiting)


@requires_transaction
def next_after(first: DsarRequest) -> DsarRequest | None:
    """The request that takes the place of one that will not be answered, locked; the others wait for it from now on."""
    waiting = list(DsarRequest.objects.waiting_for(first).select_for_update())
    if not waiting:
        return None
    heir, *rest = waiting
    for request in rest:
        audit.action("dsar.duplicate.follows", entity=request)
        DsarRequest.objects.filter(pk=request.pk).update(duplicate_of=heir.pk)
    audit.action("dsar.duplicate.takes_over", entity=heir)
    DsarRequest.objects.filter(pk=heir.pk).update(duplicate_of=None, **clocks.earliest(heir, rest))
    heir.refresh_from_db()
    return heir
