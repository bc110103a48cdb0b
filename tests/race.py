"""Several at once, begun together, each on database connections of its own, as processes would be."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

R = TypeVar("R")
PATIENCE = 60


def at_once(*calls: Callable[[], R], losing: tuple[type[Exception], ...] = ()) -> list[R | Exception]:
    """What each gave, in their order; of those who lose, the exception. Any other exception is raised here.

    The calls open their own scopes: a thread begins without any.
    """
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], R]) -> R | Exception:
        try:
            start.wait(PATIENCE)
            return call()
        except losing as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [done.result(PATIENCE) for done in [pool.submit(run, call) for call in calls]]
