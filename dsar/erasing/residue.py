"""What still tells of a customer: the look that decides whether an erasure is done, and whether the log may forget."""

from typing import Any
from uuid import UUID

from customers.catalogue import CATALOGUE, Erasure
from kaireon.tenancy.context import requires_transaction


@requires_transaction
def residue(customer_pk: UUID, retained: list[dict[str, Any]]) -> dict[str, int]:
    """Rows that still tell of the customer beyond what was retained, by entity. Empty is what it should be."""
    allowed: dict[str, int] = {}
    for entry in retained:
        allowed[entry["entity"]] = allowed.get(entry["entity"], 0) + entry["count"]
    found: dict[str, int] = {}
    for entity in CATALOGUE:
        rows = entity.about(customer_pk)
        if entity.erasure == Erasure.NONE:
            continue
        if entity.erasure == Erasure.SHRED:
            rows = rows.filter(subject_sealed__isnull=False)
        left = rows.count() - allowed.get(entity.name, 0)
        if left > 0:
            found[entity.name] = left
    return found
