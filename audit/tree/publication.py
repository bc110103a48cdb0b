"""Checkpoints that leave the database: into storage, to the operator's webhook, to a destination of the tenant's.

The newest checkpoint commits to all before it, so only it is published. Each channel stands for itself: the row that
says it was published is written when storage gave the object back or the receiver answered, and not before, so what
failed is tried again by the next call, and shows until then.
"""

import logging
import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from uuid import UUID, uuid5

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.db import connections, transaction

from audit.models import Channel, Checkpoint, Publication, Restore
from audit.tree import checkpoints, notes
from kaireon.api import written_once
from kaireon.api.written_once import WrittenOtherwise
from kaireon.lib import clock
from kaireon.lib.sealing import CannotOpen
from kaireon.outbox import destinations
from kaireon.outbox.destinations import Endpoint, UnknownDestination
from kaireon.outbox.models import Destination, Kind
from kaireon.outbox.sending import Outgoing, Refused
from kaireon.tenancy.context import PLATFORM, current, requires_transaction
from kaireon.tenancy.context import transaction as tenant_transaction

logger = logging.getLogger("kaireon.audit.publication")

TOPIC = "audit.checkpoint"
# A tenant that has a destination of this name gets its checkpoints there.
DESTINATION = "audit-checkpoints"
# Makes the id of a message from what it says: the same checkpoint sent twice is known for the same.
_IDS = UUID("b1c4f9a2-6d57-4c1e-9a53-2f6f0f7f7c11")
# What a channel may fail with. Anything else is a defect, and stops the rest too.
FAILURES = (OSError, BotoCoreError, ClientError, Refused, CannotOpen, UnknownDestination)

Publish = Callable[[Checkpoint], str]

# What goes into storage right before each checkpoint of the active scope's log, so that the checkpoint stands for it.
# Apps above put theirs here as they start. Called outside any transaction, and again after a failure.
# With the checkpoint each gets the file name of its object.
COMPANIONS: list[Callable[[Checkpoint, str], None]] = []


class PublishedOtherwise(RuntimeError):
    """Under the checkpoint's name storage holds something else. Compare them: one of the two was tampered with."""


# What has to be looked at before a checkpoint goes into storage under a file name. Each raises when it may not.
GUARDS: list[Callable[[str], None]] = []

_NAME = re.compile(r"(?:r([0-9]{6})-)?([0-9]{18})\.txt")


def object_name(checkpoint: Checkpoint, restores: int = 0) -> str:
    """Sorted by name is sorted by size, those after a restore behind all before it."""
    after = f"r{restores:06d}-" if restores else ""
    return f"checkpoints/{checkpoint.tenant_id}/{after}{checkpoint.tree_size:018d}.txt"


def place_of(name: str) -> tuple[int, int] | None:
    """Of an object's name in its folder, after how many restores and of which size; None for something else."""
    found = _NAME.fullmatch(name)
    return (int(found[1] or 0), int(found[2])) if found else None


@requires_transaction
def restores() -> int:
    """How often the active scope's log went on from an older database."""
    newest = Restore.objects.filter(tenant_id=current().tenant_id).order_by("-number").first()
    return newest.number if newest else 0


def channels() -> list[str]:
    """By which every log's checkpoints leave here; a tenant's own destination comes on top."""
    return [Channel.STORAGE, Channel.WEBHOOK] if settings.AUDIT_PUBLISH_URL else [Channel.STORAGE]


def unpublished() -> Checkpoint | None:
    """The active scope's newest checkpoint, when it has not left by every channel yet."""
    newest = checkpoints.newest(current().tenant_id)
    return newest if newest is not None and _waiting(newest) else None


def waiting_since() -> datetime | None:
    """When the active scope's newest checkpoint was signed, if it has not left by every channel yet."""
    waiting = unpublished()
    return waiting.signed_at if waiting else None


def publish() -> Checkpoint | None:
    """Publish the active scope's newest checkpoint; None when it is published already, or there is none.

    Opens its own transactions: what is done outside cannot be rolled back. Every channel is tried; then the first
    failure is raised: PublishedOtherwise, what the storage raises (OSError, botocore's errors), sending.Refused,
    BreakerOpen. The next call tries again.
    """
    with tenant_transaction():
        newest = unpublished()
        ways = _waiting(newest) if newest else {}
    failures: list[Exception] = []
    for channel, send in ways.items():
        assert newest is not None  # noqa: S101  there are no ways without one
        try:
            name = send(newest)
        except (PublishedOtherwise, *FAILURES) as error:
            logger.warning("not_published", extra={"channel": str(channel), "error_type": type(error).__name__})
            failures.append(error)
        else:
            _write_down(newest, channel, name)
    if failures:
        raise failures[0]
    return newest


def _waiting(checkpoint: Checkpoint) -> dict[str, Publish]:
    """How to send it by each channel that it has not left by."""
    ways: dict[str, Publish] = {Channel.STORAGE: _store}
    if settings.AUDIT_PUBLISH_URL:
        ways[Channel.WEBHOOK] = partial(_send, Channel.WEBHOOK, _operators)
    if _tenant_has_one():
        ways[Channel.DESTINATION] = partial(_send, Channel.DESTINATION, _tenants)
    rows = Publication.objects.filter(tenant_id=checkpoint.tenant_id, tree_size=checkpoint.tree_size)
    done = set(rows.values_list("channel", flat=True))
    return {channel: send for channel, send in ways.items() if channel not in done}


def _store(checkpoint: Checkpoint) -> str:
    """Written once, read back; an object that is there already must say the same."""
    with tenant_transaction():
        name = object_name(checkpoint, restores())
    file_name = name.rpartition("/")[2]
    for guard in GUARDS:
        guard(file_name)
    for accompany in COMPANIONS:
        accompany(checkpoint, file_name)
    try:
        written_once.put(name, checkpoint.note.encode())
    except WrittenOtherwise as error:
        raise PublishedOtherwise(f"{name} is not the checkpoint of {checkpoint.tree_size} records") from error
    return name


def _send(channel: str, endpoint: Callable[[], Endpoint], checkpoint: Checkpoint) -> str:
    """By the outbox's own ways, but not from its table: the row of the publication is what survives, and comes again.

    Gives the message's id. Raises Refused, BreakerOpen, CannotOpen.
    """
    message = outgoing(checkpoint, channel)
    endpoint().send(message)
    return str(message.id)


def outgoing(checkpoint: Checkpoint, channel: str) -> Outgoing:
    """The message that carries a checkpoint: the same bytes under the same id at every attempt."""
    note = notes.Note.parse(checkpoint.note)
    origin = note.text.partition("\n")[0]
    return Outgoing(
        id=uuid5(_IDS, f"{channel}\n{checkpoint.note}"),
        tenant_id=checkpoint.tenant_id,
        topic=TOPIC,
        created_at=checkpoint.signed_at,
        payload={
            "origin": origin,
            "treeSize": checkpoint.tree_size,
            "rootHash": checkpoint.root_hash,
            "keyId": note.signatures[0].key_id.hex(),
            "checkpoint": checkpoint.note,
        },
    )


def others() -> dict[str, Callable[[], Endpoint]]:
    """Where the active scope's checkpoints go besides storage, by channel. Each opens transactions of its own."""
    found: dict[str, Callable[[], Endpoint]] = {}
    if settings.AUDIT_PUBLISH_URL:
        found[Channel.WEBHOOK] = _operators
    with tenant_transaction():
        if _tenant_has_one():
            found[Channel.DESTINATION] = _tenants
    return found


def _operators() -> Endpoint:
    return Endpoint(_IDS, Kind.WEBHOOK, {"url": settings.AUDIT_PUBLISH_URL}, settings.AUDIT_PUBLISH_SECRET)


def _tenants() -> Endpoint:
    with tenant_transaction():
        row = destinations.find(DESTINATION)
        if row.kind == Kind.EMAIL:
            raise Refused("kind_cannot_carry_it", permanent=True)
        return destinations.endpoint(row.pk)


def _tenant_has_one() -> bool:
    if current().tenant_id == PLATFORM:
        return False
    return Destination.objects.filter(name=DESTINATION, is_enabled=True).exists()


def _write_down(checkpoint: Checkpoint, channel: str, name: str) -> None:
    with transaction.atomic(using=checkpoints.ALIAS), connections[checkpoints.ALIAS].cursor() as cursor:
        cursor.execute(
            "INSERT INTO public.audit_publication (tenant_id, tree_size, channel, object_name, published_at)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [checkpoint.tenant_id, checkpoint.tree_size, channel, name, clock.now()],
        )
