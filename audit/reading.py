"""The log's records as they are hashed, in order of seq, a chunk at a time: what verifier, bundles and exports read."""

from collections.abc import Iterator
from typing import Any

from django.db import connection

from audit.chain import timestamp_text
from kaireon.lib.canonical import loads_exact

_READ = """
SELECT id::text, seq, action, entity_type, entity_id, entity_name, changes::text, before::text, after::text,
       entity_version, user_id, user_name, actor_type, tenant_id, request_id, "timestamp", integrity_hash, prev_hash,
       leaf_hash
  FROM public.audit_record WHERE tenant_id = %s AND seq > %s AND seq <= %s ORDER BY seq
"""
_FIELDS = [
    "id",
    "seq",
    "action",
    "entityType",
    "entityId",
    "entityName",
    "changes",
    "before",
    "after",
    "entityVersion",
    "userId",
    "userName",
    "actorType",
    "tenantId",
    "requestId",
    "timestamp",
    "integrityHash",
    "prevHash",
    "leafHash",
]
_LAST = 2**63 - 1
_CHUNK = 2000


def records(tenant_id: str, *, after: int = 0, until: int = _LAST) -> Iterator[dict[str, Any]]:
    """Records with `after` < seq <= `until`: every field of the contract, and the stored `leafHash` beside them."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(_READ, [tenant_id, after, until])
        while rows := cursor.fetchmany(_CHUNK):
            for row in rows:
                record = dict(zip(_FIELDS, row, strict=True))
                for name in ("changes", "before", "after"):
                    record[name] = None if record[name] is None else loads_exact(record[name])
                record["timestamp"] = timestamp_text(record["timestamp"])
                yield record
