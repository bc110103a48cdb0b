"""What asks nothing rides along with the next statement: PostgreSQL knows the same, and hears of it in fewer trips."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection

import audit
from audit.models import AuditRecord
from audit.services import drain
from kaireon.lib import clock
from kaireon.tenancy.context import in_transaction, tenant_id, transaction
from kaireon.tenancy.models import ApiKey, IdempotencyKey
from kaireon.tenancy.trips import fewer_trips, say
from tests.cast import ADA, GLOBEX, MALLORY

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def sent() -> Iterator[list[str]]:
    """The statements that went to the server, in fewer trips."""
    seen: list[str] = []

    def note(execute: Any, sql: str, *given: Any) -> Any:
        seen.append(sql)
        return execute(sql, *given)

    with ADA.here(), fewer_trips(), connection.execute_wrapper(note):
        yield seen


def wait_little() -> None:
    say(connection, "SET LOCAL lock_timeout = '7s'")


def setting(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting(%s, true)", [name])
        return str(cursor.fetchone()[0])


def remembered(key: str) -> IdempotencyKey:
    row = IdempotencyKey(principal="100 %", key=key, fingerprint="f", answer=b"%s")
    row.locked_until = row.expires_at = clock.now() + timedelta(days=1)
    return row


def test_the_first_statement_takes_along_who_acts_and_answers_for_itself(sent: list[str]) -> None:
    with transaction():
        wait_little()
        row = remembered("one")
        row.save(force_insert=True)
        assert len(sent) == 1
        [found] = IdempotencyKey.objects.filter(principal="100 %")
        assert (found.pk, bytes(found.answer or b"")) == (row.pk, b"%s")
        assert (setting("app.tenant_id"), setting("lock_timeout")) == (tenant_id(), "7s")
    with transaction():
        assert IdempotencyKey.objects.filter(key="one").update(fingerprint="g") == 1
        assert setting("lock_timeout") == "0"


def test_a_verb_rides_with_its_change(sent: list[str]) -> None:
    with transaction():
        key = ApiKey(name="100 %s", prefix="abc", secret_hash="x")
        audit.action("api_key.invented", entity=key)
        key.save(force_insert=True)
    drain(tenant_id())
    with transaction():
        assert AuditRecord.objects.filter(action="api_key.invented", entity_id=str(key.pk)).count() == 1


def test_nothing_is_left_for_another_transaction(sent: list[str]) -> None:
    with transaction():
        pass
    with pytest.raises(ZeroDivisionError), transaction():
        wait_little()
        raise ZeroDivisionError
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert sent == ["SELECT 1"]
    assert not in_transaction()


def test_a_savepoint_that_is_taken_back_takes_back_what_waited_in_it(sent: list[str]) -> None:
    with transaction():
        with pytest.raises(DatabaseError), transaction(), connection.cursor() as cursor:
            wait_little()
            cursor.execute("SELECT 1 / 0")
        assert setting("lock_timeout") == "0"
        with pytest.raises(ZeroDivisionError), transaction():
            wait_little()
            raise ZeroDivisionError
        assert setting("lock_timeout") == "0"
        with pytest.raises(DatabaseError), transaction(), connection.cursor() as cursor:
            try:
                cursor.execute("SELECT 1 / 0")
            finally:
                wait_little()
        assert (setting("lock_timeout"), setting("app.tenant_id")) == ("0", tenant_id())


def test_they_go_ahead_of_what_cannot_take_them(sent: list[str]) -> None:
    with transaction():
        remembered("one").save(force_insert=True)
    with transaction():
        assert [row.key for row in IdempotencyKey.objects.iterator()] == ["one"]
    with transaction(), connection.cursor() as cursor:
        cursor.executemany("UPDATE tenancy_idempotencykey SET fingerprint = %s", [["a"], ["b"]])
        assert setting("app.tenant_id") == tenant_id()


def test_each_tenant_is_told_of_its_own(sent: list[str]) -> None:
    with transaction():
        remembered("one").save(force_insert=True)
    with MALLORY.here(), transaction():
        assert (tenant_id(), IdempotencyKey.objects.count()) == (GLOBEX, 0)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM tenancy_idempotencykey")
            assert cursor.fetchone() == (0,)


def test_without_it_each_takes_a_trip_of_its_own() -> None:
    with ADA.here(), fewer_trips(), fewer_trips():
        pass
    with ADA.here(), transaction():
        wait_little()
        assert setting("lock_timeout") == "7s"
