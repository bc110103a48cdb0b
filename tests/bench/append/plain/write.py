"""One row in one transaction, and nothing else."""

from django.db import transaction

from tests.bench.append.order import values
from tests.bench.append.plain.models import Order
from tests.bench.append.writer import Write


def prepare(_tenant_ids: list[str]) -> None:
    """There are no tenants to make."""


def plain() -> Write:
    def write(tenant: str, number: int) -> None:
        with transaction.atomic():
            Order.objects.create(tenant_id=tenant, **values(number))

    return write
