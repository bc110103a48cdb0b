from simple_history.middleware import HistoryRequestMiddleware

from tests.bench.peer import prepare, writes
from tests.bench.with_simple_history.models import Order
from tests.bench.writer import Write

__all__ = ["prepare", "recorded"]


def recorded() -> Write:
    return writes(Order, HistoryRequestMiddleware)
