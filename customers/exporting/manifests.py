"""The manifests of exported files: one entry for each thing that happened to a file, chained by their hashes.

An entry is written down in the transaction in which it becomes true, and put into storage after it, once and for good.
What is not there yet, because storage was away or the process ended, is put there before anything else is exported.
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from customers.exporting import places
from customers.models import ExportBatch, ExportCheckpoint, ExportEntry
from kaireon.api import written_once
from kaireon.lib import clock
from kaireon.lib.canonical import canonical
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction

FORMAT = "kaireon-interactions-1"
# What happened to a file.
BATCH = "batch"
STRUCK = "struck"  # written anew without somebody who was erased
REMOVED = "removed"  # given up: its time is over, or nothing is left in it
MISSING = "missing"  # it was not in storage when it was looked for


@requires_transaction
def note(
    checkpoint: ExportCheckpoint,
    event: str,
    batch: ExportBatch,
    *,
    now: datetime,
    more: Mapping[str, Any],
    reference: UUID | None = None,
    removed: int = 0,
) -> ExportEntry:
    """Write an entry down. `checkpoint` is locked or nobody else's, and is saved by the caller."""
    checkpoint.entries += 1
    content = canonical(
        {
            "format": FORMAT,
            "number": checkpoint.entries,
            "previous": checkpoint.head or "genesis",
            "tenantId": context.tenant_id(),
            "event": event,
            "batch": batch.number,
            "file": batch.object_name if event in (BATCH, STRUCK) else None,
            "rows": batch.rows if event in (BATCH, STRUCK) else 0,
            "writtenAt": clock.rfc3339(now),
            **more,
        }
    )
    checkpoint.head = sha256(content).hexdigest()
    entry = ExportEntry(
        number=checkpoint.entries,
        content=content,
        sha256=checkpoint.head,
        reference=reference,
        removed=removed,
        made_at=now,
    )
    entry.save(force_insert=True)
    return entry


@without_transaction
def put_unwritten() -> int:
    """Put into storage what is not there yet, in order; how many. Raises written_once.WrittenOtherwise, and what the
    storage raises."""
    with transaction():
        waiting = list(ExportEntry.objects.unwritten().in_order())
    for entry in waiting:
        put(entry)
    return len(waiting)


@without_transaction
def put(entry: ExportEntry) -> None:
    """Raises as `put_unwritten`."""
    written_once.put(places.manifest(entry.number), bytes(entry.content))
    with transaction():
        # A server that crashes may forget it: the same is put again then, and changes nothing.
        context.not_durably()
        ExportEntry.objects.filter(pk=entry.pk).update(written_at=clock.now())
