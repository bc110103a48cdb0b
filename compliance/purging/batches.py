"""One batch: the next rows of a sweep are found, deleted and written down, in one transaction.

A dry run goes the same way up to the DELETE, which it counts instead.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, F, Lookup, Q
from django.db.models.sql.compiler import SQLCompiler

from compliance.holding import holds
from compliance.models import RetentionPolicy
from compliance.purging import dispositions, sweeps
from compliance.purging.dispositions import Run
from compliance.purging.sweeps import Sweep
from customers import removals
from customers.models.removal import Cause
from kaireon.tenancy.context import requires_transaction, transaction
from kaireon.tenancy.managers import TenantQuerySet

# Somebody may write about a customer while their profile is being deleted: look again, they are referred to now.
TRIES = 3
FOREIGN_KEY_VIOLATION = "23503"

R = TypeVar("R")

# The clock and the key of the last row that was looked at.
Place = tuple[datetime, UUID]


class AnyOf(Lookup):
    """`column = ANY(array)`: one parameter however many ids."""

    prepare_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s)", (*parameters, self.rhs)


class RowsChanged(RuntimeError):
    """Other rows were deleted than were chosen. The batch was rolled back; the next purge tries again."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one batch did: how many rows went, where to go on, whether there may be more. `held`: none, for the whole
    class is on hold."""

    deleted: int = 0
    after: Place | None = None
    more: bool = False
    held: bool = False


def with_retries(sweep: Sweep, after: Place | None, *, run: Run, now: datetime, size: int) -> Batch:
    """The next batch, in a transaction of its own. Raises RowsChanged, and what the database raises."""
    return retried(partial(one_batch, sweep, after, run=run, now=now, size=size))


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


@requires_transaction
def one_batch(sweep: Sweep, after: Place | None, *, run: Run, now: datetime, size: int) -> Batch:
    """Delete the next rows, and write down that they went."""
    holds.lock_epoch()
    if sweep.data_class in holds.held_classes():
        return Batch(after=after, held=True)
    today = sweeps.as_it_stands(sweep, now=now)
    if today is None:
        return Batch(after=after)
    # What is held stays as it is while the epoch is locked, so it is asked for once.
    due = sweeps.due(today)
    files = sweep.entity.file_columns()
    rows = _next(today, due, after)
    if files:
        # Their objects are named here, so these very rows must be the ones that go.
        rows = rows.select_for_update()
    found = list(rows.values_list(today.clock, "pk", *files)[:size])
    if not found:
        return Batch(after=after)
    chosen = _chosen(today, due, found)
    deleted = chosen.count() if run.dry else chosen.delete()[0]
    if not run.dry:
        if files:
            if deleted != len(found):
                raise RowsChanged(sweep.entity.name)
            removals.doom((name for row in found for name in row[2:]), cause=Cause.PURGE, now=now)
        dispositions.count(run, today, deleted, clock_from=found[0][0], clock_until=found[-1][0])
    return Batch(deleted=deleted, after=(found[-1][0], found[-1][1]), more=len(found) == size)


def _next(sweep: Sweep, due: TenantQuerySet[Any], after: Place | None) -> TenantQuerySet[Any]:
    """The rows behind the last batch, by clock: what was just deleted is not looked at again."""
    rows: TenantQuerySet[Any] = due.order_by(sweep.clock, "pk")
    if after is None:
        return rows
    clock, pk = sweep.clock, after[1]
    further = Q(**{f"{clock}__gt": after[0]}) | Q(**{clock: after[0], "pk__gt": pk})
    return rows.filter(further, **{f"{clock}__gte": after[0]})


def _chosen(sweep: Sweep, due: TenantQuerySet[Any], found: list[tuple[Any, ...]]) -> TenantQuerySet[Any]:
    clock = sweep.clock
    chosen = AnyOf(F("id"), [row[1] for row in found])
    held = RetentionPolicy.objects.held().filter(data_class=sweep.data_class)
    # Everything that makes a row due stands in the DELETE again, and so does the hold. The range of the clock lets
    # PostgreSQL leave out other months; `= ANY(array)` keeps its plan where IN (SELECT …) lost it.
    return due.filter(chosen, ~Exists(held), **{f"{clock}__gte": found[0][0], f"{clock}__lte": found[-1][0]})
