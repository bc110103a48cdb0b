"""Which types of job there are. Layers above register theirs with `@job_type` and are imported when Django is ready."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaireon.jobs.models import Job
    from kaireon.jobs.runner import JobRun

Handler = Callable[["JobRun"], None]
GaveUp = Callable[["Job"], None]

DEFAULT_TIME_LIMIT = 60


class UnknownJobType(LookupError):
    """No handler is registered under this name. The app that has it must import it in `AppConfig.ready`."""


class JobTypeTaken(ValueError):
    """Two handlers were registered under one name."""


@dataclass(frozen=True, kw_only=True)
class JobType:
    """`time_limit` in seconds. `gave_up` runs in the transaction that marks a job of this type failed for good."""

    name: str
    queue: str
    time_limit: int
    handler: Handler
    gave_up: GaveUp | None


_types: dict[str, JobType] = {}


def job_type(
    name: str, *, queue: str, time_limit: int = DEFAULT_TIME_LIMIT, gave_up: GaveUp | None = None
) -> Callable[[Handler], Handler]:
    """Register the decorated function as the handler of jobs of this type. Raises JobTypeTaken."""

    def register(handler: Handler) -> Handler:
        if name in _types:
            raise JobTypeTaken(name)
        _types[name] = JobType(name=name, queue=queue, time_limit=time_limit, handler=handler, gave_up=gave_up)
        return handler

    return register


def get(name: str) -> JobType:
    """Raises UnknownJobType."""
    try:
        return _types[name]
    except KeyError as e:
        raise UnknownJobType(name) from e


def all_types() -> tuple[JobType, ...]:
    return tuple(_types.values())
