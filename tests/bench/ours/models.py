"""The order twice. The tables differ in one trigger."""

from kaireon.tenancy.models import TenantModel
from tests.bench.order import OrderColumns


class Order(OrderColumns, TenantModel):
    class Meta(TenantModel.Meta):
        db_table = "bench_order"


class UnauditedOrder(OrderColumns, TenantModel):
    class Meta(TenantModel.Meta):
        db_table = "bench_unaudited_order"
