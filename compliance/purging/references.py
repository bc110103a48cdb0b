"""What refers to a row and keeps it: profiles go when nothing refers to them any more, runs when no checkpoint does."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Exists, OuterRef

from compliance.holding import predicate
from compliance.purging import sweeps
from compliance.purging.sweeps import Sweep
from customers.catalogue import CATALOGUE, DERIVED, Entity
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.managers import TenantQuerySet

# Which entities' rows keep a row of the one that is named, by which of their columns. They are purged before it.
REFERRING: dict[str, tuple[tuple[Entity, str], ...]] = {
    "customer": tuple((entity, "customer_id") for entity in CATALOGUE if entity.subject == "customer_id"),
    "flowRun": tuple((entity, "run_id") for entity in DERIVED if entity.name == "flowCheckpoint"),
}


@requires_transaction
def past(sweep: Sweep, purged: Iterable[Sweep]) -> TenantQuerySet[Any]:
    """The rows whose time is over, held or not, and that nothing refers to but what the same purge takes.

    `purged` is all that it looks at: what is in none of its sweeps stays.
    """
    if sweep.entity.name not in REFERRING:
        return sweeps.past(sweep)
    by_kind = {(other.entity.name, other.data_class): other for other in purged}
    rows = sweep.entity.in_class(sweep.data_class).filter(sweeps.is_past(sweep))
    for entity, column in REFERRING[sweep.entity.name]:
        for data_class in entity.data_classes():
            staying = entity.in_class(data_class).filter(**{column: OuterRef("pk")})
            other = by_kind.get((entity.name, data_class))
            if other is not None:
                staying = staying.filter(~sweeps.is_past(other) | predicate.held(entity, data_class))
            rows = rows.exclude(Exists(staying))
    return rows
