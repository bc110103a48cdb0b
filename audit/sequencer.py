"""From inbox to log: the next gap-free seq, the hashes, one transaction.

One sequencer at a time and tenant, by advisory lock: taken first, the head is read in the next statement, READ
COMMITTED. Sweeps try the lock and pass by; a reader that drains waits for it. Whoever dies in the middle leaves the
inbox as it was. Everything runs on the connection `sequencer`, whose role sees inbox, log and head and nothing else.
"""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper

from audit.chain import GENESIS, integrity_hash, leaf_hash, timestamp_text
from kaireon.lib.canonical import exact, loads_exact

ALIAS = "sequencer"
BATCH = 500

_TENANTS = """
WITH RECURSIVE waiting AS (
    (SELECT tenant_id FROM public.audit_inbox ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT i.tenant_id FROM public.audit_inbox i WHERE i.tenant_id > w.tenant_id ORDER BY i.tenant_id LIMIT 1)
      FROM waiting w WHERE w.tenant_id IS NOT NULL
)
SELECT tenant_id FROM waiting WHERE tenant_id IS NOT NULL
"""

_WAITING = """
SELECT id, record_id, operation, action, entity_type, entity_id, entity_name, changes::text, before::text, after::text,
       personal, user_id, user_name, actor_type, request_id, "timestamp"
  FROM public.audit_inbox WHERE tenant_id = %s ORDER BY id LIMIT %s
"""

_COLUMNS: dict[str, str] = {
    "id": "uuid",
    "tenant_id": "text",
    "seq": "bigint",
    "action": "text",
    "entity_type": "text",
    "entity_id": "text",
    "entity_name": "text",
    "changes": "jsonb",
    "before": "jsonb",
    "after": "jsonb",
    "entity_version": "bigint",
    "user_id": "text",
    "user_name": "text",
    "actor_type": "text",
    "request_id": "text",
    "timestamp": "timestamptz",
    "integrity_hash": "text",
    "prev_hash": "text",
    "leaf_hash": "text",
}

# COPY is refused under row-level security; unnest is not.
_APPEND = (
    # Made of the constant above only.
    f"INSERT INTO public.audit_record ({', '.join(_COLUMNS)}) SELECT * FROM unnest("  # noqa: S608
    + ", ".join(f"%s::{'text[]::jsonb' if kind == 'jsonb' else kind}[]" for kind in _COLUMNS.values())
    + ")"
)


@dataclass
class _Head:
    seq: int
    integrity_hash: str


def sweep(*, batch: int = BATCH) -> int:
    """Sequence up to `batch` records of every tenant that has some and whose lock is free; returns how many."""
    made = 0
    with transaction.atomic(using=ALIAS), connections[ALIAS].cursor() as cursor:
        cursor.execute(_TENANTS)
        for (tenant,) in cursor.fetchall():
            with transaction.atomic(using=ALIAS):
                cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('audit:' || %s, 0))", [tenant])
                if cursor.fetchone() == (True,):
                    made += _sequence(cursor, tenant, batch)
    return made


def drain(tenant: str) -> int:
    """Sequence all that is committed to the tenant's inbox, waiting for whoever is at it; returns how many."""
    made = 0
    while _is_waiting(tenant):
        with transaction.atomic(using=ALIAS, durable=True), connections[ALIAS].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('audit:' || %s, 0))", [tenant])
            made += _sequence(cursor, tenant, BATCH)
    return made


def _is_waiting(tenant: str) -> bool:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM public.audit_inbox WHERE tenant_id = %s)", [tenant])
        return bool(cursor.fetchone()[0])


def _sequence(cursor: CursorWrapper, tenant: str, batch: int) -> int:
    head = _head(cursor, tenant)
    cursor.execute(_WAITING, [tenant, batch])
    waiting = cursor.fetchall()
    if not waiting:
        return 0
    rows = [_chained(tenant, head, row) for row in waiting]
    cursor.execute(_APPEND, [list(column) for column in zip(*rows, strict=True)])
    cursor.execute(
        "UPDATE public.audit_head SET seq = %s, integrity_hash = %s WHERE tenant_id = %s",
        [head.seq, head.integrity_hash, tenant],
    )
    cursor.execute("DELETE FROM public.audit_inbox WHERE id = ANY(%s)", [[row[0] for row in waiting]])
    return len(rows)


def _head(cursor: CursorWrapper, tenant: str) -> _Head:
    query = "SELECT seq, integrity_hash FROM public.audit_head WHERE tenant_id = %s"
    cursor.execute(query, [tenant])
    found = cursor.fetchone()
    if found is None:
        cursor.execute(
            "INSERT INTO public.audit_head (tenant_id, seq, integrity_hash) VALUES (%s, 0, %s)", [tenant, GENESIS]
        )
        found = (0, GENESIS)
    return _Head(*found)


def _chained(tenant: str, head: _Head, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """One log row from one inbox row; moves `head` on."""
    (_, record_id, operation, action, kind, entity_id, name, changes_text, before_text, after_text) = row[:10]
    personal, user_id, user_name, actor_type, request_id, timestamp = row[10:]
    before, after = _loaded(before_text), _loaded(after_text)
    changes = _loaded(changes_text) if operation in "BE" else changes_of(before, after, personal)
    version = after.get("version") if isinstance(after, dict) else None
    prev_hash, head.seq = head.integrity_hash, head.seq + 1
    head.integrity_hash = integrity_hash(
        action=action,
        entity_type=kind,
        entity_id=entity_id,
        entity_name=name,
        changes=changes,
        user_id=user_id,
        user_name=user_name,
        tenant_id=tenant,
        request_id=request_id,
        prev_hash=prev_hash,
    )
    leaf = leaf_hash(
        wire(
            record_id=record_id,
            seq=head.seq,
            action=action,
            entity_type=kind,
            entity_id=entity_id,
            entity_name=name,
            changes=changes,
            before=before,
            after=after,
            entity_version=version if isinstance(version, int) else None,
            user_id=user_id,
            user_name=user_name,
            actor_type=actor_type,
            tenant_id=tenant,
            request_id=request_id,
            timestamp=timestamp_text(timestamp),
            integrity_hash=head.integrity_hash,
            prev_hash=prev_hash,
        )
    )
    return (
        record_id,
        tenant,
        head.seq,
        action,
        kind,
        entity_id,
        name,
        _dumped(changes),
        _dumped(before),
        _dumped(after),
        version if isinstance(version, int) else None,
        user_id,
        user_name,
        actor_type,
        request_id,
        timestamp,
        head.integrity_hash,
        prev_hash,
        leaf,
    )


def changes_of(before: Any, after: Any, personal: str | None) -> dict[str, Any]:
    """What an entity's record says changed: the row for a create, [old, new] by column for an update."""
    if before is None:
        return dict(after)
    if after is None:
        return dict(before)
    named = set(personal.split(",")) if personal else set()
    return {
        column: [before.get(column), after.get(column)]
        for column in {**before, **after}
        if column in named or before.get(column) != after.get(column)
    }


def wire(*, record_id: UUID | str, **fields: Any) -> dict[str, Any]:
    """A record as it is hashed and shown: camelCase, all 18 fields."""
    record = {_CAMEL[name]: value for name, value in fields.items()}
    record["id"] = str(record_id)
    return record


_CAMEL = {
    name: name.split("_")[0] + "".join(part.title() for part in name.split("_")[1:])
    for name in (*_COLUMNS, "actor_type")
    if name != "leaf_hash"
}


def _loaded(text: str | None) -> Any:
    return None if text is None else loads_exact(text)


def _dumped(value: Any) -> str | None:
    return None if value is None else json.dumps(exact(value), ensure_ascii=False)
