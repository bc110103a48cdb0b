"""Removing objects from storage, which no transaction holds together with its row: each is written down first.

An upload is announced before its object is written and claimed by its row's transaction: when that never commits,
whatever stopped it, the object is removed after a grace. The object of a deleted row is written down in the
transaction that deletes it and removed after the commit. One resumable step does both, and what it did stays done.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core.files.storage import default_storage
from django.db.models import Count, F, Q

import audit
from customers import bulk
from customers.models.removal import Cause, ObjectRemoval
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction

logger = logging.getLogger("kaireon.storage")

VERB = "object.removed"
# How long after its announcement an upload's row may come. No transaction of ours is open for as long.
GRACE = timedelta(hours=1)
_SLICE = 1000


class UploadAbandoned(RuntimeError):
    """Its row came too late: the object is being removed. Upload it again."""


class ObjectStillThere(RuntimeError):
    """Storage answered the deletion but still has the object. Try again later."""


@dataclass(frozen=True, kw_only=True)
class Removed:
    """`attempted` = `deleted` + `missing` (gone already: a warning) + `failed` (tried again by the next call)."""

    attempted: int = 0
    deleted: int = 0
    missing: int = 0
    failed: int = 0


@without_transaction
def announce(names: Iterable[str], *, now: datetime) -> None:
    """Write down, in a transaction of its own, the objects that are about to be stored."""
    with transaction():
        bulk.insert([ObjectRemoval(object_name=name, cause=Cause.UPLOAD, created_at=now) for name in names])


@requires_transaction
def claim(names: Iterable[str]) -> None:
    """Keep announced objects: their rows are in this transaction. Raises UploadAbandoned."""
    wanted = list(names)
    if ObjectRemoval.objects.announced().filter(object_name__in=wanted).delete()[0] != len(wanted):
        raise UploadAbandoned


@requires_transaction
def give_up(names: Iterable[str], *, now: datetime) -> None:
    """No row will come for these announced objects: remove them without waiting."""
    ObjectRemoval.objects.announced().filter(object_name__in=list(names)).update(doomed_at=now)


@requires_transaction
def doom(names: Iterable[str], *, cause: Cause, now: datetime, reference: UUID | None = None) -> None:
    """Write down what is to be removed, in the transaction that deletes the rows."""
    bulk.insert(
        [
            ObjectRemoval(object_name=name, cause=cause, reference=reference, created_at=now, doomed_at=now)
            for name in names
            if name
        ]
    )


@without_transaction
def remove_doomed(
    *,
    now: datetime,
    budget: Budget | None = None,
    reference: UUID | None = None,
    before_each: Callable[[], None] = lambda: None,
) -> Removed:
    """Remove what is written down, oldest first, until done or out of time; what an earlier call left behind too.

    `reference` limits it to the objects of one request. Whether an object was there is noted before the first of its
    slice goes: after a crash in between, the next call finds one gone and still says truly that it was removed. What
    storage does not let go is counted, and stays written down.
    """
    counts = {"attempted": 0, "deleted": 0, "missing": 0, "failed": 0}
    with transaction():
        _doom_abandoned(now)
        waiting = ObjectRemoval.objects.doomed().oldest_first()
        if reference is not None:
            waiting = waiting.of(reference)
        found = list(waiting[:_SLICE])
    while found:
        for removal in found:
            if budget and budget.spent and counts["attempted"]:
                return Removed(**counts)
            before_each()
            counts["attempted"] += 1
            counts[_remove(removal)] += 1
        with transaction():
            found = list(waiting.filter(pk__gt=found[-1].pk)[:_SLICE])
    return Removed(**counts)


@requires_transaction
def removed_of(reference: UUID) -> Removed:
    """What was removed for a request so far."""
    rows = ObjectRemoval.objects.filter(gone_at__isnull=False).of(reference)
    found = rows.aggregate(gone=Count("pk"), missing=Count("pk", filter=Q(was_missing=True)))
    gone, missing = found["gone"], found["missing"]
    return Removed(attempted=gone, deleted=gone - missing, missing=missing)


def remove_object(object_name: str) -> bool:
    """Delete an object; False when it was gone already. Call it after the row's deletion was committed.

    Raises ObjectStillThere when storage does not confirm, and what the storage raises when it cannot be reached.
    """
    was_there = default_storage.exists(object_name)
    default_storage.delete(object_name)
    if default_storage.exists(object_name):
        raise ObjectStillThere
    return was_there


def _doom_abandoned(now: datetime) -> None:
    # One whose row is being written at this moment is locked, and passed by.
    abandoned = ObjectRemoval.objects.abandoned(now - GRACE).select_for_update(skip_locked=True)
    if keys := list(abandoned.values_list("pk", flat=True)):
        ObjectRemoval.objects.filter(pk__in=keys).update(doomed_at=now)
        logger.warning("uploads_abandoned", extra={"count": len(keys)})


def _remove(removal: ObjectRemoval) -> str:
    try:
        if removal.reference is not None and removal.was_missing is None:
            _note_whether_there(removal)
        was_there = remove_object(removal.object_name) or removal.was_missing is False
    except Exception:
        # Every storage raises its own; the row stays and the next call tries again.
        logger.exception("object_removal_failed", extra={"removal": str(removal.pk)})
        with transaction():
            ObjectRemoval.objects.filter(pk=removal.pk).update(failures=F("failures") + 1)
        return "failed"
    with transaction():
        audit.action(VERB, entity=removal)
        mine = ObjectRemoval.objects.doomed().filter(pk=removal.pk)
        if removal.reference is None:
            mine.delete()
        else:
            mine.update(gone_at=clock.now(), object_name="")
    if not was_there:
        logger.warning("object_was_missing", extra={"removal": str(removal.pk)})
    return "deleted" if was_there else "missing"


def _note_whether_there(removal: ObjectRemoval) -> None:
    removal.was_missing = not default_storage.exists(removal.object_name)
    with transaction():
        ObjectRemoval.objects.doomed().filter(pk=removal.pk).update(was_missing=removal.was_missing)
