"""Whether everything that must bring a record still does: which tables are exempt and why, and what is amiss.

What must be there is what the migrations declare (see declared.py): each trigger with its events and arguments,
each function with its body, owner, rights and search path. Partitions must have the triggers of their parent. The
log's own tables may have no trigger beside these, and no table a rule that turns a write into something else.
Catalogues are all that is read, so every role can ask, the application's included.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, NamedTuple

from django.db import connection, transaction

from audit.capture import declared
from audit.capture.declared import Declared, Function, Trigger

# By model label.
EXEMPT: dict[str, str] = {
    "audit.AuditRecord": "is the log",
    "audit.AuditInbox": "what waits to be in the log",
    "audit.Arrival": "ids of events that are in the log, so that none is twice",
    "audit.Tile": "the log's own hashes",
    "audit.Checkpoint": "what the log committed to; its signature speaks for it",
    "audit.Publication": "that a checkpoint was published; changes nothing",
    "audit.Cosignature": "what a witness said of a checkpoint; its signature speaks for it",
    "audit.WitnessedLog": "how far we saw another installation's log; moves with each of its checkpoints",
    "audit.VerificationRun": "how far a verification came; what it found is recorded itself",
    "audit.SubjectKey": "made by the sequencer with a subject's first sealed value; destroying one records itself",
    "audit.Tombstone": "written with its record, `audit_log.prune`, by the function that removes the prefix",
    "audit.Restore": "written with its record, `audit_log.restored`; its signature speaks for it",
    "audit.Incarnation": "which database was compared; that one is older is an event of its own",
    "audit.Cursor": "how far a follower of the log is; a record of each step would be one more to follow",
    "audit.ShippingReceipt": "what a SIEM confirmed, moved with every batch; its signature speaks for it",
    "audit.Unshippable": "what a SIEM refused; shown and counted where its cursor is, and noted with it",
    "audit.AuditHead": "where the log ends; moves with every record",
    "tenancy.RefreshToken": "turns over with every session; sign-in and refused access are recorded as events",
    "tenancy.IdempotencyKey": "answers kept for a day; what the request did is recorded itself",
    "jobs.Job": "a queue; what its jobs do is recorded itself",
    "outbox.Message": "a queue; what is published is part of an action that is recorded itself",
    "outbox.Payload": "sealed contents of the queue; their erasure and purge are recorded themselves",
    "outbox.DeadLetter": "a queue; its retries, archives and purges are recorded as events",
    "outbox.ArchiveKey": "a key of an archived payload; archive and erasure are recorded themselves",
    "flows.FlowCheckpoint": "how far a step is, moved with every batch; what steps change is recorded itself",
    "cron.JobRun": "is a record of what ran; what the jobs do is recorded itself",
    "compliance.Disposition": "counts rows as they go; the deletion and the purge are recorded themselves",
    "compliance.PurgePlanItem": "lines of a plan, whose record has the digest over them; what goes is recorded itself",
    "compliance.ScanCoverage": "how far the logs were scanned, moved with every scan; a scan is a recorded run",
    "compliance.HoldEpoch": "a counter that orders holds and deletions; the hold is recorded itself",
    "django_celery_beat.PeriodicTasks": "the mark that tells beat to read its rows again",
    "admin.LogEntry": "Django's own and unused: it keeps names without a tenant",
    "auth.Permission": "Django's own and unused: roles stand in code",
    "auth.Group": "Django's own and unused: roles stand in code",
    "contenttypes.ContentType": "Django's list of models, written by migrations",
    "sessions.Session": "unused: sessions live in Redis",
}

_PATH = "SELECT set_config('search_path', %s, true)"
_CATALOGUES = """
WITH own AS (SELECT c.oid, c.relname, c.relrowsecurity, c.relforcerowsecurity, p.relname AS parent
               FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent
              WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p'))
SELECT 'table', relname, parent, NULL, NULL, relrowsecurity AND relforcerowsecurity
       OR NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = own.oid AND a.attname = 'tenant_id') FROM own
UNION ALL
SELECT 'trigger', o.relname, t.tgname, pg_get_triggerdef(t.oid), t.tgenabled::text, NULL
  FROM pg_trigger t JOIN own o ON o.oid = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'function', p.proname, p.pronargs::text, encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex'),
       pg_get_userbyid(p.proowner) || ' ' || coalesce(array_to_string(p.proconfig, '; '), ''), p.prosecdef
  FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
UNION ALL
SELECT 'rule', o.relname, r.rulename, NULL, NULL, NULL
  FROM pg_rewrite r JOIN own o ON o.oid = r.ev_class WHERE r.ev_type <> '1'
UNION ALL
SELECT 'replica', coalesce(nullif(d.setrole, 0)::regrole::text, 'every role'), NULL, NULL, NULL, NULL
  FROM pg_db_role_setting d, unnest(d.setconfig) s
 WHERE s LIKE 'session_replication_role=%' AND s NOT LIKE '%=origin'
UNION ALL
SELECT 'replica', 'this session', NULL, NULL, NULL, NULL WHERE current_setting('session_replication_role') <> 'origin'
UNION ALL
SELECT 'migration', app, name, NULL, NULL, NULL FROM public.django_migrations
"""


class Fault(NamedTuple):
    """What is amiss, and with which part of the database: names of tables, triggers and functions, nothing more."""

    part: str
    what: str

    def __str__(self) -> str:
        return f"{self.part}: {self.what}"


class _Found:
    """The catalogues' answer."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self.parents: dict[str, str | None] = {}
        self.open: list[str] = []
        self.triggers: dict[str, dict[str, tuple[str, str]]] = {}
        self.functions: dict[tuple[str, int], Function] = {}
        self.rules: list[tuple[str, str]] = []
        self.replicas: list[str] = []
        self.migrations: set[tuple[str, str]] = set()
        for kind, name, second, third, fourth, flag in rows:
            if kind == "table":
                self.parents[name] = second
                if not flag:
                    self.open.append(name)
            elif kind == "trigger":
                self.triggers.setdefault(name, {})[second] = (third, fourth)
            elif kind == "function":
                owner, _, config = fourth.partition(" ")
                path = config.removeprefix("search_path=")
                self.functions[name, int(second)] = Function(source=third, owner=owner, definer=flag, search_path=path)
            elif kind == "rule":
                self.rules.append((name, second))
            elif kind == "replica":
                self.replicas.append(name)
            else:
                self.migrations.add((name, second))


def inspect(*, strict: bool = False) -> list[Fault]:
    """Everything that is amiss, in a transaction of its own; nothing, when all is as declared.

    While a newer version of the product has migrated the database already, what it declares is unknown here, and only
    what is switched off is looked for; `strict` makes that a fault too.
    Raises django.db.OperationalError when the database cannot be reached.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        return find(cursor, strict=strict)


def find(cursor: Any, *, strict: bool = False) -> list[Fault]:
    """The same through any cursor, within its transaction."""
    cursor.execute("SELECT current_setting('search_path')")
    (path,) = cursor.fetchone()
    # So that the server prints our schema with every name, and any other that looks like it.
    cursor.execute(_PATH, ["pg_catalog, pg_temp"])
    cursor.execute(_CATALOGUES)
    found = _Found(cursor.fetchall())
    cursor.execute(_PATH, [path])
    faults = {*_switched_off(found), *_replicas(found), *_open(found)}
    if newer := found.migrations - declared.known_migrations():
        if strict:
            faults |= {Fault(".".join(name), "this code does not know the migration") for name in newer}
    else:
        must = declared.expected()
        faults |= {*_triggers(must, found), *_functions(must, found), *_strangers(must, found)}
    return sorted(faults)


def _switched_off(found: _Found) -> Iterator[Fault]:
    for table, triggers in found.triggers.items():
        for name, (_, enabled) in triggers.items():
            if enabled == "D":
                yield Fault(table, f"trigger {name} is disabled")
            elif enabled == "R":
                yield Fault(table, f"trigger {name} fires in replica sessions only")


def _replicas(found: _Found) -> Iterator[Fault]:
    for whose in found.replicas:
        yield Fault("session_replication_role", f"ordinary triggers are switched off for {whose}")


def _open(found: _Found) -> Iterator[Fault]:
    for table in found.open:
        yield Fault(table, "row-level security is not enabled and forced")


def _triggers(must: Declared, found: _Found) -> Iterator[Fault]:
    for table in must.triggers.keys() - found.parents.keys():
        yield Fault(table, "the table is missing")
    for table, parent in found.parents.items():
        for name, trigger in must.triggers.get(parent or table, {}).items():
            there = found.triggers.get(table, {}).get(name)
            if there is None:
                yield Fault(table, f"trigger {name} is missing")
            elif not _is_declared(trigger, *there):
                yield Fault(table, f"trigger {name} is not the declared one")


def _is_declared(trigger: Trigger, definition: str, enabled: str) -> bool:
    try:
        _, _, there = declared.read_trigger(definition)
    except ValueError:
        return False
    # One that fires in replica sessions without having to does no harm; the other way round it does.
    return there == replace(trigger, always=False) and not (trigger.always and enabled == "O")


def _functions(must: Declared, found: _Found) -> Iterator[Fault]:
    for key, function in must.functions.items():
        name, _ = key
        there = found.functions.get(key)
        if there is None:
            yield Fault(name, "the function is missing")
            continue
        for what in fields(Function):
            if getattr(there, what.name) != getattr(function, what.name):
                yield Fault(name, f"the function has another {what.name}")


def _strangers(must: Declared, found: _Found) -> Iterator[Fault]:
    for table, triggers in must.triggers.items():
        # On the log's own tables nothing may stand in the way of what is recorded.
        if any(trigger.function == "public.audit_refuse" for trigger in triggers.values()):
            for name in found.triggers.get(table, {}).keys() - triggers.keys():
                yield Fault(table, f"trigger {name} is not declared")
    for table, rule in found.rules:
        yield Fault(table, f"rule {rule} is not declared")
