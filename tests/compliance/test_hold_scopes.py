"""Holds with a scope: what they cover stays, whoever asks and however they ask; the rest goes."""

from uuid import uuid4

import psycopg
import pytest

from compliance.holding.scopes import SCOPES
from compliance.models import Hold, HoldEpoch, HoldSubject
from customers.catalogue import CATALOGUE, DERIVED
from customers.models import (
    Customer,
    DynamicRow,
    DynamicSchema,
    IdentityLink,
    JourneyEnrollment,
)
from kaireon.tenancy.context import transaction
from tests.compliance.rows import (
    ADA,
    AGREED,
    GLOBEX,
    MALLORY,
    NOW,
    connect,
    customer,
    days_ago,
    end,
    hold,
    interactions,
    refused,
)

ENTITIES = {entity.name: entity for entity in (*CATALOGUE, *DERIVED)}


def deleted(url, statement, **how):
    """How many went, in a transaction that is rolled back."""
    with connect(url, **how) as connection:
        try:
            return connection.execute(statement).rowcount
        finally:
            connection.rollback()


def test_rows_of_held_subjects_stay_and_others_go(role_url):
    ann, bo = customer("ann"), customer("bo")
    interactions(ann, 1, 40)
    interactions(bo, 1, 40)
    hold(ann)
    with connect(role_url) as connection:
        refused(connection, "DELETE FROM customers_interaction")
    with connect(role_url) as connection:
        refused(connection, f"DELETE FROM customers_interaction_{days_ago(1):%Y_%m}")
    assert deleted(role_url, f"DELETE FROM customers_interaction WHERE customer_id = '{bo.pk}'") == 2


@pytest.mark.parametrize(
    ("scope", "gone"),
    [
        ({"data_class": "decisions"}, 3),
        ({"data_class": "interactions"}, None),
        ({"entity": "decisionTrace"}, 3),
        ({"entity": "interactionHistory"}, None),
        ({"data_class": "interactions", "entity": "journeyEnrollment"}, 3),
        ({"from_at": days_ago(0.5)}, 3),
        ({"from_at": days_ago(1)}, None),
        ({"until_at": days_ago(41)}, 3),
        ({"until_at": days_ago(40)}, None),
        ({"from_at": days_ago(39), "until_at": days_ago(21)}, 3),
        ({"from_at": days_ago(41), "until_at": days_ago(20)}, None),
        ({"entity": "interactionHistory", "query": [{"field": "kind", "op": "eq", "value": "visit"}]}, None),
        ({"entity": "interactionHistory", "query": [{"field": "kind", "op": "ne", "value": "visit"}]}, 3),
        ({"entity": "interactionHistory", "query": [{"field": "context", "op": "contains_key", "value": "x"}]}, 3),
        ({}, None),
    ],
)
def test_each_part_of_a_scope_counts(role_url, scope, gone):
    interactions(customer(), 1, 20, 40)
    hold(**scope)
    if gone is None:
        with connect(role_url) as connection:
            refused(connection, "DELETE FROM customers_interaction")
    else:
        assert deleted(role_url, "DELETE FROM customers_interaction") == gone


def test_a_partition_that_is_made_later_is_guarded_too(role_url):
    ann, bo = customer("ann"), customer("bo")
    hold(ann)
    interactions(ann, 400)
    month = f"customers_interaction_{days_ago(400):%Y_%m}"
    with connect(role_url) as connection:
        refused(connection, f"DELETE FROM {month}")
    with connect(role_url) as connection:
        refused(connection, f"UPDATE {month} SET customer_id = '{bo.pk}'")


def test_a_row_is_free_when_the_last_hold_goes(app_url):
    ann = customer()
    interactions(ann, 1)
    first, second = hold(ann), hold(data_class="interactions")
    end(first)
    with connect(app_url) as connection:
        refused(connection, "DELETE FROM customers_interaction")
    end(second)
    assert deleted(app_url, "DELETE FROM customers_interaction") == 1


def test_holds_of_others_and_of_open_requests_stop_no_deletion(role_url):
    ann = customer()
    interactions(ann, 1)
    hold(who=MALLORY)
    hold(ann, kind="request")
    assert deleted(role_url, "DELETE FROM customers_interaction") == 1


def test_whoever_reaches_every_tenant_is_stopped_by_every_hold(superuser_url, owner_url):
    ann = customer()
    interactions(ann, 1)
    hold(ann)
    for url, lift in (
        (superuser_url, "SET session_replication_role = replica"),
        (owner_url, "ALTER TABLE customers_interaction NO FORCE ROW LEVEL SECURITY"),
    ):
        with connect(url, tenant=GLOBEX) as connection:
            connection.execute(lift)
            refused(connection, "DELETE FROM customers_interaction")


def test_the_application_learns_nothing_of_other_tenants_holds(app_url):
    ann = customer()
    hold(ann)
    asks = (
        "SELECT public.hold_row_stops('customers_customer', 'customer', 'profiles', 'last_activity_at', 'id', '',"
        f""" '{{"tenant_id": "acme", "id": "{ann.pk}"}}', NULL, true)"""
    )
    with connect(app_url) as connection:
        refused(connection, asks)
    with connect(app_url, tenant=GLOBEX) as connection:
        connection.execute(asks)


def test_a_cascade_meets_the_hold(superuser_url, app_url):
    ann = customer()
    with psycopg.connect(superuser_url) as root:
        root.execute("ALTER TABLE customers_identitylink DROP CONSTRAINT customers_identitylink_customer_id_ref")
        root.execute(
            "ALTER TABLE customers_identitylink ADD FOREIGN KEY (tenant_id, customer_id)"
            " REFERENCES customers_customer (tenant_id, id) ON DELETE CASCADE"
        )
    with ADA.here(), transaction():
        IdentityLink.objects.create(customer=ann, kind="device", value="d-1", last_seen_at=NOW)
    placed = hold(ann, entity="identityLink")
    with connect(app_url) as connection:
        refused(connection, "DELETE FROM customers_customer")
    end(placed)
    assert deleted(app_url, "DELETE FROM customers_customer") == 1


def test_what_is_held_is_not_emptied_and_the_rest_is(role_url):
    ann, bo = customer("ann"), customer("bo")
    hold(ann, data_class="profiles")
    with connect(role_url) as connection:
        refused(connection, "UPDATE customers_customer SET name = ''")
    with connect(role_url) as connection:
        refused(
            connection,
            "MERGE INTO customers_customer t USING (SELECT 1) s ON true WHEN MATCHED THEN UPDATE SET name = ''",
        )
    assert deleted(role_url, f"UPDATE customers_customer SET name = '' WHERE id = '{bo.pk}'") == 1


def test_held_rows_are_not_moved_out_of_their_hold(role_url):
    ann, bo = customer("ann"), customer("bo")
    interactions(ann, 20)
    whole = hold(ann)
    with connect(role_url) as connection:
        refused(connection, f"UPDATE customers_interaction SET customer_id = '{bo.pk}'")
    # It stays in this hold wherever it moves in time.
    assert deleted(role_url, "UPDATE customers_interaction SET occurred_at = occurred_at + '1 s'::interval") == 1
    end(whole)
    range_alone = hold(from_at=days_ago(21), until_at=days_ago(19))
    for by in ("-2 days", "2 days"):
        with connect(role_url) as connection:
            refused(connection, f"UPDATE customers_interaction SET occurred_at = occurred_at + '{by}'::interval")
    assert deleted(role_url, f"UPDATE customers_interaction SET customer_id = '{bo.pk}'") == 1
    end(range_alone)
    hold(entity="interactionHistory", query=[{"field": "channel", "op": "eq", "value": ""}])
    with connect(role_url) as connection:
        refused(connection, "UPDATE customers_interaction SET channel = 'email'")
    assert deleted(role_url, "UPDATE customers_interaction SET offer = 'x'") == 1


def test_a_tenant_defined_table_does_not_leave_its_class_while_a_part_of_it_is_held(role_url):
    ann, bo = customer("ann"), customer("bo")
    with ADA.here(), transaction():
        schema = DynamicSchema.objects.create(name="visits", fields=[], data_class="interactions")
        for who in (ann, bo):
            DynamicRow.objects.create(schema=schema, customer=who, data={}, clock_at=NOW)
    hold(ann, data_class="interactions")
    with connect(role_url) as connection:
        refused(connection, "UPDATE customers_dynamicschema SET data_class = 'metrics'")
    with connect(role_url) as connection:
        refused(connection, "DELETE FROM customers_dynamicrow")
    assert deleted(role_url, f"DELETE FROM customers_dynamicrow WHERE customer_id = '{bo.pk}'") == 1


def test_ordinary_use_of_held_rows_goes_on(app_url):
    ann = customer("ann", active=days_ago(20))
    with ADA.here(), transaction():
        JourneyEnrollment.objects.create(customer=ann, journey="j")
    hold(ann, from_at=days_ago(21), until_at=days_ago(19))
    with ADA.here(), transaction():
        Customer.objects.update(last_activity_at=NOW, email="new@example.com")
        JourneyEnrollment.objects.update(ended_at=NOW, state="completed")
    # A profile that was in use then is held however long it is used.
    with connect(app_url) as connection:
        refused(connection, "DELETE FROM customers_journeyenrollment; DELETE FROM customers_customer")
    with connect(app_url) as connection:
        refused(connection, "UPDATE customers_customer SET last_activity_at = last_activity_at - '60 days'::interval")


def test_a_query_that_cannot_be_read_keeps_everything(app_url):
    interactions(customer(), 1)
    for query in (
        [],
        {},
        [{"field": "nonsense", "op": "eq", "value": 1}],
        [{"field": "kind", "op": "like", "value": "x"}],
    ):
        placed = hold(entity="interactionHistory", query=query)
        with connect(app_url) as connection:
            refused(connection, "DELETE FROM customers_interaction")
        end(placed)


def test_a_query_is_no_way_to_say_sql(app_url):
    interactions(customer(), 1)
    hold(
        entity="interactionHistory",
        query=[{"field": "channel", "op": "eq", "value": "'); DROP TABLE customers_interaction; --"}],
    )
    assert deleted(app_url, "DELETE FROM customers_interaction") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE compliance_hold SET data_class = 'metrics'",
        "UPDATE compliance_hold SET of_subjects = false",
        "UPDATE compliance_hold SET until_at = now()",
        "DELETE FROM compliance_hold",
        "UPDATE compliance_holdsubject SET subject_id = gen_random_uuid()",
        "DELETE FROM compliance_holdsubject",
    ],
)
def test_the_owner_changes_and_removes_no_hold(owner_url, app_url, statement):
    hold(customer())
    with connect(owner_url) as connection:
        refused(connection, statement)
    with connect(app_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize(
    "table", ["compliance_hold", "compliance_holdsubject", "compliance_matter", "compliance_notice"]
)
def test_no_table_of_holds_is_truncated(owner_url, table):
    with connect(owner_url) as connection:
        refused(connection, f"TRUNCATE {table} CASCADE")


def test_a_hold_of_subjects_names_one(db):
    with pytest.raises(Exception, match="names none"), ADA.here(), transaction():
        Hold.objects.create(kind="request", of_subjects=True, placed_by="ada", placed_at=NOW)


def test_the_time_of_a_hold_is_the_databases_too(db):
    placed = hold(customer())
    with ADA.here(), transaction():
        assert Hold.objects.get(pk=placed.pk).recorded_at is not None


def epoch(who=ADA):
    with who.here(), transaction():
        return HoldEpoch.objects.get().epoch


def test_whatever_changes_a_hold_moves_the_epoch_of_its_tenant_alone(owner_url):
    before, others = epoch(), epoch(MALLORY)
    placed = hold(customer())
    assert epoch() > before
    for change in (
        lambda: HoldSubject.objects.create(hold=placed, subject_id=uuid4()),
        lambda: Hold.objects.update(**AGREED, releases_at=NOW),
        lambda: Hold.objects.update(state="released", released_at=NOW),
    ):
        before = epoch()
        with ADA.here(), transaction():
            change()
        assert epoch() > before
    for table in ("compliance_holdsubject", "compliance_hold"):
        before = epoch()
        with connect(owner_url) as connection:
            connection.execute(f"DELETE FROM {table}")
        assert epoch() > before
    assert epoch(MALLORY) == others


def test_the_log_keeps_what_a_hold_covers_in_part(superuser_url):
    hold(customer())
    with connect(superuser_url, tenant=None) as connection:
        connection.execute("SET session_replication_role = replica")
        refused(connection, "DELETE FROM audit_record")


def test_every_guarded_table_carries_its_scope(owner_url):
    with connect(owner_url) as connection:
        found = connection.execute(
            "SELECT c.relname, t.tgname, encode(t.tgargs, 'escape'), t.tgenabled::text, pg_get_triggerdef(t.oid)"
            " FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE t.tgname IN ('hold_scope', 'hold_scope_row') AND NOT c.relispartition"
        ).fetchall()
    assert {enabled for *_, enabled, _ in found} == {"A"}
    triggers = {(table, name): (arguments.split("\\000")[:5], how) for table, name, arguments, _, how in found}
    assert {table for table, _ in triggers} == set(SCOPES)
    for table, scope in SCOPES.items():
        classes = [e.data_class for e in ENTITIES.values() if e.table == table] or ["consents"]
        entity, clock, subject, moves = scope.arguments
        for name in ("hold_scope", "hold_scope_row"):
            assert triggers[table, name][0] == [entity, classes[0], clock, subject, moves], table
        for column in (*scope.asked, clock, *([subject] if subject else [])):
            assert f"old.{column}" in triggers[table, "hold_scope_row"][1], (table, column)
    for entity in ENTITIES.values():
        scope = SCOPES[entity.table]
        assert scope.entity == entity.name
        assert scope.clock == entity.clock
        assert scope.subject in (entity.subject, "")
        assert not {*scope.columns} & {*entity.personal, *entity.hidden}, entity.name


# Rows of many kinds, with and without a time, and holds of every shape: the database's answer is the predicate's.
