"""Stored objects of purged rows, in two phases: written down with the deletion, removed after its commit."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, FileField

from compliance.models import ObjectRemoval
from customers.attachments import remove_object
from customers.catalogue import Entity
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import requires_transaction, transaction

logger = logging.getLogger("kaireon.retention")


@dataclass(frozen=True, kw_only=True)
class Removed:
    """`attempted` = `deleted` + `missing` (gone already: a warning) + `failed` (tried again by the next purge)."""

    attempted: int = 0
    deleted: int = 0
    missing: int = 0
    failed: int = 0


def file_columns(entity: Entity) -> list[str]:
    """The columns that name stored objects."""
    return [f.attname for f in entity.model_class._meta.concrete_fields if isinstance(f, FileField)]


@requires_transaction
def doom(names: Iterable[str], *, now: datetime) -> None:
    """Write down what is to be removed, in the transaction that deletes the rows."""
    ObjectRemoval.objects.bulk_create(ObjectRemoval(object_name=name, created_at=now) for name in names if name)


def remove_doomed(*, budget: Budget) -> Removed:
    """Remove what is written down, oldest first, until done or out of time. Also what an earlier purge left behind.

    Runs outside any transaction. A crash in between leaves an object that is gone and still written down: the next
    run finds it missing.
    """
    with transaction():
        waiting = list(ObjectRemoval.objects.oldest_first())
    counts = {"attempted": 0, "deleted": 0, "missing": 0, "failed": 0}
    for removal in waiting:
        if counts["attempted"] and budget.spent:
            break
        counts["attempted"] += 1
        counts[_remove(removal)] += 1
    return Removed(**counts)


def _remove(removal: ObjectRemoval) -> str:
    try:
        was_there = remove_object(removal.object_name)
    except Exception:
        # Every storage raises its own; the row stays and the next purge tries again.
        logger.exception("object_removal_failed", extra={"removal": str(removal.pk)})
        with transaction():
            ObjectRemoval.objects.filter(pk=removal.pk).update(failures=F("failures") + 1)
        return "failed"
    with transaction():
        ObjectRemoval.objects.filter(pk=removal.pk).delete()
    if not was_there:
        logger.warning("object_was_missing", extra={"removal": str(removal.pk)})
    return "deleted" if was_there else "missing"
