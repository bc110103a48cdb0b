"""Taking an erased person out of the files that were exported before: they are written anew without them.

The new file has a name of its own. When the row, the manifest and the removal of the old file are written down, in one
transaction, the old one goes. Stopped anywhere, the next attempt goes on with the files that still have the person.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from django.core.files.storage import default_storage
from django.db.models import F, Sum

import audit
from customers import removals
from customers.exporting import exporting, formats, lines, manifests, places
from customers.exporting.formats import Unreadable
from customers.exporting.reading import Ready
from customers.models import ExportBatch, ExportCheckpoint, ExportEntry, Interaction
from customers.models.removal import Cause
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction

logger = logging.getLogger("kaireon.export")

REASON = "erasure"
STRUCK_VERB = "interactions.export_struck"


@dataclass(frozen=True, kw_only=True)
class Struck:
    """`rows` of the person that were taken out of `files`."""

    files: int = 0
    rows: int = 0


@without_transaction
def strike(
    refs: Collection[UUID], *, reference: UUID, now: datetime, before_each: Callable[[], object] = lambda: None
) -> None:
    """Take these people out of all files. Call it after the transaction in which their interactions went.

    Rows of theirs that are still in the database, because a hold keeps them, stay in the files too. The files that
    they were in are removed with the other objects of `reference` (removals.remove_doomed). Done twice it does nothing
    more. Raises exporting.ExportUnderWay, exporting.LeftoverStays, formats.FormatUnknown, and what the storage raises.
    """
    with transaction():
        # An export that begins later reads rows that are there later: theirs are gone.
        if not refs or not ExportCheckpoint.objects.exists():
            return
    with exporting.only_writer():
        # What an export had begun and never owned may have them too.
        exporting.remove_leftovers(now=now)
        with transaction():
            # One that has read them already, and lost its lock without hearing of it, writes no more.
            ExportCheckpoint.objects.update(strikes=F("strikes") + 1)
        for key in _having(refs):
            before_each()
            with transaction():
                batch = ExportBatch.objects.get(pk=key)
            _without(batch, refs, reference, now)
        manifests.put_unwritten()


@requires_transaction
def struck_of(reference: UUID) -> Struck:
    """What was taken out for a request so far."""
    found = ExportEntry.objects.filter(removed__gt=0).of(reference)
    return Struck(files=found.count(), rows=found.aggregate(sum=Sum("removed"))["sum"] or 0)


def _having(refs: Collection[UUID]) -> list[UUID]:
    """The files that somebody of these may be in, oldest first."""
    with transaction():
        stored = ExportBatch.objects.in_storage().in_order().values_list("pk", "subjects").iterator(chunk_size=100)
        return [key for key, subjects in stored if lines.is_marked(bytes(subjects), refs)]


def _without(batch: ExportBatch, refs: Collection[UUID], reference: UUID, now: datetime) -> None:
    try:
        with default_storage.open(batch.object_name) as file:
            content = file.read()
    except FileNotFoundError:
        # Nothing readable is left of it, whoever took it away.
        logger.warning("export_file_missing", extra={"batch": str(batch.pk)})
        exporting.give_up(batch, event=manifests.MISSING, reason=REASON, now=now, reference=reference)
        return
    try:
        read = _read_back(batch, content)
    except Unreadable:
        # Not what we wrote: whose lines it has cannot be known, so it goes as a whole.
        logger.exception("export_file_unreadable", extra={"batch": str(batch.pk)})
        exporting.give_up(
            batch, event=manifests.REMOVED, reason="unreadable", now=now, reference=reference, removed=batch.rows
        )
        return
    theirs = {str(ref) for ref in refs}
    mine = [line for line in read if lines.ref_of(line) in theirs]
    if not mine:
        return
    held = _still_there(mine)
    gone = {id(line) for line in mine if lines.id_of(line) not in held}
    if not gone:
        return
    kept = [line for line in read if id(line) not in gone]
    if kept:
        _write_anew(batch, kept, len(gone), reference, now)
    else:
        exporting.give_up(
            batch, event=manifests.REMOVED, reason=REASON, now=now, reference=reference, removed=len(gone)
        )


def _read_back(batch: ExportBatch, content: bytes) -> list[bytes]:
    """Raises FormatUnknown, and Unreadable, also for what is not as it was written: nobody would be found in it."""
    if sha256(content).hexdigest() != batch.sha256:
        raise Unreadable(str(batch.pk))
    return formats.of(batch.object_name).unpack(content)


def _still_there(mine: list[bytes]) -> set[UUID]:
    with transaction():
        ids = [lines.id_of(line) for line in mine]
        return set(Interaction.objects.filter(pk__in=ids).values_list("pk", flat=True))


def _write_anew(batch: ExportBatch, kept: list[bytes], gone: int, reference: UUID, now: datetime) -> None:
    form = formats.of(batch.object_name)
    before = {"file": batch.object_name, "sha256": batch.sha256, "rows": batch.rows}
    ready = Ready.of(kept, form)
    batch.revision += 1
    batch.object_name = places.batch(batch.cut_at, ending=form.ending, revision=batch.revision)
    exporting.described(batch, ready)
    removals.announce([batch.object_name], now=now)
    exporting.store(batch.object_name, ready.content)
    with transaction():
        checkpoint = exporting.locked()
        removals.claim([batch.object_name])
        removals.doom([str(before["file"])], cause=Cause.ERASURE, now=now, reference=reference)
        audit.action(STRUCK_VERB, entity=batch)
        batch.save(update_fields=["revision", "object_name", "rows", "size", "sha256", "subjects"])
        more = {**exporting.facts(ready), "reason": REASON, "removedRows": gone, "supersedes": before}
        manifests.note(checkpoint, manifests.STRUCK, batch, now=now, more=more, reference=reference, removed=gone)
        checkpoint.save()
