"""What retention does to requests: the identifiers go, the skeleton stays."""

from datetime import datetime

from django.db.models import Case, F, Max, Min, When

import audit
from compliance.holding import holds, predicate
from compliance.models import Method
from compliance.purging import dispositions, periods, sweeps
from compliance.purging.dispositions import Run
from compliance.retention.in_force import in_force
from customers import catalogue
from dsar.erasing import plans
from dsar.models import SHREDDED, DsarRequest, Outcome, RequestType
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.managers import TenantQuerySet

# Stands where the subject stood; it tells nothing, not even who asked twice.
PSEUDONYM = "expired"


@requires_transaction
def shred_expired(*, now: datetime, dry_run: bool = False) -> int:
    """Take the subject out of requests that were closed longer ago than the class `dsar` is kept; returns how many.

    Nothing without a policy for the class, and nothing that is on hold. A dry run only counts.
    """
    holds.lock_epoch()
    counts = in_force("dsar", now)
    if counts is None or "dsar" in holds.held_classes():
        return 0
    sweep = sweeps.by_policy(catalogue.entity("dsarRequest"), "dsar", counts, now=now)
    clock = sweep.clock
    rows: TenantQuerySet[DsarRequest] = sweeps.past(sweep)
    # In earnest a purge came before, and ended the releases that are over.
    rows = predicate.free(rows.filter(subject_sealed__isnull=False), "dsar", ended_by=now if dry_run else None)
    named = [request.pk for request in rows.only("pk", "tenant")]
    if dry_run:
        return len(named)
    for pk in named:
        audit.action("dsar.shred", entity=DsarRequest(pk=pk))
    span = DsarRequest.objects.filter(pk__in=named).aggregate(first=Min(clock), last=Max(clock))
    # By our own id of them the key that an erasure had to leave in the log is found, once nothing holds it.
    kept = When(request_type=RequestType.DELETE, outcome=Outcome.PARTIALLY_COMPLETED, then=F("customer_ref"))
    shredded = DsarRequest.objects.filter(pk__in=named).update(
        **SHREDDED, customer_ref=Case(kept, default=None), pseudonym=PSEUDONYM
    )
    plans.forget(named)
    dispositions.add(
        Run(),
        data_class="dsar",
        entity=sweep.entity.name,
        clock_column=clock,
        rows=shredded,
        terms=periods.terms_of(counts),
        clock_from=span["first"],
        clock_until=span["last"],
        method=Method.SHREDDED,
    )
    return shredded
