from pghistory.middleware import HistoryMiddleware

from tests.bench.peer import prepare, writes
from tests.bench.with_pghistory.models import Order
from tests.bench.writer import Write

__all__ = ["prepare", "recorded"]


def recorded() -> Write:
    return writes(Order, HistoryMiddleware)
