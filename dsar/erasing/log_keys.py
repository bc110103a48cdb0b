"""The end of a subject's key in the audit log, under which their values stand there; see audit/sealing/subject_keys.py.

It goes with the last of what an erasure retains: while rows of the person are held, the log that tells about them stays
readable, and so it does while the log itself (the class `audit`) is held, for everybody or for this person. What was
retained is looked at again by the job `cleanup`, and by every later erasure of the same person.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db.models import Q

from audit.sealing import subject_keys
from compliance.holding import holds, predicate
from dsar.erasing.grounds import LEGAL_HOLD, TELLS_OF_HELD_ROWS
from dsar.erasing.residue import residue
from dsar.models import DsarRequest, Outcome, RequestType, Status
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.kept import Kept
from kaireon.tenancy.managers import TenantQuerySet

# What an erasure's list of what was retained calls it.
NAME = "subjectKey"
TITLE = "Key to the values in the audit log"
# Whether the log is held, or what it says of this person.
Held = Callable[[UUID], bool]


@requires_transaction
def hold_on_log(held: Collection[str]) -> Held:
    """Whether the log is held, or what it says of a person; asked once of each. `held`: the classes that are."""

    @cache
    def is_held(subject: UUID) -> bool:
        return "audit" in held or predicate.subject_held("audit", str(subject))

    return is_held


@requires_transaction
def retained_of(request: DsarRequest, *, is_held: Held) -> list[dict[str, Any]]:
    """What an erasure has to say of the subject's key: nothing when it goes. Take the hold epoch first."""
    if request.customer_ref is None or not subject_keys.alive([str(request.customer_ref)]):
        return []
    ground = ground_of(request.customer_ref, anything_retained=bool(request.retained), is_held=is_held)
    return [{"entity": NAME, "count": 1, "ground": ground, "until": None}] if ground else []


@requires_transaction
def ground_of(subject: UUID, *, anything_retained: bool, is_held: Held) -> str | None:
    """Why the key of this person stays; None when it goes."""
    if anything_retained:
        return TELLS_OF_HELD_ROWS
    return LEGAL_HOLD if is_held(subject) else None


@requires_transaction
def destroy_of(request: DsarRequest, *, back: Collection[UUID] = (), is_held: Held, now: datetime) -> int:
    """Destroy the key of this erasure's subject, and those that earlier ones had to leave of them; returns how many.

    `back`: our ids of those who were written again meanwhile; their keys go with it. None that something is left of,
    and none while the log is held. Drain before the transaction, take the hold epoch in it, and let this be its last:
    the log stands still until it ends.
    """
    refs = {request.customer_ref, *back} if request.customer_ref and not request.retained else set()
    if request.pseudonym:
        earlier = {ref for (ref,) in _EARLIER.values(pseudonym=request.pseudonym, request=request.pk)}
        refs |= {ref for ref in _released(earlier, is_held) if ref != request.customer_ref}
    return _destroy(refs, is_held, now)


@requires_transaction
def destroy_released(*, now: datetime, dry_run: bool = False) -> int:
    """Destroy the keys that erasures had to leave, of subjects that nothing is left of by now; returns how many."""
    holds.lock_epoch()
    is_held = hold_on_log(holds.held_classes())
    released = _released(_left(_erasures()).values_list("customer_ref", flat=True), is_held)
    return len(released) if dry_run else _destroy(released, is_held, now)


def _destroy(refs: Collection[UUID], is_held: Held, now: datetime) -> int:
    return sum(subject_keys.destroy(str(ref), now=now) for ref in refs if not is_held(ref))


def _released(refs: Iterable[UUID | None], is_held: Held) -> set[UUID]:
    """Whose keys are left of these, of whom nothing else is."""
    left = list(refs)
    alive = subject_keys.alive(str(ref) for ref in left) if left else set()
    return {UUID(ref) for ref in alive if not is_held(UUID(ref)) and not residue(UUID(ref), [])}


def _erasures() -> TenantQuerySet[DsarRequest]:
    """Those that were answered, with something left or nothing."""
    answered = Q(status=Status.COMPLETED) | Q(answered_at__isnull=False)
    return DsarRequest.objects.filter(answered, request_type=RequestType.DELETE, customer_ref__isnull=False)


def _left(erasures: TenantQuerySet[DsarRequest]) -> TenantQuerySet[DsarRequest]:
    """Those that had to leave something."""
    return erasures.filter(outcome=Outcome.PARTIALLY_COMPLETED)


_EARLIER = Kept(
    lambda pseudonym, request: (
        _left(_erasures()).filter(pseudonym=pseudonym).exclude(pk=request).values_list("customer_ref")
    ),
    pseudonym=str,
    request=UUID,
)
