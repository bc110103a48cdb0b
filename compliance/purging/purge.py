"""Deleting what is past its retention, class by class, in batches, never what is held."""

import logging
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import DatabaseError, IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, F, Lookup, Q
from django.db.models.sql.compiler import SQLCompiler

import audit
from compliance.holding import holds
from compliance.models import RetentionPolicy
from customers import removals
from customers.catalogue import CATALOGUE, CLEANUP, DERIVED, Entity, Erasure
from customers.models import SuppressionTombstone
from customers.models.removal import Cause
from customers.removals import Removed
from kaireon.api import metrics
from kaireon.lib.budget import Budget
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.managers import TenantQuerySet

logger = logging.getLogger("kaireon.retention")

VERB = "retention.purge"
BATCH = 5000
DEFAULT_SECONDS = 600
# Somebody may write about a customer while their profile is being deleted: look again, they are referred to now.
TRIES = 3
FOREIGN_KEY_VIOLATION = "23503"

# What a hold keeps past its time is counted to here and not further.
MOST_COUNTED = 100_000

# What retention deletes. Rows that erasure would shred keep their skeleton: who owns them sweeps them.
DELETED = (Erasure.DELETE, Erasure.EVIDENCE)
# Past this moment a suppression has no effect, so without a policy for its class it goes then.
EXPIRES_WITHOUT_POLICY = ("suppression",)


class AnyOf(Lookup):
    """`column = ANY(array)`: one parameter however many ids."""

    prepare_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s)", (*parameters, self.rhs)


class RowsChanged(RuntimeError):
    """Other rows were deleted than were chosen. The batch was rolled back; the next purge tries again."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One entity's rows of one class, and the moment before which their clock must stand."""

    entity: Entity
    data_class: str
    before: datetime


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a purge would look at now, and which classes it leaves alone and why. `kept` is what it would look at but
    for a hold."""

    sweeps: tuple[Sweep, ...]
    kept: tuple[Sweep, ...]
    held: tuple[str, ...]
    without_policy: tuple[str, ...]


@dataclass(kw_only=True)
class Purged:
    """What a purge did to the active tenant, or would do.

    `deleted` counts rows by the entity's wire name; `held_rows` those past their time that only a hold keeps, to
    100,000 of each entity. `errors` are facts without values. `finished` is False when the
    budget ended first: the next purge goes on from there.
    """

    deleted: dict[str, int] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    held_rows: dict[str, int] = field(default_factory=dict)
    without_policy: tuple[str, ...] = ()
    objects: Removed = field(default_factory=Removed)
    errors: list[str] = field(default_factory=list)
    finished: bool = True

    @property
    def total(self) -> int:
        return sum(self.deleted.values())

    def add(self, name: str, count: int) -> None:
        self.deleted[name] = self.deleted.get(name, 0) + count

    def as_dict(self) -> dict[str, Any]:
        """For answers and reports, in camelCase."""
        return {
            "deleted": dict(self.deleted),
            "held": list(self.held),
            "heldRows": dict(self.held_rows),
            "withoutPolicy": list(self.without_policy),
            "blobsAttempted": self.objects.attempted,
            "blobsDeleted": self.objects.deleted,
            "warnings": [f"{self.objects.missing} objects were gone already"] if self.objects.missing else [],
            "finished": self.finished,
        }


@context.without_transaction
def purge_expired(
    *,
    now: datetime,
    actor: Actor,
    classes: Collection[str] | None = None,
    swept_by: str = CLEANUP,
    dry_run: bool = False,
    budget: Budget | None = None,
    batch: int = BATCH,
) -> Purged:
    """Delete the active tenant's rows that are past their class's retention; each row is judged by its own class.

    Runs outside any transaction: every batch commits by itself, and a purge that stops anywhere is continued by the
    next. A class on hold is left alone, also when the hold comes in the middle; one without a policy is kept.
    What it did is one record, `retention.purge`; a dry run only counts, and records nothing. Stored objects are
    removed after their rows' deletion is committed. `classes` limits it to some. What goes wrong with one entity is
    in `errors`; the others are still purged.
    """
    time = budget or Budget(DEFAULT_SECONDS)
    with scope(tenant_id=context.tenant_id(), actor=actor, request_id=context.current().request_id):
        with transaction():
            plan = make_plan(now=now, classes=classes, swept_by=swept_by)
            held_rows = Counter[str]()
            for kept in plan.kept:
                held_rows[kept.entity.name] += _due(kept)[:MOST_COUNTED].count()
        purged = Purged(held=plan.held, held_rows=dict(held_rows), without_policy=plan.without_policy)
        for sweep in plan.sweeps:
            _sweep(sweep, purged, now=now, dry_run=dry_run, budget=time, batch=batch)
        if dry_run:
            return purged
        if classes is None or "consents" in classes:
            _expired_tombstones(purged, now=now)
        purged.objects = removals.remove_doomed(now=now, budget=time)
        if purged.objects.failed:
            purged.errors.append(f"{purged.objects.failed} stored objects could not be removed")
        _record(purged)
    return purged


@context.requires_transaction
def make_plan(*, now: datetime, classes: Collection[str] | None = None, swept_by: str = CLEANUP) -> Plan:
    """What is to be looked at in the active tenant, in the catalogue's order."""
    policies = {policy.data_class: policy for policy in RetentionPolicy.objects.all()}
    sweeps: list[Sweep] = []
    kept: list[Sweep] = []
    held: set[str] = set()
    without_policy: set[str] = set()
    for entity, data_class in _swept(swept_by, classes):
        policy = policies.get(data_class)
        before = _before(entity, policy, now)
        is_held = policy is not None and policy.legal_hold
        if is_held:
            held.add(data_class)
        elif before is None:
            without_policy.add(data_class)
        if before is not None:
            (kept if is_held else sweeps).append(Sweep(entity=entity, data_class=data_class, before=before))
    return Plan(
        sweeps=tuple(sweeps),
        kept=tuple(kept),
        held=tuple(sorted(held)),
        without_policy=tuple(sorted(without_policy)),
    )


def _swept(swept_by: str, classes: Collection[str] | None) -> Iterator[tuple[Entity, str]]:
    for entity in (*CATALOGUE, *DERIVED):
        if swept_by in entity.swept_by and entity.erasure in DELETED:
            for data_class in entity.data_classes():
                if classes is None or data_class in classes:
                    yield entity, data_class


def _before(entity: Entity, policy: RetentionPolicy | None, now: datetime) -> datetime | None:
    if entity.own_expiry:
        return now
    if policy is not None:
        return now - timedelta(days=policy.retention_days)
    return now if entity.name in EXPIRES_WITHOUT_POLICY else None


def _sweep(sweep: Sweep, purged: Purged, *, now: datetime, dry_run: bool, budget: Budget, batch: int) -> None:
    try:
        if dry_run:
            with transaction():
                purged.add(sweep.entity.name, _due(sweep).count())
            return
        after: tuple[datetime, UUID] | None = None
        while True:
            deleted, after, more = _with_retries(sweep, after, now=now, batch=batch)
            if deleted is None:
                purged.held = tuple(sorted({*purged.held, sweep.data_class}))
                return
            purged.add(sweep.entity.name, deleted)
            if not more:
                return
            if budget.spent:
                purged.finished = False
                return
    except (DatabaseError, RowsChanged) as error:
        # One entity's failure is reported, and the others are still purged.
        logger.exception("purge_failed", extra={"entity": sweep.entity.name})
        purged.errors.append(f"{sweep.entity.name}: {type(error).__name__}")


_Batch = tuple[int | None, tuple[datetime, UUID] | None, bool]


def _with_retries(sweep: Sweep, after: tuple[datetime, UUID] | None, *, now: datetime, batch: int) -> _Batch:
    for _ in range(TRIES - 1):
        try:
            return _one_batch(sweep, after, now=now, batch=batch)
        except IntegrityError as error:
            if getattr(error.__cause__, "sqlstate", "") != FOREIGN_KEY_VIOLATION:
                raise
    return _one_batch(sweep, after, now=now, batch=batch)


def _one_batch(sweep: Sweep, after: tuple[datetime, UUID] | None, *, now: datetime, batch: int) -> _Batch:
    """Delete the next rows: how many (None: the class is held), where to go on, and whether there may be more."""
    with transaction():
        holds.lock_epoch()
        if sweep.data_class in holds.held_classes():
            return None, after, False
        files = sweep.entity.file_columns()
        rows = _next(sweep, after)
        if files:
            # Their objects are named here, so these very rows must be the ones that go.
            rows = rows.select_for_update()
        found = list(rows.values_list(sweep.entity.clock, "pk", *files)[:batch])
        if not found:
            return 0, after, False
        deleted = _delete(sweep, found)
        if files:
            if deleted != len(found):
                raise RowsChanged(sweep.entity.name)
            removals.doom((name for row in found for name in row[2:]), cause=Cause.PURGE, now=now)
        return deleted, (found[-1][0], found[-1][1]), len(found) == batch


def _due(sweep: Sweep) -> TenantQuerySet[Any]:
    return sweep.entity.expired(sweep.before, data_class=sweep.data_class)


def _next(sweep: Sweep, after: tuple[datetime, UUID] | None) -> TenantQuerySet[Any]:
    """The rows behind the last batch, by clock: what was just deleted is not looked at again."""
    rows: TenantQuerySet[Any] = _due(sweep).order_by(sweep.entity.clock, "pk")
    if after is None:
        return rows
    clock, pk = sweep.entity.clock, after[1]
    further = Q(**{f"{clock}__gt": after[0]}) | Q(**{clock: after[0], "pk__gt": pk})
    return rows.filter(further, **{f"{clock}__gte": after[0]})


def _delete(sweep: Sweep, found: list[tuple[Any, ...]]) -> int:
    clock = sweep.entity.clock
    chosen = AnyOf(F("id"), [row[1] for row in found])
    held = RetentionPolicy.objects.held().filter(data_class=sweep.data_class)
    # Everything that makes a row due stands in the DELETE again, and so does the hold. The range of the clock lets
    # PostgreSQL leave out other months; `= ANY(array)` keeps its plan where IN (SELECT …) lost it.
    rows = _due(sweep).filter(chosen, ~Exists(held), **{f"{clock}__gte": found[0][0], f"{clock}__lte": found[-1][0]})
    return rows.delete()[0]


def _expired_tombstones(purged: Purged, *, now: datetime) -> None:
    with transaction():
        holds.lock_epoch()
        if "consents" not in holds.held_classes():
            SuppressionTombstone.objects.filter(expires_at__lt=now).delete()


def _record(purged: Purged) -> None:
    for entity, count in purged.deleted.items():
        metrics.ROWS_PURGED.labels(entity).inc(count)
    with transaction():
        audit.record(
            action=VERB,
            entity_type="Retention",
            entity_id=context.tenant_id(),
            changes={**purged.as_dict(), "total": purged.total, "errors": list(purged.errors)},
        )
