"""The writers of one Django project: set up once, forked, each with a connection of its own that it keeps.

`python -m tests.bench.append.worker PROJECT PROCESSES`, spoken to in JSON lines on standard input:
`{"prepare": [tenant ids]}`, `{"writes": function, "processes": n, "rows": n, "tenants": [ids]}`.
"""

import multiprocessing
import sys
import time
from importlib import import_module
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any

import django

from tests.bench.talker import answer

# Long enough for every writer to have read its order.
_LEAD_SECONDS = 0.02


def main(project: str, processes: int) -> None:
    django.setup()
    module = import_module(f"tests.bench.append.{project}.write")
    crew = [_fork(module) for _ in range(processes)]

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        if "prepare" in order:
            module.prepare(order["prepare"])
            return {}
        return _run(crew[: order["processes"]], order)

    answer(respond)


def _fork(module: ModuleType) -> Connection:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    context.Process(target=_serve, args=(module, theirs), daemon=True).start()
    theirs.close()
    return ours


def _run(crew: list[Connection], order: dict[str, Any]) -> dict[str, Any]:
    """Let every writer write its share; the time is from the common start to the last one's end."""
    share = order["rows"] // len(crew)
    start = time.monotonic() + _LEAD_SECONDS
    for place, writer in enumerate(crew):
        writer.send((order["writes"], share, order["tenants"], place, start))
    done = [writer.recv() for writer in crew]
    latencies = sorted(latency for _, some in done for latency in some)
    return {
        "rows": share * len(crew),
        "seconds": max(end for end, _ in done) - start,
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1000,
    }


def _serve(module: ModuleType, orders: Connection) -> None:
    made: dict[str, Any] = {}
    while True:
        name, rows, tenants, place, start = orders.recv()
        if name not in made:
            made[name] = getattr(module, name)()
        write = made[name]
        time.sleep(max(0.0, start - time.monotonic()))
        latencies = []
        before = time.monotonic()
        for number in range(rows):
            # Each writer begins elsewhere, so that they do not march through the tenants in step.
            write(tenants[(number + place * 7) % len(tenants)], number)
            now = time.monotonic()
            latencies.append(now - before)
            before = now
        orders.send((before, latencies))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
