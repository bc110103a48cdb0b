"""The business row that every contestant writes: an order, ten columns, a UUIDv7 for its key."""

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import models


class OrderColumns(models.Model):
    """All columns but `id` and `tenant_id`, which each contestant declares in the way it would."""

    reference = models.CharField(max_length=40)
    customer_ref = models.UUIDField()
    status = models.CharField(max_length=20)
    quantity = models.IntegerField()
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    contact_email = models.EmailField()
    note = models.TextField()
    placed_at = models.DateTimeField()

    class Meta:
        abstract = True


_FIRST_CUSTOMER = uuid.UUID("0190a5e0-0000-7000-8000-000000000001").int


def values(number: int) -> dict[str, Any]:
    """The columns of the order with that number; the same for every contestant."""
    return {
        "reference": f"ORD-{number:08d}",
        "customer_ref": uuid.UUID(int=_FIRST_CUSTOMER + number % 1000),
        "status": "placed",
        "quantity": 1 + number % 7,
        "amount": Decimal(1000 + number % 9000) / 100,
        "contact_email": f"buyer{number % 1000}@example.com",
        "note": "Leave it with the neighbour if nobody answers the door.",
        "placed_at": datetime(2026, 1, 1, 12, 0, 0, number % 1_000_000, tzinfo=UTC),
    }
