"""Deleting what is past its retention, class by class, in batches, never what is held."""

import logging
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import DatabaseError
from django.db.models import Max, Min

import audit
from compliance.holding import holds, matters, predicate
from compliance.purging import dispositions, sweeps
from compliance.purging.batches import Batches
from compliance.purging.dispositions import Run
from compliance.purging.statement import Place
from compliance.purging.sweeps import Sweep
from compliance.retention import policies
from customers import removals
from customers.catalogue import CLEANUP
from customers.models import SuppressionTombstone
from customers.removals import Removed
from kaireon.api import metrics
from kaireon.lib.budget import Budget
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, scope, transaction

logger = logging.getLogger("kaireon.retention")

VERB = "retention.purge"
BATCH = 5000
DEFAULT_SECONDS = 600

# What a hold keeps past its time is counted to here and not further.
MOST_COUNTED = 100_000


@dataclass(kw_only=True)
class Purged:
    """What a purge did to the active tenant, or would do.

    `deleted` counts rows by the entity's wire name; `held_rows` those past their time that only a hold keeps, to
    100,000 of each entity. `errors` are facts without values. `finished` is False when the
    budget ended first: the next purge goes on from there. `shortest`: as of sweeps.Plan.
    """

    deleted: dict[str, int] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    held_rows: dict[str, int] = field(default_factory=dict)
    without_policy: tuple[str, ...] = ()
    objects: Removed = field(default_factory=Removed)
    errors: list[str] = field(default_factory=list)
    finished: bool = True
    shortest: int = 0

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
    What it did is one record, `retention.purge`, and a disposition of each class and entity, true to the row whatever
    stops it; a dry run goes the same way up to the DELETE, and records nothing; releases that are over hold nothing in
    it either. Stored objects are removed after their rows' deletion is committed. `classes` limits it to some. What
    goes wrong with one entity is in `errors`; the others are still purged.
    """
    time = budget or Budget(DEFAULT_SECONDS)
    with scope(tenant_id=context.tenant_id(), actor=actor, request_id=context.current().request_id):
        with transaction():
            if not dry_run:
                matters.finish_releases(now=now)
                policies.settle(actor=actor, now=now)
        with transaction():
            plan = sweeps.make_plan(now=now, classes=classes, swept_by=swept_by, ended_by=now if dry_run else None)
            held_rows = Counter[str]()
            for kept in plan.kept:
                held_rows[kept.entity.name] += sweeps.past(kept)[:MOST_COUNTED].count()
            for sweep in plan.sweeps:
                if count := sweeps.held_back(sweep)[:MOST_COUNTED].count():
                    held_rows[sweep.entity.name] += count
        purged = Purged(held=plan.held, held_rows=dict(held_rows), without_policy=plan.without_policy)
        purged.shortest = plan.shortest
        run = Run(dry=dry_run)
        for sweep in plan.sweeps:
            _sweep(sweep, purged, run=run, now=now, budget=time, size=batch)
        if dry_run:
            return purged
        if swept_by == CLEANUP and (classes is None or "consents" in classes):
            try:
                _expired_tombstones(run, now=now)
            except DatabaseError as error:
                # As with an entity: reported, and the rest is still done.
                logger.exception("purge_failed", extra={"entity": "suppressionTombstone"})
                purged.errors.append(f"suppressionTombstone: {type(error).__name__}")
        purged.objects = removals.remove_doomed(now=now, budget=time)
        if purged.objects.failed:
            purged.errors.append(f"{purged.objects.failed} stored objects could not be removed")
        _record(purged, run, swept_by)
    return purged


def _sweep(sweep: Sweep, purged: Purged, *, run: Run, now: datetime, budget: Budget, size: int) -> None:
    after: Place | None = None
    batches = Batches(sweep, run=run, now=now)
    try:
        while True:
            done = batches.with_retries(after, size=size)
            if done.held:
                purged.held = tuple(sorted({*purged.held, sweep.data_class}))
                return
            purged.add(sweep.entity.name, done.deleted)
            if not done.more:
                return
            if budget.spent:
                purged.finished = False
                return
            after = done.after
    except DatabaseError as error:
        # One entity's failure is reported, and the others are still purged.
        logger.exception("purge_failed", extra={"entity": sweep.entity.name})
        purged.errors.append(f"{sweep.entity.name}: {type(error).__name__}")


def _expired_tombstones(run: Run, *, now: datetime) -> None:
    with transaction():
        holds.lock_epoch()
        if "consents" in holds.held_classes():
            return
        rows = predicate.free(SuppressionTombstone.objects.filter(expires_at__lt=now), "consents")
        span = rows.aggregate(first=Min("expires_at"), last=Max("expires_at"))
        if span["first"] is None:
            return
        dispositions.add(
            run,
            data_class="consents",
            entity="suppressionTombstone",
            clock_column="expires_at",
            rows=rows.filter(expires_at__range=(span["first"], span["last"])).delete()[0],
            terms=None,
            clock_from=span["first"],
            clock_until=span["last"],
        )


def _record(purged: Purged, run: Run, swept_by: str) -> None:
    for entity, count in purged.deleted.items():
        metrics.ROWS_PURGED.labels(entity).inc(count)
    with transaction():
        audit.record(
            action=VERB,
            entity_type="Retention",
            entity_id=context.tenant_id(),
            changes={
                **purged.as_dict(),
                "total": purged.total,
                "errors": list(purged.errors),
                "run": str(run.id),
                "sweptBy": swept_by,
                "retentionDays": purged.shortest,
            },
        )
