from auditlog.middleware import AuditlogMiddleware

from tests.bench.peer import prepare, writes
from tests.bench.with_auditlog.models import Order
from tests.bench.writer import Write

__all__ = ["prepare", "recorded"]


def recorded() -> Write:
    return writes(Order, AuditlogMiddleware)
