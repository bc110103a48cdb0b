"""A world for reports: what happened at Acme in 2025, by Auckland's clocks, and more of the same at Globex.

Every number that the tests expect can be counted here by hand. Each fact stands once within the year; some stand at
its first moment, which counts, and at the first after it, which does not.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import psycopg

from audit.models import VerificationRun
from compliance.models import (
    Disposition,
    Hold,
    HoldState,
    Kind,
    Matter,
    PolicyVersion,
    PurgePlan,
    RetentionPolicy,
    SecuritySignal,
)
from compliance.reporting.document import Period
from kaireon.approvals.models import ApprovalRequest, ApprovalVote
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Tenant
from tests.cast import ACME, ADA, GLOBEX, MALLORY, Person
from tests.dsar import test_report as requests
from tests.servers import SUITE

ZONE = ZoneInfo("Pacific/Auckland")
FIRST = datetime(2025, 1, 1, tzinfo=ZONE)
AFTER = datetime(2026, 1, 1, tzinfo=ZONE)
YEAR = Period(start=clock.in_utc(FIRST), end=clock.in_utc(AFTER))
NOW = requests.NOW
# Positions of what is planted in the logs: behind all that making the world records.
SEQ = 1_000_000

# Verb, what it is about, when, and who: `+` a row came, `-` it went, `~` it changed.
LOG = (
    ("personal.view", "Customer", "2025-01-01T00:00", "Ada"),
    ("personal.view", "Customer", "2025-02-10T09:00", "Ada"),
    ("personal.view", "Customer", "2025-02-11T09:00", "Aud"),
    ("personal.view", "Customer", "2026-01-01T00:00", "Ada"),
    ("audit_log.reveal", "AuditRecord", "2025-03-01T09:00", "Ada"),
    ("audit_log.export", "AuditLog", "2025-06-05T09:00", "Aud"),
    ("dsar.export.downloaded", "DsarRequest", "2025-06-06T09:00", "Ada"),
    ("dsar.export.downloaded", "DsarRequest", "2025-06-30T23:59", "Ada"),
    ("access.refused", "Permission", "2025-07-01T00:00", "Vi"),
    ("auth.login", "User", "2025-07-02T09:00", "Ada"),
    ("auth.login", "User", "2025-08-02T09:00", "Ada"),
    ("auth.login", "User", "2025-09-02T09:00", "Vi"),
    ("create", "+ApiKey", "2025-04-01T09:00", "Ada"),
    ("update", "~ApiKey", "2025-05-01T09:00", "Ada"),
    ("delete", "-ApiKey", "2025-06-01T09:00", "Ada"),
    ("member.add", "+Membership", "2025-04-02T09:00", "Ada"),
    ("update", "~Membership", "2025-04-03T09:00", "Ada"),
    ("legal_hold.refused", "LegalHold", "2025-10-01T09:00", "Ada"),
    ("security.signal.acknowledged", "~SecuritySignal", "2025-10-02T09:00", "Ada"),
    ("alert.firing", "+AlertChange", "2025-10-03T09:00", "alerts"),
    ("retention.purge", "Retention", "2025-11-03T09:00", "cleanup"),
)
DISPOSED = (
    # When the purge ended, class, entity, method, rows.
    ("2025-01-01T00:00", "interactions", "interactionHistory", "deleted", 7),
    ("2025-04-01T00:30", "interactions", "interactionHistory", "dropped", 100),
    ("2025-11-03T09:00", "profiles", "customer", "shredded", 50),
    ("2026-01-01T00:00", "interactions", "interactionHistory", "deleted", 1_000),
    ("2024-12-31T23:59", "interactions", "interactionHistory", "deleted", 10_000),
)
# When placed, when released.
HOLDS = (
    ("2024-06-01T09:00", None),
    ("2025-03-01T09:00", None),
    ("2025-03-02T09:00", "2025-09-01T09:00"),
    ("2025-12-31T23:59", "2026-01-01T00:00"),
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def plant(database: str) -> None:
    """Fills the database of this name."""
    with clock.freeze(NOW):
        with ADA.here(), transaction():
            Tenant.objects.filter(pk=ACME).update(time_zone=ZONE.key)
            requests.fill()
        for who, times in ((ADA, 1), (MALLORY, 3)):
            with who.here(), transaction():
                _rows(who, times)
    with psycopg.connect(SUITE.superuser_url(database)) as server:
        # Neither captured nor chained: what a report counts, and nothing else.
        server.execute("SET session_replication_role = replica")
        for tenant, times in ((ACME, 1), (GLOBEX, 3)):
            _log(server, tenant, times)
        _sign_ins(server)


def _rows(who: Person, times: int) -> None:
    matter = Matter.objects.create(name="Case 7", reason="order", opened_by=who.actor.id, opened_at=at(HOLDS[0][0]))
    Matter.objects.filter(pk=matter.pk).update(review_on=at("2026-01-31T00:00").date())
    for placed, released in HOLDS * times:
        Hold.objects.create(
            matter=matter,
            kind=Kind.MATTER,
            placed_by=who.actor.id,
            placed_at=at(placed),
            state=HoldState.RELEASED if released else HoldState.ACTIVE,
            released_at=at(released) if released else None,
        )
    Hold.objects.create(
        kind=Kind.REQUEST, request_ref=uuid4(), placed_by=who.actor.id, placed_at=at("2025-03-03T09:00")
    )
    for when, data_class, entity, method, rows in DISPOSED * times:
        Disposition.objects.create(
            run=uuid4(),
            data_class=data_class,
            entity=entity,
            method=method,
            rows=rows,
            clock="occurred_at",
            clock_from=at("2020-01-01T00:00"),
            clock_until=at("2021-01-01T00:00"),
            first_at=at(when) - timedelta(hours=1),
            last_at=at(when),
        )
    policy = RetentionPolicy.objects.create(
        data_class="interactions", retention_days=30, created_at=NOW, updated_at=NOW, version=2
    )
    first = _decided(policy, 1, 365, at("2024-05-01T09:00"), None)
    _decided(policy, 2, 30, at("2025-05-01T09:00"), first)
    for state, seconds in (("approved", 1), ("approved", 2), ("rejected", 3)):
        _asked(who, state, at("2025-08-01T09:00") + timedelta(seconds=seconds))
    _asked(who, "approved", AFTER)
    for number, when in enumerate((at("2025-10-01T09:00"), at("2025-10-02T09:00"), AFTER)):
        SecuritySignal.objects.create(
            kind="mass_erasure",
            severity="page" if number == 0 else "routine",
            record_id=uuid4(),
            occurred_at=when,
            raised_at=when,
            fingerprint=uuid4().hex,
            **({"state": "acknowledged", "acknowledged_at": when + timedelta(hours=3)} if number == 0 else {}),
        )
    for when, state in ((FIRST, "intact"), (at("2025-07-01T09:00"), "broken"), (AFTER, "intact")):
        VerificationRun.objects.create(
            kind="full",
            state=state,
            asked_by="Ada",
            started_at=when,
            updated_at=when,
            finished_at=when,
            scanned=40,
            broken_at_seq=17 if state == "broken" else None,
            broken_reason="hash_mismatch" if state == "broken" else None,
        )
    PurgePlan.objects.create(
        swept_by="cleanup", as_of=at("2025-11-02T09:00"), epoch=1, digest="x", rows=57, state="applied"
    )


def _decided(
    policy: RetentionPolicy, number: int, days: int, when: datetime, before: PolicyVersion | None
) -> PolicyVersion:
    return PolicyVersion.objects.create(
        policy=policy,
        data_class=policy.data_class,
        number=number,
        replaces=before,
        retention_days=days,
        approval_id=uuid4() if before else None,
        created_at=when,
        effective_from=when,
    )


def _asked(who: Person, state: str, when: datetime) -> None:
    row = ApprovalRequest.objects.create(
        verb="test.do",
        summary="a test",
        digest="x",
        stages=[],
        requested_by=who.actor.id,
        requested_by_name="Ada",
        requested_by_type="user",
        requested_at=when,
        deadline=when + timedelta(days=1),
    )
    answer = "approve" if state == "approved" else "reject"
    ApprovalVote.objects.create(
        request=row, stage=0, answer=answer, member_id=str(uuid4()), member_name="Bea", digest="x", given_at=when
    )
    ApprovalRequest.objects.filter(pk=row.pk).update(state=state, decided_at=when)


def _log(server: psycopg.Connection[Any], tenant: str, times: int) -> None:
    for place, (action, entity, when, who) in enumerate(LOG * times):
        kind, name = (entity[0], entity[1:]) if entity[0] in "+-~" else ("", entity)
        server.execute(
            'INSERT INTO audit_record (id, tenant_id, seq, action, entity_type, entity_id, "before", "after", user_id,'
            ' user_name, actor_type, "timestamp", integrity_hash, prev_hash, leaf_hash)'
            " VALUES (%s, %s, %s, %s, %s, 'x', %s, %s, %s, %s, %s, %s, '', '', '')",
            [
                *(uuid4(), tenant, SEQ + place, action, name),
                "{}" if kind in ("-", "~") and kind else None,
                "{}" if kind in ("+", "~") and kind else None,
                *(who.lower(), who, "job" if who in ("alerts", "cleanup") else "user", at(when)),
            ],
        )


def _sign_ins(server: psycopg.Connection[Any]) -> None:
    """Two failed for Ada, one at the first moment and one at the first after; five for Mallory; one for nobody."""
    people = [(ADA, FIRST), (ADA, AFTER), (ADA, at("2025-02-01T09:00")), *[(MALLORY, at("2025-02-02T09:00"))] * 5]
    users = [(str(who.user.pk), when) for who, when in people] + [("unknown", at("2025-02-03T09:00"))]
    for place, (user, when) in enumerate(users):
        server.execute(
            "INSERT INTO audit_record (id, tenant_id, seq, action, entity_type, entity_id, user_name, actor_type,"
            ' "timestamp", integrity_hash, prev_hash, leaf_hash)'
            " VALUES (%s, '_platform', %s, 'auth.login_failed', 'User', %s, 'system', 'system', %s, '', '', '')",
            [uuid4(), SEQ + place, user, when],
        )
