"""The order five times. The tables differ in who records what happens to them, and in nothing else."""

import pghistory
from auditlog.registry import auditlog
from simple_history.models import HistoricalRecords

from kaireon.tenancy.models import TenantModel
from tests.bench.append.order import OrderColumns


class UnauditedOrder(OrderColumns, TenantModel):
    class Meta(TenantModel.Meta):
        db_table = "bench_unaudited_order"


class Order(OrderColumns, TenantModel):
    class Meta(TenantModel.Meta):
        db_table = "bench_order"


class AuditlogOrder(OrderColumns, TenantModel):
    class Meta(TenantModel.Meta):
        db_table = "bench_auditlog_order"


auditlog.register(AuditlogOrder)


class SimpleHistoryOrder(OrderColumns, TenantModel):
    history = HistoricalRecords()

    class Meta(TenantModel.Meta):
        db_table = "bench_simple_history_order"


@pghistory.track()
class PghistoryOrder(OrderColumns, TenantModel):
    class Meta(TenantModel.Meta):
        db_table = "bench_pghistory_order"
