"""What happened cannot be unsaid: every append-only table, by ORM, in bulk and by raw SQL, as every role."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import ProgrammingError, connection
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from audit import services
from audit.models import AuditRecord
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA
from tests.servers import SUITE

# Table → what a role must still be able to do to it.
APPEND_ONLY: dict[str, set[tuple[str, str]]] = {
    "audit_record": set(),
    "audit_inbox": {("sequencer", "DELETE")},
    "audit_head": {("sequencer", "UPDATE")},
    # A tile grows: tests/audit/test_checkpoints.py shows that it does nothing else.
    "audit_tile": {("sequencer", "UPDATE")},
    "audit_checkpoint": set(),
    "audit_publication": set(),
    "audit_tombstone": set(),
    "audit_cosignature": set(),
    "audit_restore": set(),
    # Whether it arrived is noted; tests/audit/shipping shows that nothing else of it changes.
    "audit_shippingreceipt": set(),
    "audit_unshippable": set(),
    "compliance_policyversion": set(),
    "dsar_certificate": set(),
}
STATEMENTS = {
    "UPDATE": "UPDATE {} SET tenant_id = tenant_id",
    "DELETE": "DELETE FROM {}",
    "TRUNCATE": "TRUNCATE {}",
}


@pytest.fixture
def history(db: str) -> str:
    """A log with some records, and some more in the inbox; gives the database's name."""
    for request_id in ("req-1", "req-2"):
        with ADA.here(request_id), transaction():
            services.record(action="test.happened", entity_type="Test", entity_id="1")
        if request_id == "req-1":
            services.drain(ACME)
    return db


def test_every_table_with_the_trigger_is_on_the_list(superuser_url: str) -> None:
    with psycopg.connect(superuser_url) as root:
        rows = root.execute(
            "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE 'append_only%'"
        ).fetchall()
    assert {name for (name,) in rows} == set(APPEND_ONLY)


@pytest.mark.parametrize("role", ["default", "owner", "sequencer", "superuser"])
def test_no_role_changes_deletes_or_empties(role: str, history: str) -> None:
    urls = {**SUITE.urls(history), "superuser": SUITE.superuser_url(history)}
    with psycopg.connect(urls[role], autocommit=True) as session:
        session.execute("SELECT set_config('app.tenant_id', %s, false)", [ACME])
        for table, allowed in APPEND_ONLY.items():
            for verb, statement in STATEMENTS.items():
                if (role, verb) in allowed or (role, verb, table) == ("superuser", "UPDATE", "audit_head"):
                    continue
                with pytest.raises(InsufficientPrivilege) as refusal:
                    session.execute(sql.SQL(statement).format(sql.Identifier(table)))
                if role == "superuser":
                    assert "append-only" in str(refusal.value), (table, verb)


def test_it_is_deaf_to_session_switches(history: str) -> None:
    """`session_replication_role` is the superuser's; nobody of ours may even ask."""
    for alias, url in SUITE.urls(history).items():
        with psycopg.connect(url, autocommit=True) as session, pytest.raises(InsufficientPrivilege):
            session.execute("SET session_replication_role = replica")
        assert alias


# Every way the ORM writes to the log.
ORM: dict[str, Callable[[AuditRecord], Any]] = {
    "update": lambda r: AuditRecord.objects.update(action="unsaid"),
    "filtered update": lambda r: AuditRecord.objects.filter(pk=r.pk).update(action="unsaid"),
    "save": lambda r: r.save(),
    "save of one field": lambda r: r.save(update_fields=["action"]),
    "save as new": lambda r: AuditRecord(tenant_id=ACME, seq=99, timestamp=r.timestamp).save(force_insert=True),
    "create": lambda r: AuditRecord.objects.create(tenant_id=ACME, seq=99, timestamp=r.timestamp),
    "bulk_create": lambda r: AuditRecord.objects.bulk_create([AuditRecord(seq=99, timestamp=r.timestamp)]),
    "bulk_update": lambda r: AuditRecord.objects.bulk_update([r], ["action"]),
    "upsert": lambda r: AuditRecord.objects.bulk_create(
        [r], update_conflicts=True, unique_fields=["id"], update_fields=["action"]
    ),
    "delete": lambda r: AuditRecord.objects.all().delete(),
    "filtered delete": lambda r: AuditRecord.objects.filter(pk=r.pk).delete(),
    "instance delete": lambda r: r.delete(),
    "raw insert": lambda r: _raw("INSERT INTO audit_record (id, tenant_id, seq) VALUES (%s, 'acme', 99)", r.pk),
    "raw update": lambda r: _raw("UPDATE audit_record SET action = 'unsaid' WHERE id = %s", r.pk),
    "raw delete": lambda r: _raw("DELETE FROM audit_record WHERE id = %s", r.pk),
    "raw inbox": lambda r: _raw("INSERT INTO audit_inbox (entity_id, tenant_id) VALUES (%s::text, 'acme')", r.pk),
    "raw head": lambda r: _raw("UPDATE audit_head SET seq = 0 WHERE %s IS NOT NULL", r.pk),
}


def _raw(statement: str, key: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, [key])


def test_the_application_writes_to_the_log_in_no_way(history: str) -> None:
    with ADA.here(), transaction():
        record = AuditRecord.objects.order_by("seq").first()
        before = list(AuditRecord.objects.order_by("seq").values())
    assert record is not None
    record.action = "unsaid"
    for way, write in ORM.items():
        with ADA.here(), pytest.raises(ProgrammingError), transaction():
            write(record)
            pytest.fail(way)
    with ADA.here(), transaction():
        assert list(AuditRecord.objects.order_by("seq").values()) == before
