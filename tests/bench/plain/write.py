from tests.bench.peer import prepare, writes
from tests.bench.plain.models import Order
from tests.bench.writer import Write

__all__ = ["prepare", "recorded"]


def recorded() -> Write:
    return writes(Order)
