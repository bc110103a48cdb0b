"""Who reckons: `python -m tests.bench.engagement.worker TENANT`, told in JSON lines.

`{"tenant": true}` makes the tenant. `{"whole": true}` reckons everybody, `{"day": n}` lets a day pass in which so many
interactions come in, and reckons of whom something is new. Both give `seconds` of the reckoning alone and `lookedAt`.
The clock is the bench's own: a day passes when it says so.
"""

import sys
import time
from datetime import timedelta
from typing import Any

import django

from tests.bench.talker import answer

_BROUGHT = """
INSERT INTO public.customers_interaction (id, tenant_id, customer_id, kind, channel, offer, currency, external_id,
                                          context, occurred_at, created_at)
SELECT n.id, %(tenant)s, c.id, 'purchase', 'web', '', '', n.id::text, '{}', n.at, n.at
  FROM unnest(%(ids)s::uuid[], %(moments)s::timestamptz[]) WITH ORDINALITY n (id, at, place)
  JOIN (SELECT id, row_number() OVER (ORDER BY md5(id::text || %(salt)s)) AS place
          FROM public.customers_customer WHERE tenant_id = %(tenant)s) c USING (place)
"""


def main(tenant: str) -> None:
    django.setup()
    from django.db import connection

    from customers.engagement import reckoning
    from customers.partitions import ensure_months
    from kaireon.lib import clock
    from kaireon.lib.budget import Budget
    from kaireon.lib.ids import lowest_uuid7
    from kaireon.tenancy import tenants
    from kaireon.tenancy.context import Actor, scope, transaction

    actor = Actor.system("bench")
    days = 0

    def now() -> Any:
        return clock.now() + timedelta(days=days)

    def bring(count: int) -> None:
        """Evenly over the last day, by ids of their times: a twelfth came within the overlap with the next night."""
        until = now()
        moments = [until - timedelta(days=(number + 0.5) / count) for number in range(count)]
        ids = [str(lowest_uuid7(moment)) for moment in moments]
        with transaction(), connection.cursor() as cursor:
            ensure_months("customers_interaction", moments)
            cursor.execute(_BROUGHT, {"tenant": tenant, "ids": ids, "moments": moments, "salt": str(days)})

    def reckoned(*, whole: bool) -> dict[str, Any]:
        start = time.perf_counter()
        done = reckoning.reckon(now=now(), budget=Budget(3600), whole=whole)
        seconds = time.perf_counter() - start
        if not done.done or done.whole is not whole:
            raise RuntimeError(f"Asked for whole={whole}, and had {done}.")
        return {"seconds": seconds, "lookedAt": done.looked_at, "reckoned": done.reckoned}

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        nonlocal days
        if "tenant" in order:
            tenants.create_tenant(tenant_id=tenant, name=tenant, actor=actor)
            return {}
        with scope(tenant_id=tenant, actor=actor):
            if "whole" in order:
                return reckoned(whole=True)
            days += 1
            bring(order["day"])
            return reckoned(whole=False)

    answer(respond)


if __name__ == "__main__":
    main(sys.argv[1])
