"""Who has the logs, and asks for proofs and bundles: `python -m tests.bench.proof.prover`, told in JSON lines.

`{"tenants": [ids]}` makes them; `{"commit": {tenant id: records}}` signs the checkpoints of logs that are there, and
gives an API key for each tenant; `{"prove": "inclusion"|"consistency", "tenant": id, "records": n, "numbers": [n]}`
gives milliseconds. What is proven is checked, off the clock. `{"bundle": tenant id, "to": path}` writes the evidence.
"""

import time
from pathlib import Path
from typing import Any

import django

from tests.bench import biglog
from tests.bench.proof.checks import CHECKS
from tests.bench.talker import answer


def main() -> None:
    django.setup()
    from audit.exports import bundle
    from audit.models import AuditRecord
    from audit.tree import checkpoints, proofs
    from kaireon.tenancy import keys, tenants
    from kaireon.tenancy.context import Actor, scope, transaction
    from kaireon.tenancy.roles import Role

    system = Actor.system("bench")

    def commit(sizes: dict[str, int]) -> dict[str, str]:
        made = {}
        for tenant, size in sizes.items():
            while newest(tenant) < size:
                checkpoints.make(tenant)
            with scope(tenant_id=tenant, actor=system), transaction():
                _, made[tenant] = keys.create_key(name="bench", role=Role.AUDITOR, actor=system)
        return made

    def newest(tenant: str) -> int:
        with scope(tenant_id=tenant, actor=system), transaction():
            return newest_size(tenant)

    def newest_size(tenant: str) -> int:
        found = checkpoints.newest(tenant)
        return found.tree_size if found else 0

    def inclusion(tenant: str, size: int, seq: int) -> dict[str, Any]:
        return proofs.inclusion(tenant, AuditRecord.objects.get(pk=biglog.record_id(tenant, seq)), size)

    def consistency(tenant: str, size: int, first: int) -> dict[str, Any]:
        return proofs.consistency(tenant, first, size)

    proves = {"inclusion": inclusion, "consistency": consistency}

    def bundled(tenant: str, path: Path) -> dict[str, Any]:
        with scope(tenant_id=tenant, actor=system), transaction(), path.open("w+b") as file:
            # Up to the checkpoint: what was recorded since has none yet.
            whole = bundle.Range(since=None, until=None, first=1, last=newest_size(tenant))
            return {"records": bundle.write(file, whole)["records"]}

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        if "tenants" in order:
            for tenant in order["tenants"]:
                tenants.create_tenant(tenant_id=tenant, name=tenant.title(), actor=system)
            return {}
        if "commit" in order:
            return commit(order["commit"])
        if "bundle" in order:
            return bundled(order["bundle"], Path(order["to"]))
        took = []
        with scope(tenant_id=order["tenant"], actor=system):
            for number in order["numbers"]:
                start = time.perf_counter()
                with transaction():
                    said = proves[order["prove"]](order["tenant"], order["records"], number)
                took.append((time.perf_counter() - start) * 1000)
                CHECKS[order["prove"]](said)
        return {"ms": took}

    answer(respond)


if __name__ == "__main__":
    main()
