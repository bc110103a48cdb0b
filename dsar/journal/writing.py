"""Writing the journal: an entry in the transaction of the erasure, its object in storage right after it.

Objects go out in the order of their numbers, each read back. What could not be written is written by the next attempt
of the erasure that waits for it, by a later erasure of the tenant, or by the job `audit-publish`.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from botocore.exceptions import BotoCoreError, ClientError
from django.db import connection

from audit.models import Checkpoint
from dsar.journal import entries
from dsar.models import ErasureEntry
from kaireon.api import written_once
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import PLATFORM, requires_transaction, transaction, without_transaction

logger = logging.getLogger("kaireon.dsar.journal")

# What storage raises when it is away or full; the next attempt goes on.
AWAY = (OSError, BotoCoreError, ClientError)


@requires_transaction
def note(
    *, request_id: UUID, subjects: list[dict[str, str | None]], counts: Mapping[str, Any], now: datetime
) -> ErasureEntry:
    """Write down what the journal is to say of an erasure; call it late in its transaction, and `write` after it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('erasure-journal:' || %s, 0))", [context.tenant_id()]
        )
    last = newest()
    number = last.number + 1 if last else 1
    content = entries.entry(
        number=number,
        previous=last.sha256 if last else None,
        request_id=request_id,
        subjects=subjects,
        counts=counts,
        now=now,
    )
    return ErasureEntry.objects.create(
        number=number, request_ref=request_id, content=content, sha256=entries.digest(content), made_at=now
    )


@requires_transaction
def newest() -> ErasureEntry | None:
    return ErasureEntry.objects.in_order().last()


@without_transaction
def write(*, request_id: UUID | None = None) -> int:
    """Bring out every entry that is not outside yet, up to the last one of `request_id` if that is given; how many.

    Raises WrittenOtherwise and what the storage raises; those that were out by then stay out.
    """
    with transaction():
        waiting = ErasureEntry.objects.unwritten().in_order()
        if request_id is not None:
            own = waiting.filter(request_ref=request_id).last()
            waiting = waiting.filter(number__lte=own.number) if own else waiting.none()
        rows = list(waiting)
    for row in rows:
        written_once.put(entries.entry_name(row.number), bytes(row.content))
        with transaction():
            ErasureEntry.objects.unwritten().filter(pk=row.pk).update(written_at=clock.now())
    return len(rows)


@without_transaction
def accompany(checkpoint: Checkpoint, object_name: str) -> None:
    """State beside a checkpoint that is about to be published how many entries there are.

    So whoever takes entries away from the end has to take the checkpoints away too, which others remember.
    """
    if checkpoint.tenant_id == PLATFORM:
        return
    with transaction():
        last = ErasureEntry.objects.exclude(written_at=None).in_order().last()
    name = entries.statement_name(object_name)
    if (there := written_once.read(name)) is not None:
        try:
            entries.opened(there, form=entries.STATEMENT, name=name)
        except entries.JournalBroken:
            # Whoever wrote it was stopped in the middle; the checkpoint that it is for is not out yet.
            logger.warning("journal_statement_renewed")
            written_once.remove(name)
        else:
            return
    said = entries.statement(
        tree_size=checkpoint.tree_size, number=last.number if last else 0, last=last.sha256 if last else None
    )
    written_once.put(name, said)
