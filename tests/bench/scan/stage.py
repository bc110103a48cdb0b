"""A day of many tenants' logs, made in one statement each: what people do, and much that no rule asks for.

Rules read the log and do not verify it, so no hash here is one.
"""

from collections.abc import Callable, Sequence

import psycopg

# Of a hundred records, so many are of each kind; the rest are orders.
KINDS = {
    "FlowRun": 3,
    "DsarRequest": 2,
    "ApiKey": 1,
    "AuditExport": 1,
    "audit_log.read": 4,
    "access.refused": 1,
}
MEMBERS = 200
# Every so many members are new: they joined at some moment of the day, and began within minutes.
NEW = 20

_MEMBERS = """
WITH people AS (
    INSERT INTO public.tenancy_user (id, email, name, password, is_active, failed_logins, created_at)
    SELECT md5(%(tenant)s::text || n)::uuid, %(tenant)s::text || '-' || n || '@bench.example', 'Member', '', true, 0,
           now()
      FROM generate_series(0, %(members)s - 1) n RETURNING id
)
INSERT INTO public.tenancy_membership (id, tenant_id, user_id, role, joined_at)
SELECT gen_random_uuid(), %(tenant)s::text, md5(%(tenant)s::text || n)::uuid, 'admin',
       CASE n %% %(new)s WHEN 0 THEN now() - (n + 1) * interval '5 minutes' ELSE now() - interval '400 days' END
  FROM generate_series(0, %(members)s - 1) n
"""
# What a record is stands in a hash of its number.
_RECORDS = """
INSERT INTO public.audit_record (id, tenant_id, seq, action, entity_type, entity_id, changes, before, after, user_id,
    user_name, actor_type, request_id, "timestamp", integrity_hash, prev_hash, leaf_hash)
SELECT gen_random_uuid(), %(tenant)s::text, n, coalesce(kind.action, 'update'), coalesce(kind.type, 'Order'), n::text,
       '{"status": ["paid", "sent"]}',
       CASE WHEN kind.made THEN NULL ELSE '{"status": "paid", "amount": "12.00"}' END::jsonb,
       CASE WHEN kind.made THEN '{"trigger": "admin", "request_type": "export", "role": "viewer"}'
            ELSE '{"status": "sent", "amount": "12.00"}' END::jsonb,
       md5(%(tenant)s::text || n %% %(members)s)::uuid::text, 'Member', 'user', 'req-' || n,
       now() - interval '1 day' + n * (interval '1 day' / %(size)s), 'x', 'x', 'x'
  FROM generate_series(1, %(size)s) n
  LEFT JOIN unnest(%(from)s::int[], %(to)s::int[], %(types)s::text[], %(actions)s::text[], %(mades)s::bool[])
            kind (first, last, type, action, made) ON abs(hashint4(n)) %% 100 BETWEEN first AND last - 1
"""
# Each new member runs a pipeline a minute after joining.
_FIRST = """
INSERT INTO public.audit_record (id, tenant_id, seq, action, entity_type, entity_id, after, user_id, user_name,
    actor_type, "timestamp", integrity_hash, prev_hash, leaf_hash)
SELECT gen_random_uuid(), tenant_id, %(size)s + row_number() OVER (), 'create', 'FlowRun', id::text,
       '{"trigger": "admin"}', user_id::text, 'Member', 'user', joined_at + interval '1 minute', 'x', 'x', 'x'
  FROM public.tenancy_membership WHERE tenant_id = %(tenant)s AND joined_at > now() - interval '1 day'
"""
_HEAD = """
INSERT INTO public.audit_head (tenant_id, seq, integrity_hash)
SELECT tenant_id, max(seq), 'x' FROM public.audit_record WHERE tenant_id = %(tenant)s GROUP BY 1
"""
_COVERED = """
INSERT INTO public.compliance_scancoverage (id, tenant_id, begins_at, ends_at, through_seq, platform_seq, scanned_at)
VALUES (gen_random_uuid(), %(tenant)s::text, now() - interval '25 hours', now() - interval '1 day', 0, 0, now())
"""


def load(superuser_url: str, tenants: Sequence[str], size: int, *, moved: Callable[[str], object]) -> None:
    """Give each tenant, which is there and has no members, so many records of the last day, none of it scanned."""
    kinds, first = [], 0
    for name, share in KINDS.items():
        verb = "." in name
        kinds.append((first, first + share, "AuditLog" if verb else name, name if verb else "create", not verb))
        first += share
    columns = dict(zip(("from", "to", "types", "actions", "mades"), map(list, zip(*kinds, strict=True)), strict=True))
    with psycopg.connect(superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        for tenant in tenants:
            given = {"tenant": tenant, "size": size, "members": MEMBERS, "new": NEW, **columns}
            for statement in (_MEMBERS, _RECORDS, _FIRST, _HEAD, _COVERED):
                connection.execute(statement, given)
            moved(f"writing the log of {tenant}: {size:,} records")
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE public.audit_record")
