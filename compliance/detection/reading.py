"""What the rules ask of the log and of the tenant's members, as records they understand."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Max

from audit.models import AuditRecord
from compliance.detection import facts, rules
from compliance.detection.facts import LOGIN_FAILED, Record
from compliance.detection.intervals import Span, among, merged
from compliance.detection.rules import Stint
from compliance.models import PolicyVersion
from kaireon.flows.models import Pipeline
from kaireon.tenancy.context import PLATFORM, Actor, platform_scope, requires_transaction, tenant_id, transaction
from kaireon.tenancy.models import ApiKey, Membership

# What must be known around a moment to judge it: what was counted before, and what a first workflow was followed by.
BEFORE = rules.LONGEST_WINDOW
AFTER = rules.YOUNG + rules.LOOK_BACK
# A key may have been made with a key, which was made with a key. Longer chains than this are nobody's.
_LONGEST_CHAIN = 16

# Rows of these are facts when they are made, of the others whenever they change.
_MADE = ("FlowRun", "DsarRequest", "ApiKey", "AuditExport", "PolicyVersion")
_CHANGED = ("LegalHold", "RetentionPolicy", "Membership")
_VERBS = sorted(facts.VIEWS | facts.EXPORTS | facts.PURGES | {facts.REFUSED})

_RELEVANT = "((entity_type = ANY(%(made)s) AND before IS NULL AND after IS NOT NULL)" + (
    " OR entity_type = ANY(%(changed)s) OR action = ANY(%(verbs)s))"
)
_COLUMNS = """
SELECT id::text, seq, "timestamp", action, entity_type, coalesce(user_id, ''), actor_type, coalesce(request_id, ''),
       before IS NULL AND after IS NOT NULL, before IS NOT NULL AND after IS NULL,
       jsonb_strip_nulls(jsonb_build_object(
           'requestType', after ->> 'request_type', 'trigger', after ->> 'trigger',
           'pipelineId', after ->> 'pipeline_id', 'role', after ->> 'role', 'roleBefore', before ->> 'role',
           'kind', coalesce(after, before) ->> 'kind', 'state', after ->> 'state', 'stateBefore', before ->> 'state',
           'held', after -> 'legal_hold', 'heldBefore', before -> 'legal_hold',
           'days', after -> 'retention_days', 'daysBefore', before -> 'retention_days',
           'replaces', after ->> 'replaces_id', 'dataClass', coalesce(after, before) ->> 'data_class',
           'total', changes -> 'total', 'source', changes ->> 'source', 'account', entity_id))::text
  FROM public.audit_record
"""
_WITHIN = f"""
{_COLUMNS} WHERE tenant_id = %(tenant)s AND "timestamp" >= %(begins)s AND "timestamp" < %(ends)s AND {_RELEVANT}
 ORDER BY "timestamp", seq
"""
# What is in a span that is scanned anyway is not late.
_BESIDE = """
   AND NOT EXISTS (SELECT FROM unnest(%(from)s::timestamptz[], %(to)s::timestamptz[]) planned (begins, ends)
                    WHERE "timestamp" >= planned.begins AND "timestamp" < planned.ends)
"""
_LATE = f"""
SELECT "timestamp" FROM public.audit_record
 WHERE tenant_id = %(tenant)s AND seq > %(after)s AND "timestamp" < %(ends)s AND {_RELEVANT} {_BESIDE}
"""  # noqa: S608 - names of this file
_NTH = f"""
SELECT "timestamp" FROM public.audit_record
 WHERE tenant_id = %(tenant)s AND "timestamp" >= %(begins)s AND "timestamp" < %(ends)s AND {_RELEVANT}
 ORDER BY "timestamp" OFFSET %(nth)s LIMIT 1
"""  # noqa: S608 - names of this file
_NEXT = f"""
SELECT min("timestamp") FROM public.audit_record
 WHERE tenant_id = %(tenant)s AND "timestamp" > %(begins)s AND "timestamp" < %(ends)s AND {_RELEVANT}
"""  # noqa: S608 - names of this file
_LOGINS = f"""
{_COLUMNS} WHERE tenant_id = %(tenant)s AND action = %(verb)s AND "timestamp" >= %(begins)s AND "timestamp" < %(ends)s
   AND entity_id = ANY(%(accounts)s)
 ORDER BY "timestamp", seq
"""
_LATE_LOGINS = f"""
SELECT "timestamp" FROM public.audit_record
 WHERE tenant_id = %(tenant)s AND action = %(verb)s AND seq > %(after)s AND "timestamp" < %(ends)s
   AND entity_id = ANY(%(accounts)s) {_BESIDE}
"""  # noqa: S608 - names of this file


@requires_transaction
def head() -> int:
    """How far the active tenant's log goes."""
    return AuditRecord.objects.aggregate(last=Max("seq"))["last"] or 0


@requires_transaction
def members() -> dict[str, Stint]:
    """Since when each of the tenant's present members is one, by the user's id."""
    rows = Membership.objects.values_list("user_id", "joined_at")
    return {str(user): Stint(joined=joined) for user, joined in rows}


@requires_transaction
def stints(of: Collection[str], present: dict[str, Stint]) -> dict[str, list[Stint]]:
    """All memberships of these people, those that are over too, which only the log knows."""
    found: dict[str, list[Stint]] = {user: [present[user]] if user in present else [] for user in of}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT before ->> 'user_id', (before ->> 'joined_at')::timestamptz, \"timestamp\""
            "  FROM public.audit_record WHERE tenant_id = %s AND entity_type = 'Membership'"
            "   AND before IS NOT NULL AND after IS NULL AND before ->> 'user_id' = ANY(%s)",
            [tenant_id(), list(of)],
        )
        for user, joined, left in cursor.fetchall():
            if joined is not None:
                found[user].append(Stint(joined=joined, left=left))
    return found


@requires_transaction
def behind(actors: Iterable[str]) -> dict[str, str]:
    """The person behind each actor's id: a user by themselves, a key by who made it, "" when nobody knows."""
    makers = {str(pk): maker for pk, maker in ApiKey.objects.values_list("pk", "created_by")}
    found = {}
    for actor in actors:
        here = actor
        for _ in range(_LONGEST_CHAIN):
            if here not in makers:
                found[actor] = here
                break
            here = makers[here]
    return found


@requires_transaction
def end_of_slice(tenant: str, span: Span, most: int) -> datetime:
    """Where a span is to be cut so that not more than `most` records fall into its first part, or those of one moment.

    A moment is never cut: what happened in it is judged together.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NTH, {**_asked(tenant, span), "nth": most})
        row = cursor.fetchone()
        if row and row[0] == span.begins:
            cursor.execute(_NEXT, _asked(tenant, span))
            row = cursor.fetchone()
    return row[0] if row and row[0] else span.ends


@requires_transaction
def late(tenant: str, *, after: int | None, ends: datetime, planned: Sequence[Span]) -> list[Span]:
    """The moments of records that came after a seq was read and are in none of the spans that are planned; none when
    nothing was read before."""
    if after is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_LATE, {**_asked(tenant, Span(ends, ends)), "after": after, **_beside(planned)})
        return [_moment(at) for (at,) in cursor.fetchall()]


@requires_transaction
def around(tenant: str, spans: Sequence[Span]) -> list[Record]:
    """All that must be known to judge what happened in the spans; what did is `scanned`."""
    rows: dict[str, Record] = {}
    is_scanned = among(spans)
    for wide in merged(Span(s.begins - BEFORE, s.ends + AFTER) for s in spans):
        with connection.cursor() as cursor:
            cursor.execute(_WITHIN, _asked(tenant, wide))
            for row in cursor.fetchall():
                record = _record(row, is_scanned)
                rows[record.id] = record
    return _with_people(list(rows.values()))


def logins(accounts: Collection[str], spans: Sequence[Span], *, actor: Actor) -> list[Record]:
    """Failed sign-ins of these people, from the platform's log, around the spans. Opens a transaction of its own."""
    found: dict[str, Record] = {}
    if not accounts:
        return []
    is_scanned = among(spans)
    with platform_scope(actor=actor), transaction(), connection.cursor() as cursor:
        for wide in merged(Span(s.begins - BEFORE, s.ends) for s in spans):
            cursor.execute(_LOGINS, {**_logins_asked(accounts), "begins": wide.begins, "ends": wide.ends})
            for row in cursor.fetchall():
                record = _record(row, is_scanned)
                found[record.id] = replace(record, member=str(record.facts.get("account", "")), actor_id="")
    return list(found.values())


def late_logins(
    accounts: Collection[str], *, after: int | None, ends: datetime, planned: Sequence[Span], actor: Actor
) -> tuple[list[Span], int]:
    """The same moments of the platform's log, and how far it goes. Opens a transaction of its own."""
    with platform_scope(actor=actor), transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(seq), 0) FROM public.audit_record WHERE tenant_id = %s", [PLATFORM])
        (last,) = cursor.fetchone()
        if not accounts or after is None:
            return [], last
        cursor.execute(_LATE_LOGINS, {**_logins_asked(accounts), "after": after, "ends": ends, **_beside(planned)})
        return [_moment(at) for (at,) in cursor.fetchall()], last


def _logins_asked(accounts: Collection[str]) -> dict[str, Any]:
    return {"tenant": PLATFORM, "verb": LOGIN_FAILED, "accounts": list(accounts)}


def _asked(tenant: str, span: Span) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "begins": span.begins,
        "ends": span.ends,
        "made": list(_MADE),
        "changed": list(_CHANGED),
        "verbs": _VERBS,
    }


def _beside(planned: Sequence[Span]) -> dict[str, Any]:
    return {"from": [span.begins for span in planned], "to": [span.ends for span in planned]}


def _moment(at: datetime) -> Span:
    return Span(at, at + timedelta(microseconds=1))


def _record(row: tuple[Any, ...], is_scanned: Callable[[datetime], bool]) -> Record:
    record_id, seq, at, action, entity_type, user_id, actor_type, request_id, created, removed, said = row
    return Record(
        id=record_id,
        seq=seq,
        at=at,
        action=action,
        entity_type=entity_type,
        actor_id=user_id,
        actor_type=actor_type,
        request_id=request_id,
        created=created,
        removed=removed,
        facts=json.loads(said),
        scanned=is_scanned(at),
    )


def _with_people(records: list[Record]) -> list[Record]:
    """Who is behind each: of a run that nobody started by hand, whoever changed its pipeline last."""
    owners = _owners(r.facts.get("pipelineId") for r in records if r.actor_type not in facts.PEOPLE)
    before = _days_before(r.facts.get("replaces") for r in records if r.entity_type == "PolicyVersion")

    def actor(record: Record) -> str:
        if record.actor_type in facts.PEOPLE:
            return record.actor_id
        return owners.get(str(record.facts.get("pipelineId")), "")

    actors = {record.id: actor(record) for record in records}
    people = behind({a for a in actors.values() if a})
    found = []
    for record in records:
        said = record.facts
        if (days := before.get(str(said.get("replaces")))) is not None:
            said = {**said, "daysBefore": days}
        found.append(replace(record, member=people.get(actors[record.id], ""), facts=said))
    return found


def _owners(pipelines: Iterable[Any]) -> dict[str, str]:
    wanted = {str(p) for p in pipelines if p}
    rows = Pipeline.objects.filter(pk__in=wanted).values_list("pk", "updated_by") if wanted else ()
    return {str(pk): by for pk, by in rows if by}


def _days_before(versions: Iterable[Any]) -> dict[str, int]:
    wanted = {str(v) for v in versions if v}
    rows = PolicyVersion.objects.filter(pk__in=wanted).values_list("pk", "retention_days") if wanted else ()
    return {str(pk): days for pk, days in rows}
