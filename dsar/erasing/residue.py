"""What still tells of a customer: the look that decides whether an erasure is done, and whether the log may forget."""

from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection

from customers import spelling
from customers.catalogue import CATALOGUE, Erasure
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

_LOOKED_AT = tuple(entity for entity in CATALOGUE if entity.erasure != Erasure.NONE)


@requires_transaction
def residue(customer_pk: UUID, retained: list[dict[str, Any]]) -> dict[str, int]:
    """Rows that still tell of the customer beyond what was retained, by entity. Empty is what it should be."""
    allowed: dict[str, int] = {}
    for entry in retained:
        allowed[entry["entity"]] = allowed.get(entry["entity"], 0) + entry["count"]
    with connection.cursor() as cursor:
        cursor.execute(_counts(), {"tenant": context.tenant_id(), "customer": customer_pk})
        counted = zip(_LOOKED_AT, cursor.fetchone(), strict=True)
    left = {entity.name: count - allowed.get(entity.name, 0) for entity, count in counted}
    return {name: count for name, count in left.items() if count > 0}


@cache
def _counts() -> str:
    """All of them in one statement."""
    anybody = UUID(int=0)
    counts = []
    for entity in _LOOKED_AT:
        rows = entity.about(anybody)
        if entity.erasure == Erasure.SHRED:
            rows = rows.filter(subject_sealed__isnull=False)
        found = spelling.named(rows.values_list("pk"), customer=anybody)
        counts.append(f"(SELECT count(*) FROM ({found}) {entity.table})")  # noqa: S608 - the ORM's own statement
    return f"SELECT {', '.join(counts)}"
