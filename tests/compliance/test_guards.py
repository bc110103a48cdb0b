"""What is held stays, whoever asks and however they ask."""

import threading
import time

import psycopg
import pytest

from customers.catalogue import CATALOGUE, DATA_CLASSES, DERIVED, Erasure
from customers.models import Customer, DynamicRow, DynamicSchema, Interaction
from kaireon.tenancy.context import transaction
from tests.compliance.rows import (
    ADA,
    GLOBEX,
    MALLORY,
    NOW,
    connect,
    count,
    customer,
    days_ago,
    interactions,
    policy,
    refused,
    traces,
)


def test_it_refuses_to_delete_held_rows_by_raw_sql(role_url):
    interactions(customer(), 1, 40)
    policy("interactions", 365, hold=True)
    with connect(role_url) as connection:
        refused(connection, "DELETE FROM customers_interaction")
    assert count(Interaction) == 2


def test_it_refuses_to_delete_held_rows_through_a_partition(role_url):
    interactions(customer(), 1)
    policy("interactions", 365, hold=True)
    with connect(role_url) as connection:
        refused(connection, f"DELETE FROM customers_interaction_{days_ago(1):%Y_%m}")


def test_it_refuses_to_delete_held_rows_through_a_partition_made_later(role_url):
    policy("interactions", 365, hold=True)
    interactions(customer(), 400)
    with connect(role_url) as connection:
        refused(connection, f"DELETE FROM customers_interaction_{days_ago(400):%Y_%m}")


def test_it_lets_other_classes_go(role_url):
    who = customer()
    interactions(who, 1)
    traces(who, 1)
    policy("interactions", 365, hold=True)
    with connect(role_url) as connection:
        assert connection.execute("DELETE FROM customers_decisiontrace").rowcount == 1


def test_it_lets_rows_go_once_the_hold_is_released(role_url):
    interactions(customer(), 1)
    policy("interactions", 365, hold=True)
    policy("interactions", 365, hold=False)
    with connect(role_url) as connection:
        assert connection.execute("DELETE FROM customers_interaction").rowcount == 1


def test_a_hold_of_another_tenant_does_not_count(role_url):
    interactions(customer(), 1)
    policy("interactions", 365, hold=True, who=MALLORY)
    with connect(role_url) as connection:
        assert connection.execute("DELETE FROM customers_interaction").rowcount == 1


def test_it_refuses_merge_and_writable_queries_too(app_url):
    interactions(customer(), 1)
    policy("interactions", 365, hold=True)
    with connect(app_url) as connection:
        refused(
            connection,
            "MERGE INTO customers_interaction t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
        )
    with connect(app_url) as connection:
        refused(connection, "WITH gone AS (DELETE FROM customers_interaction RETURNING id) SELECT count(*) FROM gone")


def test_the_owner_cannot_reach_held_rows_by_lifting_row_security(owner_url):
    interactions(customer(), 1)
    policy("interactions", 365, hold=True)
    with connect(owner_url, tenant=GLOBEX) as connection:
        connection.execute("ALTER TABLE customers_interaction NO FORCE ROW LEVEL SECURITY")
        refused(connection, "DELETE FROM customers_interaction")


def test_a_superuser_is_stopped_by_any_tenants_hold(superuser_url):
    interactions(customer(), 1)
    policy("interactions", 365, hold=True)
    with connect(superuser_url, tenant=GLOBEX) as connection:
        refused(connection, "DELETE FROM customers_interaction")
    with connect(superuser_url, tenant=None) as connection:
        connection.execute("SET session_replication_role = replica")
        refused(connection, "DELETE FROM customers_interaction")
        connection.execute("SET session_replication_role = replica")
        refused(connection, f"DELETE FROM customers_interaction_{days_ago(1):%Y_%m}")


def test_a_temporary_table_named_like_ours_changes_nothing(superuser_url):
    interactions(customer(), 1)
    policy("interactions", 365, hold=True)
    with connect(superuser_url) as connection:
        connection.execute("CREATE TEMP TABLE compliance_retentionpolicy (LIKE public.compliance_retentionpolicy)")
        connection.execute("SET LOCAL search_path = pg_temp, public")
        refused(connection, "DELETE FROM customers_interaction")


def test_the_application_cannot_ask_for_other_tenants_holds(app_url):
    policy("interactions", 365, hold=True, who=MALLORY)
    with connect(app_url) as connection:
        assert connection.execute("SELECT hold_check('interactions', true)").fetchone() == (False,)


@pytest.mark.parametrize("table", ["customers_interaction", "customers_customer", "compliance_retentionpolicy"])
def test_it_refuses_truncate_for_the_owner_too(owner_url, table):
    with connect(owner_url) as connection:
        refused(connection, f"TRUNCATE {table} CASCADE")


def test_it_refuses_to_truncate_a_partition(owner_url):
    interactions(customer(), 1)
    with connect(owner_url) as connection:
        refused(connection, f"TRUNCATE customers_interaction_{days_ago(1):%Y_%m}")


def test_it_refuses_truncate_without_privileges_for_the_application(app_url):
    with connect(app_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("TRUNCATE customers_interaction")


def test_rows_of_tenant_defined_tables_follow_their_schemas_class(role_url):
    who = customer()
    with ADA.here(), transaction():
        for name, data_class in (("visits", "interactions"), ("scores", "metrics")):
            schema = DynamicSchema.objects.create(name=name, fields=[], data_class=data_class)
            DynamicRow.objects.create(schema=schema, customer=who, data={}, clock_at=NOW)
    policy("interactions", 365, hold=True)
    with connect(role_url) as connection:
        refused(connection, "DELETE FROM customers_dynamicrow")
    with connect(role_url) as connection:
        refused(connection, "UPDATE customers_dynamicschema SET data_class = 'metrics'")
    scores = "SELECT id FROM customers_dynamicschema WHERE name = 'scores'"
    with connect(role_url) as connection:
        assert connection.execute(f"DELETE FROM customers_dynamicrow WHERE schema_id IN ({scores})").rowcount == 1


def test_the_application_cannot_move_or_remove_an_epoch_or_a_policy(app_url):
    policy("interactions", 365, hold=True)
    for statement in (
        "UPDATE compliance_holdepoch SET epoch = 0",
        "DELETE FROM compliance_holdepoch",
        "DELETE FROM compliance_retentionpolicy",
    ):
        with connect(app_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_every_guarded_entity_of_the_catalogue_carries_its_class(owner_url):
    with connect(owner_url) as connection:
        found = connection.execute(
            "SELECT c.relname, encode(t.tgargs, 'escape'), t.tgenabled FROM pg_trigger t"
            " JOIN pg_class c ON c.oid = t.tgrelid WHERE t.tgname = 'hold_guard'"
        ).fetchall()
    guards = {table: argument.split("\\000")[0] for table, argument, _ in found}
    assert {enabled for *_, enabled in found} <= {"A", b"A"}
    for entity in (*CATALOGUE, *DERIVED):
        if entity.erasure is not Erasure.NONE:
            assert guards[entity.table] == (entity.data_class or "schema_id"), entity.name
    assert set(guards.values()) <= {*DATA_CLASSES, "schema_id"}


def test_a_cascade_is_stopped_by_the_hold_on_its_target_and_by_no_other_tenants(superuser_url, app_url):
    who = customer()
    with psycopg.connect(superuser_url) as connection:
        connection.execute(
            "CREATE TABLE scratch (id int, tenant_id text, customer_id uuid, FOREIGN KEY (tenant_id, customer_id)"
            " REFERENCES customers_customer (tenant_id, id) ON DELETE CASCADE)"
        )
        connection.execute("ALTER TABLE scratch OWNER TO kaireon_owner")
        connection.execute("INSERT INTO scratch VALUES (1, 'acme', %s)", [who.pk])
        connection.execute("SELECT guard_table('scratch', 'metrics')")
    policy("metrics", 365, hold=True, who=MALLORY)
    policy("metrics", 365, hold=True)
    with connect(app_url) as connection:
        refused(connection, "DELETE FROM customers_customer")
    policy("metrics", 365, hold=False)
    with connect(app_url) as connection:
        assert connection.execute("DELETE FROM customers_customer").rowcount == 1


LEVELS = ["read committed", "repeatable read", "serializable"]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("deleter", ["app_url", "owner_url"])
def test_a_deletion_that_waits_for_a_hold_loses(request, app_url, level, deleter):
    """The hold is placed first and commits while the deletion waits for it."""
    interactions(customer(), 1)
    policy("interactions", 365)
    with connect(app_url) as placing, connect(request.getfixturevalue(deleter), level=level) as deleting:
        # The snapshot is older than the hold.
        deleting.execute("SELECT count(*) FROM customers_interaction")
        placing.execute("UPDATE compliance_retentionpolicy SET legal_hold = true, held_since = now()")
        outcome = in_background(lambda: deleting.execute("DELETE FROM customers_interaction"))
        assert outcome.is_waiting()
        placing.commit()
        error = outcome.error()
        assert isinstance(error, psycopg.errors.IntegrityError | psycopg.errors.SerializationFailure)
        deleting.rollback()
    assert count(Interaction) == 1


@pytest.mark.parametrize("level", LEVELS)
def test_a_deletion_with_a_snapshot_from_before_the_hold_loses(app_url, level):
    """The hold is placed and committed between the deletion's snapshot and its DELETE."""
    interactions(customer(), 1)
    policy("interactions", 365)
    with connect(app_url, level=level) as deleting:
        deleting.execute("SELECT count(*) FROM customers_interaction")
        policy("interactions", 365, hold=True)
        with pytest.raises((psycopg.errors.IntegrityError, psycopg.errors.SerializationFailure)):
            deleting.execute("DELETE FROM customers_interaction")
        deleting.rollback()
    assert count(Interaction) == 1


@pytest.mark.parametrize("level", LEVELS)
def test_a_hold_waits_for_the_deletion_that_came_first(app_url, level):
    """Then it holds what is left, and never says it held what had gone."""
    interactions(customer(), 1)
    policy("interactions", 365)
    with connect(app_url) as deleting, connect(app_url, level=level) as placing:
        deleting.execute("DELETE FROM customers_interaction")
        outcome = in_background(
            lambda: placing.execute("UPDATE compliance_retentionpolicy SET legal_hold = true, held_since = now()")
        )
        assert outcome.is_waiting()
        deleting.commit()
        assert outcome.error() is None
        placing.commit()
    assert count(Interaction) == 0


def test_deletions_of_one_tenant_do_not_wait_for_each_other(app_url):
    first, second = customer("c-1"), customer("c-2")
    with connect(app_url) as one, connect(app_url) as other:
        one.execute("DELETE FROM customers_customer WHERE id = %s", [first.pk])
        assert other.execute("DELETE FROM customers_customer WHERE id = %s", [second.pk]).rowcount == 1
    assert count(Customer) == 0


class in_background:  # noqa: N801  reads as a verb where it is used
    def __init__(self, call):
        self._error = None
        self._thread = threading.Thread(target=self._run, args=[call], daemon=True)
        self._thread.start()

    def _run(self, call):
        try:
            call()
        except psycopg.Error as error:
            self._error = error

    def is_waiting(self):
        time.sleep(0.2)
        return self._thread.is_alive()

    def error(self):
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self._error
