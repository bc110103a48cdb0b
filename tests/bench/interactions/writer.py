"""Who writes the files: `python -m tests.bench.interactions.writer TENANT`, told in JSON lines.

`{"tenant": true}` makes the tenant, `{"write": "copy"}` puts a raw COPY of its interactions into a file,
`{"write": "export"}` exports them. Each gives `{"seconds", "records", "bytes"}`, and in `{"mib", "grown"}` the most
memory that the process ever held, and how much of that came after the product was loaded.
"""

import shutil
import sys
import time
from pathlib import Path
from typing import Any

import django

from tests.bench.export.writer import _most_memory
from tests.bench.talker import answer

# The members of an exported line, spelled by PostgreSQL without any care.
_RAW = """
COPY (SELECT row_to_json(line) FROM (
    SELECT i.id, i.customer_id AS "customerRef", i.occurred_at AS "occurredAt", c.customer_id AS "customerId", i.kind,
           i.channel, i.offer, i.quantity, i.amount::text, i.currency, i.external_id AS "externalId", i.context,
           i.created_at AS "createdAt"
      FROM public.customers_interaction i
      JOIN public.customers_customer c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id
     WHERE i.tenant_id = %s) line) TO STDOUT
"""


def main(tenant: str) -> None:
    django.setup()
    from django.conf import settings
    from django.db import connection

    from customers.exporting import exporting
    from kaireon.lib import clock
    from kaireon.lib.budget import Budget
    from kaireon.tenancy import tenants
    from kaireon.tenancy.context import Actor, platform_scope, scope, transaction

    root = Path(settings.STORAGES["default"]["OPTIONS"]["location"])
    loaded = _most_memory()

    def raw() -> int:
        root.mkdir(parents=True, exist_ok=True)
        with (root / "raw").open("wb") as file, transaction(), connection.cursor() as cursor:
            with cursor.copy(_RAW, [tenant]) as copy:
                for row in copy:
                    file.write(row)
            return int(cursor.rowcount)

    def exported() -> int:
        done = exporting.Exported()
        exporting.export(done, now=clock.now(), budget=Budget(3600))
        return done.rows

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        if "tenant" in order:
            with platform_scope(actor=Actor.system("bench")):
                tenants.create_tenant(tenant_id=tenant, name=tenant, actor=Actor.system("bench"))
            return {}
        shutil.rmtree(root, ignore_errors=True)
        with scope(tenant_id=tenant, actor=Actor.system("bench")):
            start = time.perf_counter()
            records = raw() if order["write"] == "copy" else exported()
            seconds = time.perf_counter() - start
        size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
        most = _most_memory()
        return {"seconds": seconds, "records": records, "bytes": size, "mib": most, "grown": most - loaded}

    answer(respond)


if __name__ == "__main__":
    main(sys.argv[1])
