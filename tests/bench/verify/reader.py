"""Who reads the log: `python -m tests.bench.verify.reader TENANT CORES`, told in JSON lines, pinned to so many cores.

`{"read": "copy"}` reads it by COPY BINARY to nowhere, `{"read": "verify", "jobs": n}` verifies it, `{"read": "orm",
"records": n, "exact": true}` checks as much of so many records through Django's models, or, not exact, a little less.
Each gives `{"seconds", "records"}`, and in `{"mib", "grown"}` the most memory that any of its processes ever held, and
how much of that came after it was loaded.
"""

import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import django

from tests.bench.talker import answer

_COPY = "COPY (SELECT * FROM public.audit_record WHERE tenant_id = %s ORDER BY seq) TO STDOUT (FORMAT binary)"

_JSON = ("changes", "before", "after")


class NotVerified(RuntimeError):
    """The log was not found intact, or not whole: what was measured is not what was to be."""


def main(tenant: str, cores: int) -> None:
    mine = sorted(os.sched_getaffinity(0))[:cores]
    os.sched_setaffinity(0, mine)
    django.setup()
    from django.db import connection
    from django.db.models import TextField
    from django.db.models.functions import Cast

    from audit.chain import GENESIS, integrity_hash, leaf_hash, timestamp_text
    from audit.models import AuditRecord, Tile
    from audit.tree import tiles
    from audit.tree.merkle import Stack, perfect
    from audit.verification.rows import exactly
    from audit.verification.verify import newest_commitment, verify
    from kaireon.tenancy.context import Actor, scope, transaction

    def copied(_order: dict[str, Any]) -> int:
        with connection.cursor() as cursor, cursor.copy(_COPY, [tenant]) as copy:
            # All but the head and the end of the format.
            return sum(1 for _ in copy) - 1

    def verified(order: dict[str, Any]) -> int:
        found = verify(jobs=order["jobs"])
        if not found.intact or found.window:
            raise NotVerified(f"{found.broken_reason} at {found.broken_at_seq}")
        return found.verified

    def by_orm(order: dict[str, Any]) -> int:
        """The same checks as somebody writes them who has models and the library: each record as a row object.

        JSON is read so that a number that was put where its rounded neighbour stood is seen, as the verifier sees it;
        without `exact` as Django reads it, which rounds.
        """
        tree, leaves, previous, seq = Stack(), list[bytes](), GENESIS, 0
        rows = AuditRecord.objects.order_by("seq")
        if order["exact"]:
            rows = rows.defer(*_JSON).annotate(**{f"{name}_text": Cast(name, TextField()) for name in _JSON})
        for row in rows[: order["records"]].iterator(chunk_size=2000):
            if order["exact"]:
                texts: list[str | None] = [getattr(row, f"{name}_text") for name in _JSON]
                changes, before, after = (None if text is None else exactly(text) for text in texts)
            else:
                changes, before, after = row.changes, row.before, row.after
            integrity = integrity_hash(
                action=row.action,
                entity_type=row.entity_type,
                entity_id=row.entity_id,
                entity_name=row.entity_name,
                changes=changes,
                user_id=row.user_id,
                user_name=row.user_name,
                tenant_id=row.tenant_id,
                request_id=row.request_id,
                prev_hash=row.prev_hash,
            )
            leaf = leaf_hash(
                {
                    "id": str(row.pk),
                    "seq": row.seq,
                    "action": row.action,
                    "entityType": row.entity_type,
                    "entityId": row.entity_id,
                    "entityName": row.entity_name,
                    "changes": changes,
                    "before": before,
                    "after": after,
                    "entityVersion": row.entity_version,
                    "userId": row.user_id,
                    "userName": row.user_name,
                    "actorType": row.actor_type,
                    "tenantId": row.tenant_id,
                    "requestId": row.request_id,
                    "timestamp": timestamp_text(row.timestamp),
                    "integrityHash": row.integrity_hash,
                    "prevHash": row.prev_hash,
                }
            )
            fits = (row.prev_hash, row.seq, row.integrity_hash, row.leaf_hash)
            if fits != (previous, seq + 1, integrity, leaf):
                raise NotVerified(f"record {row.seq}")
            previous, seq = row.integrity_hash, row.seq
            leaves.append(bytes.fromhex(leaf))
            tree.append(leaves[-1])
            if len(leaves) == tiles.WIDTH:
                compare(seq // tiles.WIDTH - 1, leaves)
                leaves.clear()
        if seq == newest_commitment(tenant).size and tree.root() != newest_commitment(tenant).root:
            raise NotVerified("the root")
        return seq

    def compare(index: int, leaves: list[bytes]) -> None:
        """A whole tile, and its root in the one above."""
        held = bytes(Tile.objects.get(tenant_id=tenant, level=0, index=index).hashes)
        above, place = divmod(index, tiles.WIDTH)
        roots = bytes(Tile.objects.get(tenant_id=tenant, level=1, index=above).hashes)
        begin = place * tiles.HASH_BYTES
        if (held, roots[begin : begin + tiles.HASH_BYTES]) != (b"".join(leaves), perfect(leaves)):
            raise NotVerified(f"tile {index}")

    ways = {"copy": copied, "verify": verified, "orm": by_orm}

    loaded = _most_memory()

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        with scope(tenant_id=tenant, actor=Actor.system("bench")), transaction():
            # The server's process that serves this one works on the same cores.
            os.sched_setaffinity(connection.connection.info.backend_pid, mine)
            start = time.perf_counter()
            records = ways[order["read"]](order)
            seconds = time.perf_counter() - start
        most = _most_memory()
        return {"seconds": seconds, "records": records, "mib": most, "grown": most - loaded}

    answer(respond)


def _most_memory() -> float:
    """MiB of the largest process so far, this one or one that it started."""
    status = Path("/proc/self/status").read_text()
    own = int(status.partition("VmHWM:")[2].split()[0])
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
