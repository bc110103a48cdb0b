"""Who deletes: `python -m tests.bench.purge.purger`, told in JSON lines. Times are of the machine's monotonic clock.

`{"tenants": [ids]}` makes them; `{"keep": days, "tenant": id}` gives one a policy; `{"hold": [customer ids], "tenant":
id}` places a hold of them, `{"release": hold id, "tenant": id}` ends it. `{"purge": seconds, "tenant": id}` is the
product's own purge for at most so long, `{"delete": moment, "tenant": id, "batch": n}` the same deletion in the same
batches and transactions, which asks for nothing, `{"drop": true, "tenant": id}` drops the months that go whole, as
`cleanup` does: each gives `rows`, `began` and `ended`.
"""

import time
from datetime import datetime
from typing import Any, cast

import django

from tests.bench.talker import answer

# As the product's purge looks for them and deletes them, in one statement on its own connection.
_DELETE = """
WITH found AS MATERIALIZED (
         SELECT occurred_at, id FROM public.customers_interaction
          WHERE tenant_id = %(tenant)s AND occurred_at < %(before)s AND occurred_at >= %(after)s
            AND (occurred_at > %(after)s OR (occurred_at = %(after)s AND id > %(place)s))
          ORDER BY occurred_at, id LIMIT %(batch)s),
     chosen AS MATERIALIZED (
         SELECT array_agg(id) AS ids, min(occurred_at) AS first, max(occurred_at) AS last,
                (array_agg(id ORDER BY occurred_at, id))[count(*)] AS last_id
           FROM found),
     gone AS (
         DELETE FROM public.customers_interaction
          WHERE tenant_id = %(tenant)s AND id = ANY((SELECT ids FROM chosen)::uuid[])
            AND occurred_at >= (SELECT first FROM chosen) AND occurred_at <= (SELECT last FROM chosen)
         RETURNING 1)
SELECT last, last_id, (SELECT count(*) FROM gone) FROM chosen
"""
_BEGINNING = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_FIRST_ID = "00000000-0000-0000-0000-000000000000"


class PurgeFailed(RuntimeError):
    """It says why."""


def main() -> None:
    django.setup()
    from django.db import connection

    from compliance.models import Hold, HoldState, HoldSubject, Kind, Matter
    from compliance.purging import months, purge
    from compliance.retention import policies
    from kaireon.lib import clock
    from kaireon.lib.budget import Budget
    from kaireon.tenancy import tenants
    from kaireon.tenancy.context import Actor, scope, transaction

    system = Actor.system("bench")

    def keep(days: int) -> None:
        with transaction():
            policies.upsert_policy(data_class="interactions", retention_days=days, actor=system, now=clock.now())

    def hold(customers: list[str]) -> str:
        now = clock.now()
        with transaction():
            matter = Matter.objects.create(name="Case 7", reason="order", opened_by=system.id, opened_at=now)
            placed = Hold.objects.create(
                matter=matter, kind=Kind.MATTER, of_subjects=True, placed_by=system.id, placed_at=now
            )
            HoldSubject.objects.bulk_create(HoldSubject(hold=placed, subject_id=each) for each in customers)
        return str(placed.pk)

    def release(hold_id: str) -> None:
        with transaction():
            now = clock.now()
            agreed = {"release_asked_by": "one", "release_agreed_by": "another", "releases_at": now}
            Hold.objects.filter(pk=hold_id).update(state=HoldState.RELEASING, **agreed)
            Hold.objects.filter(pk=hold_id).update(state=HoldState.RELEASED, released_at=now)

    def purged(seconds: float) -> dict[str, Any]:
        done = purge.purge_expired(now=clock.now(), actor=system, classes=["interactions"], budget=Budget(seconds))
        if done.errors:
            raise PurgeFailed(", ".join(done.errors))
        return {"rows": done.deleted["interactionHistory"]}

    def deleted(tenant: str, before: datetime, batch: int) -> dict[str, Any]:
        gone, after, place = 0, _BEGINNING, _FIRST_ID
        while True:
            with transaction(), connection.cursor() as cursor:
                where = {"tenant": tenant, "before": before, "after": after, "place": place, "batch": batch}
                cursor.execute(_DELETE, where)
                after, place, rows = cast("tuple[Any, ...]", cursor.fetchone())
            gone += rows
            if rows < batch:
                return {"rows": gone}

    def dropped() -> dict[str, Any]:
        return {"rows": sum(month.total for month in months.drop_past(now=clock.now(), actor=system))}

    def timed(work: Any) -> dict[str, Any]:
        began = time.monotonic()
        return {**work(), "began": began, "ended": time.monotonic()}

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        for tenant in order.get("tenants", ()):
            tenants.create_tenant(tenant_id=tenant, name=tenant.title(), actor=system)
        if "tenants" in order:
            return {"batch": purge.BATCH}
        tenant = order["tenant"]
        with scope(tenant_id=tenant, actor=system):
            if "keep" in order:
                keep(order["keep"])
                return {}
            if "hold" in order:
                return {"hold": hold(order["hold"])}
            if "release" in order:
                release(order["release"])
                return {}
            if "purge" in order:
                return timed(lambda: purged(order["purge"]))
            if "drop" in order:
                return timed(dropped)
            before = datetime.fromisoformat(order["delete"])
            return timed(lambda: deleted(tenant, before, order["batch"]))

    answer(respond)


if __name__ == "__main__":
    main()
