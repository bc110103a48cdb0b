"""Who asks for jobs: `python -m tests.bench.jobs.producer`, told in JSON lines.

`{"prepare": tenant id}`, `{"enqueue": contestant, "processes": n, "jobs": n}`, `{"ends": n}`,
`{"one_by_one": contestant, "processes": n, "jobs": n}`, `{"rows": true}`, answered with how many rows there are of our
jobs, and how many of them are done and were begun once.
"""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import django

from tests.bench.jobs import plain
from tests.bench.jobs.timekeeper import PIPE_VARIABLE, Timekeeper
from tests.bench.talker import answer

TENANT = "tenant-01"


def main() -> None:
    django.setup()
    from kaireon.jobs import services
    from kaireon.jobs.models import Job, JobState
    from kaireon.lib import clock
    from kaireon.tenancy import tenants
    from kaireon.tenancy.context import Actor, scope, transaction
    from tests.bench.jobs.noop.apps import job_type_of

    system = Actor.system("bench")
    keeper = Timekeeper(Path(os.environ[PIPE_VARIABLE]))

    def ours(processes: int) -> None:
        """As a service and its caller do: a row in a transaction, a message after the commit."""
        with scope(tenant_id=TENANT, actor=system, request_id="req-1"):
            with transaction():
                job = services.enqueue(type=job_type_of(processes), payload={"number": 1}, now=clock.now())
            services.wake(job)

    enqueues: dict[str, Callable[[int], object]] = {
        "ours": ours,
        "stock": lambda processes: plain.stock.send_task(plain.TASK, queue=f"stock-{processes}"),
        "careful": lambda processes: plain.careful.send_task(plain.TASK, queue=f"careful-{processes}"),
    }

    def rows() -> dict[str, int]:
        with scope(tenant_id=TENANT, actor=system), transaction():
            once = Job.objects.filter(state=JobState.DONE, attempts=1)
            return {"rows": Job.objects.count(), "once": once.count()}

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        if "prepare" in order:
            tenants.create_tenant(tenant_id=order["prepare"], name="Tenant", actor=system)
            return {}
        if "ends" in order:
            return {"last": max(keeper.ends(order["ends"]))}
        if "rows" in order:
            return rows()
        if "enqueue" in order:
            return _enqueue(partial(enqueues[order["enqueue"]], order["processes"]), order["jobs"])
        return _one_by_one(partial(enqueues[order["one_by_one"]], order["processes"]), order["jobs"], keeper)

    answer(respond)


def _enqueue(enqueue: Callable[[], object], jobs: int) -> dict[str, Any]:
    start = time.monotonic()
    for _ in range(jobs):
        enqueue()
    return {"seconds": time.monotonic() - start}


def _one_by_one(enqueue: Callable[[], object], jobs: int, keeper: Timekeeper) -> dict[str, Any]:
    """Each is asked for when the one before is done: what somebody waits who waits for a job."""
    latencies = []
    for _ in range(jobs):
        start = time.monotonic()
        enqueue()
        latencies.append(keeper.ends(1)[0] - start)
    latencies.sort()
    return {
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1000,
    }


if __name__ == "__main__":
    main()
