"""Checkpoints that leave the database: an object each, in the configured storage, read back before it counts.

The newest checkpoint commits to all before it, so only it is published. An object is written once; one that is there
already must say the same.
"""

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connections, transaction

from audit import checkpoints
from audit.models import Checkpoint, Publication
from kaireon.lib import clock
from kaireon.tenancy.context import current
from kaireon.tenancy.context import transaction as tenant_transaction


class PublishedOtherwise(RuntimeError):
    """Under the checkpoint's name storage holds something else. Compare them: one of the two was tampered with."""


def object_name(checkpoint: Checkpoint) -> str:
    """Sorted by name is sorted by size."""
    return f"checkpoints/{checkpoint.tenant_id}/{checkpoint.tree_size:018d}.txt"


def unpublished() -> Checkpoint | None:
    """The active scope's newest checkpoint, when it has not left yet."""
    newest = checkpoints.newest(current().tenant_id)
    if newest is None or Publication.objects.filter(tenant_id=newest.tenant_id, tree_size=newest.tree_size).exists():
        return None
    return newest


def publish() -> Checkpoint | None:
    """Publish the active scope's newest checkpoint; None when it is published already, or there is none.

    Opens its own transactions: what is done in storage cannot be rolled back. Raises PublishedOtherwise, and what the
    storage raises (OSError, botocore's errors); the next call tries again.
    """
    with tenant_transaction():
        newest = unpublished()
    if newest is None:
        return None
    name = object_name(newest)
    note = newest.note.encode()
    there = _read(name, len(note) + 1)
    if there is not None and there != note and note.startswith(there):
        # Whoever wrote it was stopped in the middle.
        default_storage.delete(name)
        there = None
    if there is None:
        saved = default_storage.save(name, ContentFile(note))
        if saved != name:
            # Another one was faster; its object is compared now.
            default_storage.delete(saved)
        there = _read(name, len(note) + 1)
    if there != note:
        raise PublishedOtherwise(f"{name} is not the checkpoint of {newest.tree_size} records")
    with transaction.atomic(using=checkpoints.ALIAS), connections[checkpoints.ALIAS].cursor() as cursor:
        cursor.execute(
            "INSERT INTO public.audit_publication (tenant_id, tree_size, object_name, published_at)"
            " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [newest.tenant_id, newest.tree_size, name, clock.now()],
        )
    return newest


def _read(name: str, most: int) -> bytes | None:
    """The first bytes of an object; None when there is none."""
    if not default_storage.exists(name):
        return None
    with default_storage.open(name) as stored:
        return bytes(stored.read(most))
