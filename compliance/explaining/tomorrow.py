"""What the next purge would delete, at the moment at which it runs: by its own plan and conditions, then.

A hold whose release ends before that moment is over by then, as the purge ends it first. Policies and laws that begin
to count before it count, and what refers to a row and goes in the same run sets it free.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from compliance.explaining import due
from compliance.holding import predicate
from compliance.purging import forecast, references, sweeps
from compliance.purging.forecast import Forecast
from compliance.purging.sweeps import Sweep
from customers.catalogue import CLEANUP
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.managers import TenantQuerySet

A_DAY = timedelta(days=1)

# Layers above put here who knows when a job runs next: called with its name and now.
NEXT_RUN: list[Callable[[str, datetime], datetime | None]] = []


def next_run(job: str, *, now: datetime) -> datetime | None:
    """When a job runs next by its schedule; None when it has none, or is paused."""
    return next((moment for ask in NEXT_RUN if (moment := ask(job, now)) is not None), None)


@requires_transaction
def look(*, at: datetime, swept_by: str = CLEANUP) -> Forecast:
    purged = sweeps.make_plan(now=at, swept_by=swept_by).sweeps
    return forecast.look(
        at=at, swept_by=swept_by, due=partial(_due, at, purged), held_back=partial(_held_back, at, purged)
    )


def _due(at: datetime, purged: tuple[Sweep, ...], sweep: Sweep) -> TenantQuerySet[Any]:
    return due.free(references.past(sweep, purged), sweep.data_class, now=at)


def _held_back(at: datetime, purged: tuple[Sweep, ...], sweep: Sweep) -> TenantQuerySet[Any]:
    held = predicate.held(sweep.entity, sweep.data_class, ended_by=at)
    return references.past(sweep, purged).filter(held)
