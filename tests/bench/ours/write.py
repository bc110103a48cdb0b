"""A write as a view of the product makes it: the actor's scope, a transaction that says so, one row."""

from typing import TypeVar

from kaireon.tenancy import tenants
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.models import TenantModel
from tests.bench.order import values
from tests.bench.ours.models import Order, UnauditedOrder
from tests.bench.writer import Write

M = TypeVar("M", bound=TenantModel)

ADA = Actor(id="0190a5e0-0000-7000-8000-00000000000a", name="Ada", type="user")


def prepare(tenant_ids: list[str]) -> None:
    for tenant in tenant_ids:
        tenants.create_tenant(tenant_id=tenant, name=tenant.title(), actor=Actor.system("bench"))


def audited() -> Write:
    return _writes(Order)


def unaudited() -> Write:
    return _writes(UnauditedOrder)


def _writes(model: type[M]) -> Write:
    def write(tenant: str, number: int) -> None:
        with scope(tenant_id=tenant, actor=ADA, request_id=f"req-{number}"), transaction():
            model.objects.create(**values(number))

    return write
