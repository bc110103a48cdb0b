"""From inbox to log: the next gap-free seq, the hashes, one transaction.

One sequencer at a time and tenant, by advisory lock: taken first, the head is read in the next statement, READ
COMMITTED. Sweeps try the lock and pass by; a reader that drains waits for it. Whoever dies in the middle leaves the
inbox as it was. Everything runs on the connection `sequencer`, whose role sees inbox, log, head and the keys that
personal values are sealed under here, and nothing else.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, connections, transaction
from django.db.backends.utils import CursorWrapper

from audit import contents
from audit.chain import GENESIS, integrity_hash, leaf_hash_around
from audit.sealing import subject_keys
from audit.sealing.sealed import Sealer
from kaireon.lib.ids import uuid7_texts
from kaireon.lib.sealing import CannotOpen

logger = logging.getLogger("kaireon.audit.sequencer")

ALIAS = "sequencer"
# Records of one tenant in one transaction; as long as it has fewer, it takes another tenant's too.
BATCH = 500
# Bytes, as stored, of one tenant's records in one transaction; the first record is taken whatever its size.
BATCH_BYTES = 4 * 1024 * 1024
# Seconds for which a tenant whose next record cannot be sequenced is left alone, at first and at most.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0

# From tenant to tenant along the key, as far as one transaction goes: `batch` records, or as much of them as
# BATCH_BYTES. The inbox is analysed when it happens to be empty, and then looks too small for its indexes: so the
# statements that follow shall use them.
_TAKE = """
WITH RECURSIVE waiting AS (
    SELECT %(after)s::text AS tenant, 0::numeric AS weight
    UNION ALL
    SELECT n.tenant_id, w.weight + CASE WHEN n.tenant_id = ANY(%(stuck)s::text[]) THEN 0 ELSE (
               SELECT greatest(count(*), sum(i.bytes) * %(batch)s / %(bytes)s)
                 FROM (SELECT coalesce(pg_column_size(changes), 0) + coalesce(pg_column_size(before), 0)
                              + coalesce(pg_column_size(after), 0) AS bytes
                         FROM public.audit_inbox WHERE tenant_id = n.tenant_id LIMIT %(batch)s) i
           ) END
      FROM waiting w CROSS JOIN LATERAL (
        SELECT i.tenant_id FROM public.audit_inbox i WHERE i.tenant_id > w.tenant ORDER BY i.tenant_id LIMIT 1) n
     WHERE w.weight < %(batch)s
)
SELECT tenant, weight, CASE WHEN tenant = ANY(%(stuck)s::text[]) THEN false
                             ELSE pg_try_advisory_xact_lock(hashtextextended('audit:' || tenant, 0)) END,
       set_config('enable_seqscan', 'off', true)
  FROM waiting WHERE tenant <> %(after)s ORDER BY tenant
"""
_TRY_LOCK = """
SELECT pg_try_advisory_xact_lock(hashtextextended('audit:' || %s, 0)), set_config('enable_seqscan', 'off', true)
"""
_LOCK = """
SELECT pg_advisory_xact_lock(hashtextextended('audit:' || %s, 0)), set_config('enable_seqscan', 'off', true)
"""

# The head comes with a tenant's first record, the moment as audit.chain.timestamp_text spells it.
_WAITING = """
SELECT place, tenant, operation, action, entity_type, entity_id, entity_name,
       changes::text, before::text, after::text, personal, before ->> subject, after ->> subject,
       user_id, user_name, actor_type, request_id,
       to_char("timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       CASE n WHEN 1 THEN head.seq END, CASE n WHEN 1 THEN head.integrity_hash END
  FROM unnest(%s::text[]) tenant LEFT JOIN public.audit_head head ON head.tenant_id = tenant CROSS JOIN LATERAL (
    SELECT *, sum(coalesce(pg_column_size(changes), 0) + coalesce(pg_column_size(before), 0)
                  + coalesce(pg_column_size(after), 0)) OVER (ORDER BY id) AS bytes,
           row_number() OVER (ORDER BY id) AS n
      FROM (SELECT ctid AS place, i.* FROM public.audit_inbox i WHERE tenant_id = tenant ORDER BY id LIMIT %s) first
  ) waiting
 WHERE bytes <= %s OR n = 1
 ORDER BY tenant, id
"""

# The rows are named by where they stand: nothing moves them between two statements of one transaction, for nobody may
# update them and whoever rewrites the table must wait. They go over as they are; only what the sequencer adds travels:
# numbers, hashes, and the JSON it worked out. Of a row with personal values nothing goes over as it is.
_LINK_TYPES = {
    "place": "tid",
    "record_id": "uuid",
    "seq": "bigint",
    "entity_version": "bigint",
    "integrity_hash": "text",
    "prev_hash": "text",
    "leaf_hash": "text",
}
# Each as one text, cut apart there: quoting JSON as elements of an array takes longer than sealing it. No JSON holds
# the separator, and none is empty.
_JSON = ("changes", "before", "after")
_SEPARATOR = "\x1f"
_ARRAYS = [
    *(f"%s::{kind}[]" for kind in _LINK_TYPES.values()),
    *["string_to_array(%s, E'\\x1f', '')"] * len(_JSON),
]
_APPEND = f"""
WITH sequenced AS (
    DELETE FROM public.audit_inbox i
     USING unnest({", ".join(_ARRAYS)}) l ({", ".join((*_LINK_TYPES, *(f"{name}_said" for name in _JSON)))})
     WHERE i.ctid = l.place
    RETURNING i.*, l.*
)
INSERT INTO public.audit_record (
    id, tenant_id, seq, action, entity_type, entity_id, entity_name, changes, before, after, entity_version,
    user_id, user_name, actor_type, request_id, "timestamp", integrity_hash, prev_hash, leaf_hash
)
SELECT s.record_id, s.tenant_id, s.seq, s.action, s.entity_type, s.entity_id, s.entity_name,
       CASE s.operation WHEN 'I' THEN new WHEN 'D' THEN old
                        ELSE coalesce(s.changes_said::jsonb, CASE WHEN s.personal IS NULL THEN s.changes END) END,
       old, new, s.entity_version,
       s.user_id, s.user_name, s.actor_type, s.request_id, s."timestamp", s.integrity_hash, s.prev_hash, s.leaf_hash
  FROM sequenced s CROSS JOIN LATERAL (
    SELECT coalesce(s.before_said::jsonb, CASE WHEN s.personal IS NULL THEN s.before END) AS old,
           coalesce(s.after_said::jsonb, CASE WHEN s.personal IS NULL THEN s.after END) AS new
    -- Each is worked out once.
    OFFSET 0
  ) rows
"""  # noqa: S608 - names and types of this file

_MOVE_HEADS = """
INSERT INTO public.audit_head (tenant_id, seq, integrity_hash)
SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[])
ON CONFLICT (tenant_id) DO UPDATE SET seq = excluded.seq, integrity_hash = excluded.integrity_hash
"""


class InboxMoved(RuntimeError):
    """Rows were not where they had been read: nothing is sequenced, the transaction is undone."""


class LogStandsStill(RuntimeError):
    """What waits in the inbox cannot be sequenced, nor what comes after it; `tenant_not_sequenced` was logged."""


@dataclass
class _Head:
    seq: int
    integrity_hash: str


def sweep(*, batch: int = BATCH) -> int:
    """Sequence up to `batch` records of every tenant that has some and whose lock is free; returns how many.

    A tenant whose records cannot be sequenced is passed by, and logged as `tenant_not_sequenced`.
    """
    made = sum(_sweep_alone(tenant, batch) for tenant in _stuck.due())
    some, last = _sweep_after("", batch)
    made += some
    while last is not None:
        some, last = _sweep_after(last, batch)
        made += some
    return made


def drain(tenant: str, *, wholly: bool = False) -> int:
    """Sequence all that is committed to the tenant's inbox, waiting for whoever is at it; returns how many.

    What cannot be sequenced waits on, and is logged: who reads a log that was tampered with must get to see it.
    `wholly` raises LogStandsStill then.
    """
    made = 0
    while _is_waiting(tenant):
        with transaction.atomic(using=ALIAS, durable=True), connections[ALIAS].cursor() as cursor:
            cursor.execute(_LOCK, [tenant])
            done = _sweep_one(cursor, tenant, BATCH)
        if not done and _stuck.is_left_alone(tenant):
            if wholly:
                raise LogStandsStill(f"{tenant}: a record cannot be sequenced, and those after it wait.")
            break
        made += done
    return made


def _sweep_after(after: str, batch: int) -> tuple[int, str | None]:
    """Several tenants' in one transaction; how many records, and the last of these tenants if there may be more.

    When something is wrong with one of them, they are sequenced anew, each behind a savepoint of its own.
    """
    tenants: list[str] = []
    last = None
    try:
        with transaction.atomic(using=ALIAS), connections[ALIAS].cursor() as cursor:
            cursor.execute(_TAKE, {"after": after, "batch": batch, "bytes": BATCH_BYTES, "stuck": list(_stuck.until)})
            found = cursor.fetchall()
            tenants = [tenant for tenant, _, locked, _ in found if locked]
            if found and found[-1][1] >= batch:
                # By the order of the database, whose collation need not be Python's.
                last = found[-1][0]
            made = _sequence(cursor, tenants, batch)
    except (DatabaseError, ValueError):
        # Without any tenant it is none of their records.
        if not tenants or not connections[ALIAS].is_usable():
            raise
        return sum(_sweep_alone(tenant, batch) for tenant in tenants), last
    for tenant in tenants:
        _stuck.forget(tenant)
    return made, last


def _sweep_alone(tenant: str, batch: int) -> int:
    with transaction.atomic(using=ALIAS), connections[ALIAS].cursor() as cursor:
        cursor.execute(_TRY_LOCK, [tenant])
        return _sweep_one(cursor, tenant, batch) if cursor.fetchone()[0] else 0


def _sweep_one(cursor: CursorWrapper, tenant: str, batch: int) -> int:
    """Up to the first record that cannot be sequenced. When it stands first, it is logged and the tenant left alone."""
    while batch:
        try:
            with transaction.atomic(using=ALIAS):
                made = _sequence(cursor, [tenant], batch)
        except (DatabaseError, ValueError) as error:
            if not connections[ALIAS].is_usable():
                raise
            failed = error
            batch //= 2
        else:
            _stuck.forget(tenant)
            return made
    _stuck.note(tenant)
    cursor.execute("SELECT min(id) FROM public.audit_inbox WHERE tenant_id = %s", [tenant])
    refused = {"tenant_id": tenant, "inbox_id": cursor.fetchone()[0], "error_type": type(failed).__name__}
    if isinstance(failed, CannotOpen):
        # Names the version of the key that is missing, and nothing else.
        refused["reason"] = str(failed)
    # Without the trace: its last line may show the row.
    logger.error("tenant_not_sequenced", extra=refused)
    return 0


@dataclass
class _Stuck:
    """Tenants that could not be sequenced, and until when they are left alone: for longer and longer, in this process.

    Tried again in every sweep they would cost all others theirs, and fill the log.
    """

    until: dict[str, float] = field(default_factory=dict)
    pauses: dict[str, float] = field(default_factory=dict)

    def is_left_alone(self, tenant: str) -> bool:
        return time.monotonic() < self.until.get(tenant, 0.0)

    def due(self) -> list[str]:
        """Those to be tried again, each by itself: a tenant that still cannot shall not cost others their turn."""
        return [tenant for tenant in self.until if not self.is_left_alone(tenant)]

    def note(self, tenant: str) -> None:
        pause = self.pauses[tenant] = min(2 * self.pauses.get(tenant, FIRST_PAUSE / 2), LONGEST_PAUSE)
        self.until[tenant] = time.monotonic() + pause

    def forget(self, tenant: str) -> None:
        self.until.pop(tenant, None)
        self.pauses.pop(tenant, None)


_stuck = _Stuck()


def is_any_waiting() -> bool:
    """Whether there is a record in any tenant's inbox."""
    with connections[ALIAS].cursor() as cursor:
        # Along the key: what was sequenced and not yet vacuumed away costs less there than in the table.
        cursor.execute("SELECT id FROM public.audit_inbox ORDER BY tenant_id, id LIMIT 1")
        return cursor.fetchone() is not None


def _is_waiting(tenant: str) -> bool:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM public.audit_inbox WHERE tenant_id = %s)", [tenant])
        return bool(cursor.fetchone()[0])


def _sequence(cursor: CursorWrapper, tenants: Sequence[str], batch: int) -> int:
    """Move the tenants' waiting records to the log. Their locks are held: the heads stand still."""
    if not tenants:
        return 0
    cursor.execute(_WAITING, [list(tenants), batch, BATCH_BYTES])
    rows = cursor.fetchall()
    if not rows:
        return 0
    keys = subject_keys.for_batch(cursor, {(row[1], subject) for row in rows for subject in row[11:13] if subject})
    heads: dict[str, _Head] = {}
    links: list[tuple[Any, ...]] = []
    # Given here, not in the writer's transaction: it costs nobody there time, and the log's index grows at its end.
    for record_id, row in zip(uuid7_texts(len(rows)), rows, strict=True):
        tenant = row[1]
        if (head := heads.get(tenant)) is None:
            head = heads[tenant] = _Head(row[18] or 0, row[19] or GENESIS)
        links.append(_linked(head, row, record_id, keys))
    columns = list(zip(*links, strict=True))
    named, texts = columns[: len(_LINK_TYPES)], columns[len(_LINK_TYPES) :]
    cursor.execute(
        _APPEND, [*map(_array, named), *(_SEPARATOR.join(text or "" for text in column) for column in texts)]
    )
    if cursor.rowcount != len(links):
        raise InboxMoved(f"{len(links)} records were read from the inbox and {cursor.rowcount} found again.")
    cursor.execute(
        _MOVE_HEADS, [list(heads), [h.seq for h in heads.values()], [h.integrity_hash for h in heads.values()]]
    )
    return len(links)


def _array(values: Iterable[object]) -> str:
    """As PostgreSQL reads it, of what never holds a quote or a backslash."""
    return "{" + ",".join(["NULL" if value is None else f'"{value}"' for value in values]) + "}"


def _linked(
    head: _Head, row: tuple[Any, ...], record_id: str, keys: Mapping[subject_keys.Subject, Sealer | None]
) -> tuple[Any, ...]:
    """What the sequencer adds to one inbox row, in the order of _LINK_TYPES and _JSON; moves `head` on."""
    (place, tenant, operation, action, kind, entity_id, name, changes_text, before_text, after_text) = row[:10]
    personal, subject_before, subject_after, user_id, user_name, actor_type, request_id, timestamp = row[10:18]
    if personal is None:
        stored = contents.plain(operation, changes_text, before_text, after_text)
    else:
        stored = contents.sealed(
            before_text,
            after_text,
            kind=kind,
            columns=personal,
            subjects=(subject_before, subject_after),
            key_of=lambda subject: keys[tenant, subject],
        )
    prev_hash, head.seq = head.integrity_hash, head.seq + 1
    head.integrity_hash = integrity_hash(
        action=action,
        entity_type=kind,
        entity_id=entity_id,
        entity_name=name,
        changes=stored.changes,
        user_id=user_id,
        user_name=user_name,
        tenant_id=tenant,
        request_id=request_id,
        prev_hash=prev_hash,
    )
    leaf = leaf_hash_around(
        {
            "id": record_id,
            "seq": head.seq,
            "action": action,
            "entityType": kind,
            "entityId": entity_id,
            "entityName": name,
            "entityVersion": stored.version,
            "userId": user_id,
            "userName": user_name,
            "actorType": actor_type,
            "tenantId": tenant,
            "requestId": request_id,
            "timestamp": timestamp,
            "integrityHash": head.integrity_hash,
            "prevHash": prev_hash,
        },
        changes=stored.changes,
        before=stored.before,
        after=stored.after,
    )
    return (place, record_id, head.seq, stored.version, head.integrity_hash, prev_hash, leaf, *stored.texts)
