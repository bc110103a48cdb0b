"""Who ships: `python -m tests.bench.ship.shipper TENANT`, told in JSON lines.

`{"to": port}` says where. `{"bare": backend, "packed": gzip}` posts a raw COPY of the log, 500 rows at a time, with
`"as_taken"` a COPY of the least that Splunk's event endpoint takes; `{"ship": backend, "packed": gzip}` has the product
ship it. Each gives `{"seconds", "records"}`, and in `{"mib", "grown"}` the most memory that the process ever held, and
how much of that came after the product was loaded.
"""

import gzip
import sys
import time
from pathlib import Path
from typing import Any

import django
import httpcore

from tests.bench.talker import answer

# What an event has of a record, as it is stored.
_COLUMNS = """
    seq, "timestamp", action, entity_type, entity_id, entity_name, user_id, user_name, actor_type, request_id,
    changes, before, after, entity_version, tenant_id, id, integrity_hash, prev_hash, leaf_hash
"""
_ROWS = f"SELECT {_COLUMNS} FROM public.audit_record WHERE tenant_id = %s ORDER BY seq"
_RAW = f"COPY ({_ROWS}) TO STDOUT"
# What quotes and what parts columns is in no JSON, so that each line is the object as it is.
_AS_TAKEN = f"""
COPY (SELECT json_build_object('time', extract(epoch FROM "timestamp"), 'event', row_to_json(record))
        FROM ({_ROWS}) record) TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')
"""
_TOGETHER = 500
_PATHS = {"datadog": "/api/v2/logs", "splunk": "/services/collector/event", "elastic": "/audit/_bulk"}


def main(tenant: str) -> None:
    django.setup()
    from django.db import connection

    from audit.following import cursors
    from audit.shipping.destinations import Target
    from audit.shipping.shipping import ship
    from kaireon.lib import clock
    from kaireon.lib.budget import Budget
    from kaireon.tenancy.context import Actor, scope, transaction

    known: dict[str, str] = {}

    def bare(backend: str, *, packed: bool, as_taken: bool) -> int:
        rows: list[bytes] = []
        headers = [("Content-Type", "application/json"), *([("Content-Encoding", "gzip")] if packed else [])]

        def post(pool: httpcore.ConnectionPool) -> None:
            body = b"".join(rows)
            rows.clear()
            body = gzip.compress(body, 1, mtime=0) if packed else body
            assert pool.request("POST", known["url"] + _PATHS[backend], headers=headers, content=body).status < 300

        with httpcore.ConnectionPool() as pool, transaction(), connection.cursor() as cursor:
            with cursor.copy(_AS_TAKEN if as_taken else _RAW, [tenant]) as copy:
                for row in copy:
                    rows.append(bytes(row))
                    if len(rows) == _TOGETHER:
                        post(pool)
            if rows:
                post(pool)
            return int(cursor.rowcount)

    def target(backend: str, *, packed: bool) -> Target:
        return Target(
            key=backend,
            name=backend,
            backend=backend,
            endpoint=known["url"],
            api_key="made-up",
            index="audit",
            is_gzipped=packed,
            allow_private=True,
        )

    def shipped(to: Target) -> int:
        done = ship(to, budget=Budget(600))
        assert not done.error, done.error
        return done.shipped

    loaded = _most_memory()

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        if "to" in order:
            known["url"] = f"http://127.0.0.1:{order['to']}"
            return {}
        with scope(tenant_id=tenant, actor=Actor.system("bench")):
            to = target(order["ship"], packed=order["packed"]) if "ship" in order else None
            if to is not None:
                with transaction():
                    cursors.set_back(to.follower, to=0, now=clock.now())
            start = time.perf_counter()
            if to is not None:
                records = shipped(to)
            else:
                records = bare(order["bare"], packed=order["packed"], as_taken=order.get("as_taken", False))
            seconds = time.perf_counter() - start
        most = _most_memory()
        return {"seconds": seconds, "records": records, "mib": most, "grown": most - loaded}

    answer(respond)


def _most_memory() -> float:
    """MiB."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main(sys.argv[1])
