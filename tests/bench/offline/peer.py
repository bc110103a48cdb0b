"""auditchain, which keeps its log in memory: `python -m tests.bench.offline.peer`, told in JSON lines.

`{"fill": n}` appends so many records of ours, `{"verify": true}` checks them all and gives seconds of the processor,
`{"prove": seq}` proves one and gives milliseconds; the proof is checked off the clock.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from auditchain import AuditLog, MemoryBackend

from tests.bench import biglog
from tests.bench.talker import answer


def main() -> None:
    log = AuditLog(MemoryBackend())
    root = ""

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        nonlocal root
        if "fill" in order:
            asyncio.run(log.append_many(list(_entries(order["fill"]))))
            root = asyncio.run(log.merkle_root())
            return {}
        if "verify" in order:
            start = time.process_time()
            report = asyncio.run(log.verify())
            return {"seconds": time.process_time() - start, "intact": report.ok, "records": report.records_checked}
        start = time.perf_counter()
        proof = asyncio.run(log.inclusion_proof(order["prove"]))
        return {"ms": (time.perf_counter() - start) * 1000, "holds": proof.verify(root)}

    answer(respond)


def _entries(count: int) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    for record in biglog.records("tenant-01", count):
        told = {name: record[name] for name in ("changes", "before", "after", "requestId")}
        yield record["userName"], record["action"], f"{record['entityType']}:{record['entityId']}", told


if __name__ == "__main__":
    main()
