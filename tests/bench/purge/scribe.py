"""Who writes interactions: `python -m tests.bench.purge.scribe`, told in JSON lines, on one connection that it keeps.

`{"fill": table, "rows": n, "each": n}` writes rows, so many in a transaction, as ingest writes them, and gives
`seconds`. `{"pace": n, "seconds": s}` writes one row in a transaction, n times a second, and gives `[when, ms]` of
each, when being the machine's monotonic clock. Both have `tenants`, who take turns, and a range of customers of each:
`{id: [first, count]}`.
"""

import itertools
import time
from typing import Any

import django

from tests.bench.purge.history import TABLE, customer
from tests.bench.talker import answer

# A statement of ingest's, to any table of these columns.
_INSERT = """
INSERT INTO public.{table} (id, tenant_id, customer_id, kind, channel, offer, quantity, amount, currency, external_id,
                            context, occurred_at, created_at)
SELECT * FROM unnest(%s::uuid[], %s::varchar[], %s::uuid[], %s::varchar[], %s::varchar[], %s::varchar[], %s::bigint[],
                     %s::numeric[], %s::varchar[], %s::varchar[], %s::jsonb[], %s::timestamptz[], %s::timestamptz[])
"""


def main() -> None:
    django.setup()
    from django.db import connection

    from kaireon.lib import clock
    from kaireon.lib.ids import uuid7_texts
    from kaireon.tenancy.context import Actor, scope, transaction

    system = Actor.system("bench")
    numbers = itertools.count()

    def made(tenant: str, customers: list[int], count: int) -> list[list[Any]]:
        (first, many), now, own = customers, clock.now(), [next(numbers) for _ in range(count)]
        return [
            uuid7_texts(count),
            [tenant] * count,
            [str(customer(number * 7919 % many, offset=first)) for number in own],
            ["click"] * count,
            ["web"] * count,
            [f"offer-{number % 40}" for number in own],
            [1 + number % 7 for number in own],
            [f"{number % 9000}.50" for number in own],
            ["EUR"] * count,
            [f"new-{number}" for number in own],
            ["{}"] * count,
            [now] * count,
            [now] * count,
        ]

    def write(table: str, tenant: str, columns: list[list[Any]]) -> None:
        with scope(tenant_id=tenant, actor=system), transaction(), connection.cursor() as cursor:
            cursor.execute(_INSERT.format(table=table), columns)

    def fill(table: str, tenants: dict[str, list[int]], rows: int, each: int) -> dict[str, Any]:
        ((tenant, customers),) = tenants.items()
        ready = [made(tenant, customers, each) for _ in range(rows // each)]
        began = time.monotonic()
        for columns in ready:
            write(table, tenant, columns)
        return {"rows": len(ready) * each, "seconds": time.monotonic() - began}

    def pace(tenants: dict[str, list[int]], often: float, seconds: float) -> dict[str, Any]:
        turns = itertools.cycle(tenants.items())
        began, took = time.monotonic(), []
        for number in range(int(often * seconds)):
            tenant, customers = next(turns)
            columns = made(tenant, customers, 1)
            time.sleep(max(0.0, began + number / often - time.monotonic()))
            before = time.monotonic()
            write(TABLE, tenant, columns)
            took.append([before, (time.monotonic() - before) * 1000])
        return {"took": took}

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        if "pace" in order:
            return pace(order["tenants"], order["pace"], order["seconds"])
        return fill(order["fill"], order["tenants"], order["rows"], order["each"])

    answer(respond)


if __name__ == "__main__":
    main()
