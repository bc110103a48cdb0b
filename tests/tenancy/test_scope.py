"""Scopes and transactions: who and where, in Python and in PostgreSQL alike, and always put back."""

import threading
from typing import Any

import pytest
from django.db import ProgrammingError, connection
from django.db import transaction as django_transaction

from kaireon.tenancy.context import (
    PLATFORM,
    Actor,
    NoActiveTenant,
    OutsideTransaction,
    TenantSwitchInTransaction,
    across_all_tenants,
    current,
    in_transaction,
    platform_scope,
    requires_transaction,
    scope,
    tenant_id,
    transaction,
)
from kaireon.tenancy.models import ApiKey, Tenant
from tests.cast import ACME, ADA, GLOBEX, MALLORY

pytestmark = pytest.mark.usefixtures("db")

JOB = Actor.job("night")


def told() -> tuple[str, str, str, str, str]:
    """What PostgreSQL knows right now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(current_setting('app.tenant_id', true), ''),"
            " coalesce(current_setting('app.actor_id', true), ''),"
            " coalesce(current_setting('app.actor_name', true), ''),"
            " coalesce(current_setting('app.actor_type', true), ''),"
            " coalesce(current_setting('app.request_id', true), '')"
        )
        row: tuple[str, str, str, str, str] = cursor.fetchone()
    return row


def test_it_tells_postgresql_tenant_actor_and_request() -> None:
    with ADA.here("req-7"), transaction():
        assert told() == (ACME, ADA.actor.id, "Ada", "user", "req-7")
    assert told() == ("", "", "", "", "")


def test_it_forgets_after_a_rollback() -> None:
    with pytest.raises(RuntimeError), ADA.here(), transaction():
        raise RuntimeError
    assert told() == ("", "", "", "", "")
    assert not in_transaction()
    with pytest.raises(NoActiveTenant):
        current()


def test_it_restores_the_outer_actor_after_a_nested_scope() -> None:
    with ADA.here("outer"), transaction():
        with scope(tenant_id=ACME, actor=JOB, request_id="inner"):
            assert told() == (ACME, "job:night", "night", "job", "inner")
            assert current().actor == JOB
        assert told() == (ACME, ADA.actor.id, "Ada", "user", "outer")
        assert current().actor == ADA.actor


def test_it_restores_the_outer_actor_after_an_error_inside_a_nested_scope() -> None:
    with ADA.here("outer"), transaction():
        with pytest.raises(ProgrammingError), scope(tenant_id=ACME, actor=JOB), connection.cursor() as cursor:
            cursor.execute("SELECT no_such_column")
        assert told() == (ACME, ADA.actor.id, "Ada", "user", "outer")
        # The savepoint took the broken statement back, so the outer transaction lives on.
        assert ApiKey.objects.count() == 4


def test_it_undoes_a_nested_scope_that_failed_and_nothing_else() -> None:
    with ADA.here(), transaction():
        ApiKey.objects.filter(prefix="vi").update(name="kept")
        with pytest.raises(RuntimeError), scope(tenant_id=ACME, actor=JOB):
            ApiKey.objects.filter(prefix="ed").update(name="undone")
            raise RuntimeError
    with ADA.here(), transaction():
        assert set(ApiKey.objects.values_list("name", flat=True)) == {"ada", "aud", "ed", "kept"}


def test_it_nests_transactions_as_savepoints() -> None:
    with ADA.here(), transaction():
        ApiKey.objects.filter(prefix="vi").update(name="kept")
        with pytest.raises(RuntimeError), transaction():
            ApiKey.objects.filter(prefix="vi").update(name="undone")
            raise RuntimeError
        assert ApiKey.objects.get(prefix="vi").name == "kept"
        assert told()[0] == ACME


def test_it_survives_a_savepoint_that_was_marked_for_rollback() -> None:
    with ADA.here("outer"), transaction():
        with scope(tenant_id=ACME, actor=JOB):
            ApiKey.objects.filter(prefix="vi").update(name="undone")
            django_transaction.set_rollback(True)
        assert told() == (ACME, ADA.actor.id, "Ada", "user", "outer")
        assert ApiKey.objects.get(prefix="vi").name == "vi"


def test_it_refuses_another_tenant_inside_an_open_transaction() -> None:
    with ADA.here(), transaction():
        for other in (MALLORY.here, lambda: platform_scope(actor=JOB)):
            with pytest.raises(TenantSwitchInTransaction), other():
                pytest.fail("must not be entered")
        assert told()[0] == ACME
        assert tenant_id() == ACME


def test_it_changes_tenant_between_transactions() -> None:
    with ADA.here():
        with transaction():
            assert ApiKey.objects.count() == 4
        with scope(tenant_id=GLOBEX, actor=JOB), transaction():
            assert ApiKey.objects.count() == 1
        with transaction():
            assert ApiKey.objects.count() == 4


def test_it_leaves_nothing_behind_in_a_transaction_of_somebody_else() -> None:
    """Settings outlive the release of a savepoint: what follows in a plain atomic block must not be Acme's."""
    with django_transaction.atomic():
        with ADA.here(), transaction():
            assert told()[0] == ACME
        assert told() == ("", "", "", "", "")
        with MALLORY.here(), transaction():
            assert [key.prefix for key in ApiKey.objects.all()] == ["mallory"]


def test_it_has_no_tenant_data_on_the_platform() -> None:
    with platform_scope(actor=JOB), transaction():
        assert current().tenant_id == PLATFORM
        with pytest.raises(NoActiveTenant):
            tenant_id()
        with pytest.raises(NoActiveTenant):
            ApiKey.objects.all()
        assert Tenant.objects.count() == 0


def test_it_refuses_a_service_outside_a_transaction() -> None:
    @requires_transaction
    def service() -> str:
        return "done"

    with pytest.raises(OutsideTransaction, match="service"):
        service()
    with ADA.here(), pytest.raises(OutsideTransaction):
        service()
    with django_transaction.atomic(), pytest.raises(OutsideTransaction):
        service()
    with ADA.here(), transaction():
        assert service() == "done"


def test_it_needs_a_scope_for_a_transaction() -> None:
    with pytest.raises(NoActiveTenant), transaction():
        pytest.fail("must not be entered")


def test_it_refuses_a_durable_transaction_inside_another() -> None:
    with ADA.here(), transaction(), pytest.raises(RuntimeError), transaction(durable=True):
        pytest.fail("must not be entered")


def test_it_keeps_threads_apart() -> None:
    seen: list[Any] = []

    def look() -> None:
        try:
            seen.append(current())
        except NoActiveTenant as error:
            seen.append(error)
        connection.close()

    with ADA.here(), transaction():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert isinstance(seen[0], NoActiveTenant)


class TestAcrossAllTenants:
    def test_it_opens_one_tenant_after_the_other(self) -> None:
        counts = {}
        for tenant in across_all_tenants(reason="a test", actor=JOB):
            with transaction():
                counts[tenant] = ApiKey.objects.count()
        assert counts == {ACME: 4, GLOBEX: 1}
        with pytest.raises(NoActiveTenant):
            current()

    def test_it_leaves_out_tenants_that_are_not_active(self) -> None:
        with MALLORY.here(), transaction():
            Tenant.objects.update(is_active=False)
        assert list(across_all_tenants(reason="a test", actor=JOB)) == [ACME]

    def test_it_closes_the_scope_when_the_loop_ends_early(self) -> None:
        for _ in across_all_tenants(reason="a test", actor=JOB):
            break
        with pytest.raises(NoActiveTenant):
            current()

    def test_it_closes_the_scope_when_the_loop_fails(self) -> None:
        with pytest.raises(RuntimeError):
            for _ in across_all_tenants(reason="a test", actor=JOB):
                raise RuntimeError
        with pytest.raises(NoActiveTenant):
            current()

    def test_it_gives_back_the_scope_it_was_called_in(self) -> None:
        with ADA.here():
            list(across_all_tenants(reason="a test", actor=JOB))
            assert current().actor == ADA.actor

    def test_it_does_not_start_inside_a_tenants_transaction(self) -> None:
        with ADA.here(), transaction(), pytest.raises(TenantSwitchInTransaction):
            list(across_all_tenants(reason="a test", actor=JOB))

    def test_it_is_recorded_with_its_reason(self) -> None:
        from audit import services
        from audit.models import AuditInbox  # noqa: F401  the record passes through it

        list(across_all_tenants(reason="the yearly count", actor=JOB, request_id="req-count"))
        services.drain(PLATFORM)
        with platform_scope(actor=JOB), transaction(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT action, changes ->> 'reason', user_id FROM audit_record WHERE request_id = 'req-count'"
            )
            assert cursor.fetchall() == [("tenancy.cross", "the yearly count", "job:night")]
