"""What still tells of a customer: the look that decides whether an erasure is done, and whether the log may forget."""

from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection

from customers import spelling
from customers.catalogue import CATALOGUE, Entity, Erasure
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

# How rows refer to the customer where the database holds them to it; others name them by an id that may be gone.
REFERENCES = ("customer_id", "id")
_LOOKED_AT = tuple(entity for entity in CATALOGUE if entity.erasure != Erasure.NONE)
_LOOSE = tuple(entity for entity in _LOOKED_AT if entity.subject not in REFERENCES)
_ANYBODY = UUID(int=0)


@requires_transaction
def residue(customer_pk: UUID, retained: list[dict[str, Any]], *, is_gone: bool = False) -> dict[str, int]:
    """Rows that still tell of the customer beyond what was retained, by entity. Empty is what it should be.

    `is_gone`: this transaction deleted the customer's own row, which the database refuses while a row refers to it.
    """
    allowed: dict[str, int] = {}
    for entry in retained:
        allowed[entry["entity"]] = allowed.get(entry["entity"], 0) + entry["count"]
    entities = _LOOSE if is_gone else _LOOKED_AT
    left = {name: count - allowed.get(name, 0) for name, count in _asked(_counts(is_gone), entities, customer_pk)}
    return {name: count for name, count in left.items() if count > 0}


@requires_transaction
def present(customer_pk: UUID) -> set[str]:
    """The entities of which there is a row of the customer at all."""
    return {name for name, is_there in _asked(_whether_any(), _LOOKED_AT, customer_pk) if is_there}


def _asked(statement: str, entities: Sequence[Entity], customer_pk: UUID) -> list[tuple[str, int]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"tenant": context.tenant_id(), "customer": customer_pk})
        return [(entity.name, found) for entity, found in zip(entities, cursor.fetchone(), strict=True)]


@cache
def _counts(is_gone: bool) -> str:
    """All of them in one statement."""
    entities = _LOOSE if is_gone else _LOOKED_AT
    counts = (f"(SELECT count(*) FROM ({_rows(entity)}) {entity.table})" for entity in entities)  # noqa: S608 - the ORM's own statement
    return f"SELECT {', '.join(counts)}"


@cache
def _whether_any() -> str:
    return f"SELECT {', '.join(f'EXISTS ({_rows(entity)})' for entity in _LOOKED_AT)}"


def _rows(entity: Entity) -> str:
    rows = entity.about(_ANYBODY)
    if entity.erasure == Erasure.SHRED:
        rows = rows.filter(subject_sealed__isnull=False)
    return spelling.named(rows.values_list("pk"), customer=_ANYBODY)
