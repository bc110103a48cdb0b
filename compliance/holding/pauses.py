"""Retention waits while a request of a data subject is open. Nothing else does: an erasure may be what they ask for."""

from datetime import datetime
from uuid import UUID

import audit
from compliance.holding.matters import ENTITY
from compliance.models import Hold, HoldState, HoldSubject, Kind
from kaireon.tenancy.context import Actor, requires_transaction
from kaireon.tenancy.kept import Kept

_PAUSED = Kept(
    lambda request: Hold.objects.effective().filter(kind=Kind.REQUEST, request_ref=request).values_list("pk"),
    request=UUID,
)


@requires_transaction
def pause_retention(*, request_id: UUID, subject_id: UUID, actor: Actor, now: datetime) -> None:
    """Keep what there is of this person from retention until `resume_retention` of the same request."""
    hold = Hold(kind=Kind.REQUEST, request_ref=request_id, of_subjects=True, placed_by=actor.id[:64], placed_at=now)
    audit.action("legal_hold.pause", entity=hold, entity_type=ENTITY)
    hold.save(force_insert=True)
    HoldSubject.objects.create(hold=hold, subject_id=subject_id)


@requires_transaction
def resume_retention(*, request_id: UUID, now: datetime) -> None:
    """Nothing happens when it was resumed before, or never paused."""
    for (pk,) in _PAUSED.values(request=request_id):
        audit.action("legal_hold.resume", entity=Hold(pk=pk), entity_type=ENTITY)
        Hold.objects.effective().filter(pk=pk).update(state=HoldState.RELEASED, released_at=now)


@requires_transaction
def paused_since(request_id: UUID) -> datetime | None:
    """Since when retention waits for this request; None when it does not."""
    paused = Hold.objects.effective().filter(kind=Kind.REQUEST, request_ref=request_id)
    return paused.values_list("placed_at", flat=True).first()
