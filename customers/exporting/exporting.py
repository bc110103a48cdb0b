"""Writing a tenant's interactions into files, each once, in the order in which they became visible (arrivals.py).

A file is announced, written, and owned by the transaction that moves the checkpoint behind its rows: that one either
knows the file, its manifest and the new place, or nothing. A file whose transaction never came is removed by the next
run before it writes another.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError

import audit
from customers import removals
from customers.exporting import arrivals, formats, manifests, places, reading
from customers.exporting.arrivals import Piece, Place
from customers.exporting.reading import Readers, Ready, Waiting
from customers.models import ExportBatch, ExportCheckpoint, ExportEntry, ObjectRemoval
from customers.models.removal import Cause
from kaireon.lib.budget import Budget
from kaireon.tenancy import context
from kaireon.tenancy.alone import alone
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction
from kaireon.tenancy.trips import fewer_trips

logger = logging.getLogger("kaireon.export")

BATCH_ROWS = 10_000
# Seconds: for which whoever writes keeps the others waiting, and for which these wait.
TURN = 2.0
PATIENCE = 20.0
EXPORTED_VERB = "interactions.exported"
REMOVED_VERB = "interactions.export_removed"


class ExportUnderWay(RuntimeError):
    """Somebody writes this tenant's files at this moment: an export, or an erasure. Try again in a while."""


class LeftoverStays(RuntimeError):
    """Storage did not let go of a file that an earlier run had only begun. Nothing is written beside it."""


class NameTaken(RuntimeError):
    """Storage has an object of a name that we did not give: somebody else writes there."""


@dataclass(kw_only=True)
class Exported:
    """`path` is the last file's. `finished`: nothing was left."""

    rows: int = 0
    files: int = 0
    path: str | None = None
    finished: bool = False


@contextmanager
def only_writer() -> Iterator[None]:
    """Nobody else writes the active tenant's files until the block ends. Waits a while. Raises ExportUnderWay."""
    with alone(f"export:{context.tenant_id()}", wait=PATIENCE) as free:
        if not free:
            raise ExportUnderWay
        yield


@without_transaction
def waiting() -> int:
    """How many interactions the next run would begin with, counted to one batch. Changes nothing."""
    with transaction():
        checkpoint = ExportCheckpoint.objects.first()
        after = _place(checkpoint or ExportCheckpoint())
        below, _ = arrivals.horizon(after)
        found = arrivals.piece(after, below=below, most=BATCH_ROWS)
    return found.rows if found else 0


@without_transaction
def export(exported: Exported, *, now: datetime, budget: Budget) -> None:
    """Write what is there, batch by batch, until nothing is left or the time is over; at least one batch a call.

    `exported` tells how far it came, also when it raises: ExportUnderWay, LeftoverStays, NumbersAhead, NameTaken,
    written_once.WrittenOtherwise, and what the storage raises. The checkpoint says so then.
    """
    with transaction():
        # There before any row is read: who erases somebody and finds none knows that no file has them.
        if not ExportCheckpoint.objects.exists():
            with suppress(IntegrityError), transaction():
                ExportCheckpoint(created_at=now).save(force_insert=True)
    try:
        with reading.readers(formats.chosen()) as readers:
            while not exported.finished and not (exported.files and budget.spent):
                with only_writer():
                    _some_batches(exported, now, budget, readers)
    except ExportUnderWay:
        raise
    except Exception as error:
        with transaction():
            ExportCheckpoint.objects.update(failed_at=now, error=type(error).__name__[:64])
        raise
    with transaction():
        ExportCheckpoint.objects.filter(failed_at__isnull=False).update(failed_at=None, error="")


def _some_batches(exported: Exported, now: datetime, budget: Budget, readers: Readers) -> None:
    """As many as fit into a turn: an erasure that waits to take somebody out has the next one.

    What was read ahead is written, or thrown away by an error, before the turn is over.
    """
    turn = Budget(TURN)
    remove_leftovers(now=now)
    manifests.put_unwritten()
    with transaction():
        # Before anything is read: whoever is struck later is known by that.
        begun = ExportCheckpoint.objects.get()
    place = _place(begun)
    with Waiting(readers) as waiting:
        is_last = more_above = False
        while True:
            while not (is_last or waiting.is_full or (waiting and (turn.spent or budget.spent))):
                found, more_above = _next_piece(place)
                is_last = found is None or found.rows < BATCH_ROWS
                if found is not None:
                    waiting.add(found, is_only=is_last and not waiting)
                    place = found.until
            if waiting:
                _one_batch(exported, *waiting.take(), begun.strikes, now)
            if waiting:
                continue
            if is_last:
                _finish(exported, now, caught_up=not more_above)
            if is_last or turn.spent or budget.spent:
                return


def _next_piece(after: Place) -> tuple[Piece | None, bool]:
    """The piece behind a place, and whether rows lie above the horizon."""
    with transaction():
        arrivals.read_along_the_index()
        below, more_above = arrivals.horizon(after)
        return arrivals.piece(after, below=below, most=BATCH_ROWS), more_above


def _finish(exported: Exported, now: datetime, *, caught_up: bool) -> None:
    exported.finished = True
    if caught_up:
        with transaction():
            ExportCheckpoint.objects.update(caught_up_at=now)


def remove_leftovers(*, now: datetime) -> None:
    """Remove what an earlier writer had announced and never owned. Call it as `only_writer`. Raises LeftoverStays."""
    with transaction():
        begun = ObjectRemoval.objects.announced().filter(object_name__startswith=places.folder())
        names = list(begun.values_list("object_name", flat=True))
        removals.give_up(names, now=now)
        doomed = ObjectRemoval.objects.doomed().filter(object_name__startswith=places.folder(), cause=Cause.UPLOAD)
        there = doomed.exists()
    if there and removals.remove_doomed(now=now).failed:
        with transaction():
            if doomed.exists():
                raise LeftoverStays


@fewer_trips()
def _one_batch(exported: Exported, found: Piece, ready: Ready, strikes: int, now: datetime) -> None:
    if not ready.rows:
        # All of it was erased since it was looked at.
        with transaction():
            here = ExportCheckpoint.objects.filter(arrival=found.after.arrival, last_id=found.after.last_id)
            here.update(arrival=found.until.arrival, last_id=found.until.last_id)
        return
    batch = _cut(ready, now)
    removals.announce([batch.object_name], now=now)
    store(batch.object_name, ready.content)
    with transaction():
        checkpoint = locked()
        if _place(checkpoint) != found.after or checkpoint.strikes != strikes:
            # The lock was lost without our hearing of it: somebody else went on, or somebody was to be taken out.
            raise ExportUnderWay
        removals.claim([batch.object_name])
        audit.action(EXPORTED_VERB, entity=batch)
        batch.save(force_insert=True)
        checkpoint.arrival, checkpoint.last_id = found.until.arrival, found.until.last_id
        checkpoint.batches = batch.number
        entry = manifests.note(checkpoint, manifests.BATCH, batch, now=now, more=facts(ready))
        checkpoint.save()
    exported.rows += batch.rows
    exported.files += 1
    exported.path = batch.object_name
    manifests.put(entry)


@requires_transaction
def locked() -> ExportCheckpoint:
    return ExportCheckpoint.objects.select_for_update().get()


def store(name: str, content: bytes) -> None:
    """Write a file, to stay. Raises NameTaken, and what the storage raises."""
    saved = default_storage.save(name, ContentFile(content))
    if saved != name:
        default_storage.delete(saved)
        raise NameTaken(name)
    _storage().settle(name)


def facts(ready: Ready) -> dict[str, Any]:
    """What a manifest says of a file besides its name."""
    said = {"firstOccurredAt": ready.first_at, "lastOccurredAt": ready.last_at}
    return {"bytes": len(ready.content), "sha256": ready.sha256, **said}


def described(batch: ExportBatch, ready: Ready) -> None:
    """Write into the row what the file holds."""
    batch.rows, batch.size = ready.rows, len(ready.content)
    batch.sha256, batch.subjects = ready.sha256, ready.subjects


def expire(*, now: datetime, days: int, held: Callable[[], bool]) -> int:
    """Give up files that were cut so many days ago or more; how many. None with 0 days. Raises ExportUnderWay.

    `held` is asked in the transaction that gives up each: whoever calls it knows the holds, and has others that are
    placed wait until it ends. The files go with the next `removals.remove_doomed`.
    """
    if days < 1:
        return 0
    done = 0
    with only_writer():
        with transaction():
            old = list(ExportBatch.objects.cut_before(now - timedelta(days=days)).in_order()[:BATCH_ROWS])
        for batch in old:
            with transaction():
                if held():
                    break
                give_up(batch, event=manifests.REMOVED, reason="retention", now=now)
            done += 1
        manifests.put_unwritten()
    return done


def give_up(batch: ExportBatch, *, event: str, reason: str, now: datetime, **whose: Any) -> ExportEntry:
    """The file of a batch goes: its manifest says so, and it is to be removed. `whose`: see manifests.note."""
    with transaction():
        checkpoint = locked()
        told = {"reason": reason, "supersedes": {"file": batch.object_name, "sha256": batch.sha256, "rows": batch.rows}}
        if event == manifests.REMOVED:
            cause = Cause.ERASURE if whose.get("reference") else Cause.PURGE
            removals.doom([batch.object_name], cause=cause, now=now, reference=whose.get("reference"))
        batch.removed_at, batch.subjects = now, b""
        audit.action(REMOVED_VERB, entity=batch)
        batch.save(update_fields=["removed_at", "subjects"])
        entry = manifests.note(checkpoint, event, batch, now=now, more=told, **whose)
        checkpoint.save()
    return entry


def _cut(ready: Ready, now: datetime) -> ExportBatch:
    with transaction():
        number = ExportCheckpoint.objects.get().batches
        newest_at = ExportBatch.objects.filter(number=number).values_list("cut_at", flat=True).first()
    # Of files of one moment, or of a clock that was set back, each has a name of its own, and they sort as they came.
    cut_at = max(now, newest_at + timedelta(microseconds=1)) if newest_at else now
    name = places.batch(cut_at, ending=ready.form.ending)
    batch = ExportBatch(number=number + 1, object_name=name, cut_at=cut_at)
    described(batch, ready)
    return batch


def _place(checkpoint: ExportCheckpoint) -> Place:
    return Place(checkpoint.arrival, checkpoint.last_id)


def _storage() -> Any:
    """As kaireon/api/storage.py guards it."""
    return default_storage
