"""One batch: the next rows of a sweep are found, deleted and written down, in one transaction.

A dry run goes the same way up to the DELETE, which it counts instead.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from django.db import IntegrityError

from compliance.holding import holds
from compliance.purging import dispositions, statement, sweeps
from compliance.purging.dispositions import Run
from compliance.purging.statement import Place, Statement
from compliance.purging.sweeps import Sweep
from customers import removals
from customers.models.removal import Cause
from kaireon.tenancy.context import requires_transaction, transaction

# Somebody may write about a customer while their profile is being deleted: look again, they are referred to now.
TRIES = 3
FOREIGN_KEY_VIOLATION = "23503"

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one batch did: how many rows went, where to go on, whether there may be more. `held`: none, for the whole
    class is on hold."""

    deleted: int = 0
    after: Place | None = None
    more: bool = False
    held: bool = False


class Batches:
    """The batches of a sweep, one after the other. What is in force and what is held is read for the first one, and
    again whenever the epoch has moved: whatever says that a row stays moves it."""

    def __init__(self, sweep: Sweep, *, run: Run, now: datetime) -> None:
        self._sweep, self._run, self._now = sweep, run, now
        self._epoch: int | None = None
        self._held = False
        self._today: tuple[Sweep, Statement] | None = None

    def with_retries(self, after: Place | None, *, size: int) -> Batch:
        """The next batch, in a transaction of its own. Raises what the database raises."""
        return retried(partial(self.one, after, size=size))

    @requires_transaction
    def one(self, after: Place | None, *, size: int) -> Batch:
        """Delete the next rows, and write down that they went."""
        epoch = holds.lock_epoch()
        if epoch != self._epoch:
            self._look()
            self._epoch = epoch
        if self._held or self._today is None:
            return Batch(after=after, held=self._held)
        today, delete = self._today
        gone = delete.run(after, size)
        if gone is None:
            return Batch(after=after)
        if not self._run.dry:
            removals.doom(gone.files, cause=Cause.PURGE, now=self._now)
            dispositions.count(self._run, today, gone.deleted, clock_from=gone.first, clock_until=gone.last[0])
        return Batch(deleted=gone.deleted, after=gone.last, more=gone.found == size)

    def _look(self) -> None:
        """Read what counts now, under the epoch."""
        self._today = None
        self._held = self._sweep.data_class in holds.held_classes()
        today = None if self._held else sweeps.as_it_stands(self._sweep, now=self._now)
        if today is not None:
            self._today = today, statement.compose(today, sweeps.due(today), dry=self._run.dry)


def retried(work: Callable[[], R]) -> R:
    """Do it in a transaction of its own; again when rows are referred to by then that were not when chosen."""
    for _ in range(TRIES - 1):
        try:
            with transaction():
                return work()
        except IntegrityError as error:
            if getattr(error.__cause__, "sqlstate", "") != FOREIGN_KEY_VIOLATION:
                raise
    with transaction():
        return work()
