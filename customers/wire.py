"""Rows as callers see them: camelCase, the tenant's own number for our reference, masked for who may not read them."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Model

from customers.catalogue import Entity, camel, entity
from customers.models import Customer
from kaireon.lib.canonical import exact
from kaireon.lib.masking import detect, mask

# A customer's number is theirs alone only in the tenant's own books, unless the tenant numbers by one of these.
_TELLING = frozenset({"email", "ssn", "aadhaar", "card", "iban", "pan"})


def rows_out(name: str, rows: Iterable[Any], *, in_clear: bool) -> list[dict[str, Any]]:
    """Rows of one entity of the catalogue; personal values masked unless `in_clear`. One query for their customers."""
    found = list(rows)
    described = entity(name)
    numbers: dict[Any, str] = {}
    if described.subject == "customer_id":
        wanted = {row.customer_id for row in found if row.customer_id}
        numbers = dict(Customer.objects.filter(pk__in=wanted).values_list("pk", "customer_id"))
    return [_row_out(described, row, numbers, in_clear=in_clear) for row in found]


def _row_out(described: Entity, row: Model, numbers: dict[Any, str], *, in_clear: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for field in row._meta.concrete_fields:
        column = field.attname
        if column == "tenant_id" or column in described.hidden:
            continue
        value = getattr(row, column)
        if column == "customer_id" and not isinstance(row, Customer):
            value = numbers.get(value)
        shown[camel(column)] = exact(value)
    if in_clear:
        return shown
    if (number := shown["customerId"]) and detect(number) in _TELLING:
        shown["customerId"] = mask(number)
    return described.masked(shown)
