"""When each job was done, told through a pipe: the same few microseconds for everybody, and nobody polls."""

import os
import select
import struct
import time
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from celery.signals import task_postrun

P = ParamSpec("P")
R = TypeVar("R")

PIPE_VARIABLE = "BENCH_PIPE"

_MOMENT = struct.Struct("q")
_watched: set[str] = set()


class JobsMissing(RuntimeError):
    """Not all jobs were done in time."""


def watch(task: str) -> None:
    """In a worker: tell of every end of this task, after whatever it committed."""
    _watched.add(task)
    task_postrun.connect(_tell, dispatch_uid="bench-timekeeper")


def telling(work: Callable[P, R]) -> Callable[P, R]:
    """The function, telling of every end of it, after whatever it committed."""

    @wraps(work)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        done = work(*args, **kwargs)
        _write()
        return done

    return told


def _tell(sender: Any = None, **_more: Any) -> None:
    if sender is not None and sender.name in _watched:
        _write()


def _write() -> None:
    os.write(_pipe(), _MOMENT.pack(time.monotonic_ns()))


@cache
def _pipe() -> int:
    return os.open(os.environ[PIPE_VARIABLE], os.O_WRONLY)


class Timekeeper:
    """The other end. Moments are of the machine's monotonic clock, in seconds."""

    def __init__(self, path: Path) -> None:
        # For writing too, so that it is open whoever comes and goes.
        self._pipe = os.open(path, os.O_RDWR)

    def ends(self, count: int, *, patience: float = 120.0) -> list[float]:
        """When each of the next so many jobs was done. Raises JobsMissing."""
        said = b""
        deadline = time.monotonic() + patience
        while len(said) < count * _MOMENT.size:
            ready, _, _ = select.select([self._pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise JobsMissing(f"{len(said) // _MOMENT.size} of {count} jobs were done in {patience:.0f} seconds.")
            said += os.read(self._pipe, count * _MOMENT.size - len(said))
        return [moment / 1e9 for (moment,) in _MOMENT.iter_unpack(said)]
