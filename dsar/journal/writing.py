"""Writing the journal: an entry in the transaction of the erasure, its object in storage right after it.

Objects go out in the order of their numbers, each read back. What could not be written is written by the next attempt
of the erasure that waits for it, by a later erasure of the tenant, or by the job `audit-publish`.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid5

from botocore.exceptions import BotoCoreError, ClientError
from django.db import connection
from django.db.models import Subquery

from audit.models import Checkpoint
from audit.tree import publication
from dsar.journal import entries
from dsar.models import ErasureEntry
from kaireon.api import written_once
from kaireon.lib import clock
from kaireon.outbox.sending import Outgoing
from kaireon.tenancy import context, trips
from kaireon.tenancy.context import PLATFORM, requires_transaction, transaction, without_transaction
from kaireon.tenancy.kept import Kept

logger = logging.getLogger("kaireon.dsar.journal")

# What storage raises when it is away or full; the next attempt goes on.
AWAY = (OSError, BotoCoreError, ClientError)

TOPIC = "dsar.erasure"
# Makes the id of a message from what it says.
_IDS = UUID("5b0f4a0e-70c7-4b39-9d0e-2f8f0c7a6d52")
# Sent in one go: the job that does it is everybody's.
_MOST_AT_ONCE = 1000


_NEWEST = Kept(lambda: ErasureEntry.objects.order_by("-number")[:1])
_WAITING_FOR = Kept(
    lambda request: (
        ErasureEntry.objects.unwritten()
        .in_order()
        .filter(
            number__lte=Subquery(
                ErasureEntry.objects.unwritten().filter(request_ref=request).order_by("-number").values("number")[:1]
            )
        )
    ),
    request=UUID,
)


@requires_transaction
def note(
    *, request_id: UUID, subjects: list[dict[str, str | None]], counts: Mapping[str, Any], now: datetime
) -> ErasureEntry:
    """Write down what the journal is to say of an erasure; call it late in its transaction, and `write` after it."""
    lock = "SELECT pg_advisory_xact_lock(hashtextextended('erasure-journal:' || %s, 0))"
    trips.say(connection, lock, [context.tenant_id()])
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
    return _NEWEST.first()


@without_transaction
def write() -> int:
    """Bring out every entry that is not outside yet, and note so; how many. Raises what `put` raises."""
    written = put()
    if written:
        with transaction():
            mark(written, now=clock.now())
    return len(written)


@without_transaction
def put(*, request_id: UUID | None = None) -> list[ErasureEntry]:
    """Bring out every entry that is not outside yet, up to the last one of `request_id` if that is given.

    The last is still to be marked, by the caller: that can be one transaction with what follows from it. Raises
    WrittenOtherwise and what the storage raises; those that were out by then stay out.
    """
    with transaction():
        if request_id is None:
            rows = list(ErasureEntry.objects.unwritten().in_order())
        else:
            rows = _WAITING_FOR.all(request=request_id)
    for before, row in pairwise([None, *rows]):
        if before is not None:
            with transaction():
                mark([before], now=clock.now())
        if row is not None:
            written_once.put(entries.entry_name(row.number), bytes(row.content))
    return rows


@requires_transaction
def mark(written: Sequence[ErasureEntry], *, now: datetime) -> None:
    """Note that these are outside."""
    ErasureEntry.objects.unwritten().filter(pk__in=[row.pk for row in written]).update(written_at=now)


@without_transaction
def send() -> int:
    """Send what is in storage to the webhooks that checkpoints go to, in order; how many. None: there are none.

    Raises what publication.FAILURES names; what was not taken is sent again by the next call, with the same id.
    """
    ways = publication.others()
    if not ways:
        return 0
    with transaction():
        rows = list(ErasureEntry.objects.unsent().in_order()[:_MOST_AT_ONCE])
    for row in rows:
        for channel, endpoint in ways.items():
            endpoint().send(outgoing(row, channel))
        with transaction():
            ErasureEntry.objects.filter(pk=row.pk).update(sent_at=clock.now())
    return len(rows)


def outgoing(row: ErasureEntry, channel: str) -> Outgoing:
    """The message that carries an entry, to the byte: what is in it can be put back into storage."""
    content = bytes(row.content).decode()
    return Outgoing(
        id=uuid5(_IDS, f"{channel}\n{row.sha256}"),
        tenant_id=context.tenant_id(),
        topic=TOPIC,
        created_at=row.made_at,
        payload={"number": row.number, "sha256": row.sha256, "entry": content},
    )


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
