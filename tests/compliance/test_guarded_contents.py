"""What is held is not erased by overwriting it either: emptied, cut loose from its person, or shredded."""

from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from compliance.holding import guards, holds
from customers import consents, ingest
from customers.catalogue import CATALOGUE, Erasure
from customers.models import ConsentRecord, Customer, DynamicSchema
from customers.rows import CUSTOMER
from dsar.models import DsarRequest
from dsar.requests.services import create_request
from kaireon.tenancy.context import transaction
from tests.cast import PASSWORD
from tests.compliance.rows import ADA, MALLORY, NOW, connect, days_ago, policy, refused

PROFILE = {
    "email": "ann@example.com",
    "phone": "+44 20 7946 0000",
    "name": "Ann",
    "birthDate": "1980-02-29",
    "address": "1 High Street",
    "country": "GB",
    "language": "en",
    "attributes": {"tier": 1},
}
ERASING = {
    "profiles": (
        "UPDATE customers_customer SET email = ''",
        "UPDATE customers_customer SET birth_date = NULL",
        """UPDATE customers_customer SET attributes = '{}'""",
        """UPDATE customers_customer SET attributes = 'null'""",
        "UPDATE customers_customer SET customer_id = 'erased-v1-0'",
        "UPDATE customers_customer SET updated_at = now(), name = ''",
        "WITH gone AS (UPDATE customers_customer SET address = '' RETURNING id) SELECT count(*) FROM gone",
        "MERGE INTO customers_customer t USING (SELECT 1) s ON true WHEN MATCHED THEN UPDATE SET phone = ''",
        "INSERT INTO customers_customer SELECT * FROM customers_customer"
        " ON CONFLICT (id) DO UPDATE SET country = '', language = ''",
    ),
    "consents": (
        "UPDATE customers_consentrecord SET customer_id = NULL, subject_key = 'v1:0'",
        "UPDATE customers_consentrecord SET source = ''",
    ),
    "dsar": (
        "UPDATE dsar_dsarrequest SET subject_sealed = NULL, pseudonym = 'gone'",
        "UPDATE dsar_dsarrequest SET subject_sealed = ''",
    ),
}
CASES = [(data_class, statement) for data_class, statements in ERASING.items() for statement in statements]


@pytest.fixture
def ann(db: str) -> None:
    """A customer with every field filled, a consent and a request."""
    with ADA.here(), transaction():
        ingest.ingest_customers([{"customerId": "c-1", **PROFILE}], now=NOW)
        ConsentRecord.objects.create(
            customer=Customer.objects.get(),
            channel="email",
            purpose="news",
            status="granted",
            source="shop",
            recorded_at=days_ago(3),
        )
        create_request(request_type="export", subject_id="c-1", actor=ADA.actor, now=NOW)


@pytest.mark.parametrize(("data_class", "statement"), CASES)
def test_raw_sql_erases_nothing_that_is_held(ann, role_url, data_class, statement):
    policy(data_class, 365, hold=True)
    with connect(role_url) as connection:
        refused(connection, statement)
    policy(data_class, 365, hold=False)
    with connect(role_url) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(("data_class", "statement"), CASES)
def test_a_superuser_is_stopped_by_any_tenants_hold(ann, superuser_url, data_class, statement):
    policy(data_class, 365, hold=True)
    with connect(superuser_url, tenant=None) as connection:
        connection.execute("SET session_replication_role = replica")
        refused(connection, statement)


def test_a_hold_of_another_tenant_does_not_count(ann, role_url):
    policy("profiles", 365, hold=True, who=MALLORY)
    with connect(role_url) as connection:
        assert connection.execute(ERASING["profiles"][0]).rowcount == 1


def test_the_orm_erases_nothing_that_is_held(ann):
    for data_class in ERASING:
        policy(data_class, 365, hold=True)
    with ADA.here():
        with transaction():
            found = Customer.objects.get()
        found.email = ""
        for erase in (
            found.save,
            lambda: Customer.objects.update(name=""),
            lambda: Customer.objects.bulk_update([found], ["email"]),
            lambda: consents.reduce_to_evidence(found),
            lambda: DsarRequest.objects.update(subject_sealed=None, pseudonym="gone"),
        ):
            with pytest.raises(IntegrityError, match="legal hold") as caught, transaction():
                erase()
            assert holds.refused_by_hold(caught.value)


def test_the_admin_has_no_form_that_overwrites_it(ann):
    policy("profiles", 365, hold=True)
    browser = Client()
    assert browser.post(reverse("admin:login"), {"username": ADA.email, "password": PASSWORD}).status_code == 302
    with ADA.here(), transaction():
        page = reverse("admin:customers_customer_change", args=[Customer.objects.get().pk])
    assert browser.get(page).status_code == 200
    assert browser.post(page, {"customer_id": "gone", "email": "", "name": ""}).status_code == 403
    with ADA.here(), transaction():
        assert Customer.objects.get().name == "Ann"


def test_ordinary_changes_go_on(ann):
    for data_class in ERASING:
        policy(data_class, 365, hold=True)
    with ADA.here(), transaction():
        outcome = ingest.ingest_customers([{"customerId": "c-1", "email": "new@example.com"}], now=NOW)
        assert (outcome.updated, outcome.errors) == (1, [])
        ConsentRecord.objects.update(withdrawn_at=NOW)
        DsarRequest.objects.update(status="processing", state="running")
        Customer.objects.update(last_activity_at=NOW + timedelta(days=1))


@pytest.mark.parametrize("field", sorted(set(CUSTOMER) - {"customerId", "lastActivityAt"}))
def test_a_row_that_empties_a_held_profile_is_refused_by_itself(ann, field):
    policy("profiles", 365, hold=True)
    batch = [{"customerId": "c-1", field: None}, {"customerId": "c-2", "name": "Bo"}]
    with ADA.here(), transaction():
        outcome = ingest.ingest_customers(batch, now=NOW)
    assert (outcome.created, [(e.index, e.field) for e in outcome.errors]) == (1, [(0, field)])
    policy("profiles", 365, hold=False)
    with ADA.here(), transaction():
        assert ingest.ingest_customers(batch, now=NOW).updated == 1


def test_every_entity_that_erasure_leaves_as_a_row_is_guarded(owner_url):
    with connect(owner_url) as connection:
        found = connection.execute(
            "SELECT c.relname, encode(t.tgargs, 'escape'), t.tgenabled FROM pg_trigger t"
            " JOIN pg_class c ON c.oid = t.tgrelid WHERE t.tgname = 'hold_contents'"
        ).fetchall()
    assert {enabled for *_, enabled in found} <= {"A", b"A"}
    guarded = {table: argument.split("\\000")[0] for table, argument, _ in found}
    reduced = {e.table: e.data_class for e in CATALOGUE if e.erasure in (Erasure.SHRED, Erasure.EVIDENCE)}
    # The keys that a person's values in the log are sealed under: an erasure empties them.
    assert guarded == {**reduced, "customers_customer": "profiles", "audit_subjectkey": "audit"}


def test_a_guard_on_a_column_that_is_not_there_is_refused(owner_url):
    operation = guards.guarded_contents("customers_delivery", "deliveries", emptied=["destination", "destinatoin"])
    with connect(owner_url) as connection, pytest.raises(Exception, match="has 1 only"):
        connection.execute(operation.sql)


@pytest.mark.parametrize(
    ("operation", "statement"),
    [
        (guards.guarded("customers_interaction", "interactions"), "DELETE FROM customers_interaction"),
        (
            guards.guarded_by_row(
                "customers_dynamicrow", "schema_id", classes="customers_dynamicschema", class_column="data_class"
            ),
            "UPDATE customers_dynamicschema SET data_class = 'metrics'",
        ),
        (
            guards.guarded_contents("customers_consentrecord", "consents", emptied=["source"], changed=["customer_id"]),
            "UPDATE customers_consentrecord SET source = ''",
        ),
    ],
    ids=["rows", "rows by class", "contents"],
)
def test_a_guard_is_taken_away_and_put_back(ann, owner_url, operation, statement):
    with ADA.here(), transaction():
        DynamicSchema.objects.create(name="visits", fields=[], data_class="interactions")
    for data_class in ("interactions", "consents"):
        policy(data_class, 365, hold=True)
    with connect(owner_url) as connection:
        connection.execute(operation.reverse_sql)
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
        connection.execute(operation.sql)
        refused(connection, statement)
