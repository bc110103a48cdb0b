"""Batches in: each row judged by itself, replays recognised, nothing of another tenant touched."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from customers import ingest
from customers.models import ConsentRecord, Customer, Interaction
from kaireon.tenancy.context import OutsideTransaction, transaction
from tests.cast import ADA, MALLORY
from tests.customers.conftest import NOW, bring, consent, customer, purchase
from tests.race import at_once

NAMES = ["Зоя Ковальчук", "李小龍", "محمد المصري", "ไพลิน", "नेहा शर्मा", "שרה כהן", "Zoë Ångström", "🦊"]


def faults(outcome: ingest.Outcome) -> list[tuple[int, str]]:
    return [(e.index, e.field) for e in outcome.errors]


def test_good_rows_are_stored_around_a_bad_one(ada):
    outcome = bring(
        "customers",
        {"customerId": "c-1", "name": "Ann"},
        {"customerId": "c-2", "email": "not an address"},
        {"customerId": "c-3", "name": "Cy"},
    )
    assert (outcome.created, faults(outcome)) == (2, [(1, "email")])
    with transaction():
        assert set(Customer.objects.values_list("customer_id", flat=True)) == {"c-1", "c-3"}


def test_a_replay_changes_nothing(ada):
    row = {"customerId": "c-1", "email": "Ann@Example.COM", "attributes": {"tier": 1}}
    bring("customers", row)
    again = bring("customers", row)
    assert (again.created, again.updated, again.unchanged) == (0, 0, 1)


def test_a_field_left_out_stays_and_null_empties_it(ada):
    bring("customers", {"customerId": "c-1", "name": "Ann", "phone": "+44 20 7946 0000", "birthDate": "1980-02-29"})
    bring("customers", {"customerId": "c-1", "phone": None, "birthDate": None})
    found = customer()
    assert (found.name, found.phone, found.birth_date) == ("Ann", "", None)


def test_the_same_customer_twice_in_a_batch_is_one_customer(ada):
    outcome = bring("customers", {"customerId": "c-1", "name": "Ann"}, {"customerId": " c-1 ", "email": "a@b.example"})
    assert (outcome.created, outcome.updated) == (1, 1)
    found = customer()
    assert (found.name, found.email) == ("Ann", "a@b.example")


def test_activity_never_moves_back(ada):
    bring("customers", {"customerId": "c-1", "lastActivityAt": "2025-12-01"})
    bring("customers", {"customerId": "c-1", "lastActivityAt": "2020-01-01"})
    assert customer().last_activity_at == datetime(2025, 12, 1, tzinfo=UTC)
    bring("interactions", purchase("o-1"))
    assert customer().last_activity_at == datetime(2026, 1, 10, 10, tzinfo=UTC)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_every_script_come_back_as_they_went_in(ada, name):
    assert customer(name=name).name == name


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("customerId", ""),
        ("customerId", "   "),
        ("customerId", "x" * 129),
        ("customerId", 17),
        ("customerId", None),
        ("name", "a\x00b"),
        ("name", "half \ud83d a pair"),
        ("name", ["Ann"]),
        ("name", "x" * 201),
        ("email", "a@b"),
        ("email", "a b@c.example"),
        ("email", "x" * 250 + "@c.example"),
        ("birthDate", "1980-02-30"),
        ("birthDate", "2026-01-16"),
        ("birthDate", "0001-01-01"),
        ("birthDate", "19800229"),
        ("country", "Germany"),
        ("language", "english, please"),
        ("attributes", "text"),
        ("attributes", {"a": "x" * 20_000}),
        ("attributes", {"a": "\x00"}),
        ("lastActivityAt", "2026-01-10 10:00"),
        ("lastActivityAt", "9999-12-31T23:59:59-14:00"),
        ("shoeSize", 44),
    ],
)
def test_it_refuses_a_value_by_its_field(ada, field, value):
    outcome = bring("customers", {"customerId": "c-1", field: value})
    assert faults(outcome) == [(0, field)]
    with transaction():
        assert not Customer.objects.exists()


def test_a_refusal_never_repeats_the_value(ada):
    outcome = bring("customers", {"customerId": "c-1", "email": "secret-person", "name": "\x00secret-person"})
    assert "secret-person" not in str(outcome)


def test_numbers_json_cannot_carry_become_text(ada):
    found = customer(attributes={"big": 2**53 + 1, "huge": 1e400, "ok": 1.5})
    assert found.attributes == {"big": "9007199254740993", "huge": "Infinity", "ok": 1.5}


def test_every_fault_of_a_row_is_named(ada):
    outcome = bring("interactions", {"customerId": "c-1", "kind": "stroll", "amount": "much"})
    assert {e.field for e in outcome.errors} == {"externalId", "kind", "occurredAt", "amount"}


def test_a_row_that_is_no_object_is_refused(ada):
    with transaction():
        outcome = ingest.ingest_customers(["Ann", None, {"customerId": "c-1"}], now=NOW)
    assert faults(outcome) == [(0, ""), (1, "")]
    assert outcome.created == 1


def test_more_than_a_thousand_rows_are_refused(ada):
    with transaction(), pytest.raises(ingest.TooManyRows):
        ingest.ingest_customers([{}] * 1001, now=NOW)


def test_a_thousand_rows_are_stored_in_one_call(ada):
    bring("customers", *({"customerId": f"c-{n}"} for n in range(1000)))
    outcome = bring("interactions", *(purchase(f"o-{n}", f"c-{n}") for n in range(1000)))
    assert (outcome.created, outcome.errors) == (1000, [])


def test_it_needs_a_transaction(ada):
    with pytest.raises(OutsideTransaction):
        ingest.ingest_customers([], now=NOW)


def test_an_interaction_is_stored_once_however_often_it_is_sent(ada):
    customer()
    first = bring("interactions", purchase("o-1"), purchase("o-1"), purchase("o-2"))
    again = bring("interactions", purchase("o-1"), purchase("o-3"))
    assert (first.created, first.unchanged) == (2, 1)
    assert (again.created, again.unchanged) == (1, 1)


def test_a_known_external_id_with_other_contents_is_an_error(ada):
    customer()
    bring("interactions", purchase("o-1"))
    outcome = bring("interactions", purchase("o-1", amount="99"), purchase("o-1", occurredAt="2025-03-01"))
    assert faults(outcome) == [(0, "externalId"), (1, "externalId")]
    with transaction():
        assert [i.amount for i in Interaction.objects.all()] == [Decimal("11.7700")]


def test_an_interaction_of_nobody_is_an_error(ada):
    assert faults(bring("interactions", purchase("o-1", "c-404"))) == [(0, "customerId")]


@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1969-12-31", "2026-01-17", "9999-12-31", "yesterday", ""],
)
def test_moments_out_of_range_are_errors_of_their_row(ada, moment):
    customer()
    outcome = bring("interactions", purchase("o-1", occurredAt=moment), purchase("o-2"))
    assert faults(outcome) == [(0, "occurredAt")]
    assert outcome.created == 1


@pytest.mark.parametrize("amount", ["1e15", "NaN", "Infinity", "1.23456", True, {}, "1" * 50, "--1"])
def test_amounts_out_of_range_are_errors_of_their_row(ada, amount):
    customer()
    assert faults(bring("interactions", purchase("o-1", amount=amount))) == [(0, "amount")]


@pytest.mark.parametrize("quantity", [10**13, 1.5, "1.5", True])
def test_quantities_out_of_range_are_errors_of_their_row(ada, quantity):
    customer()
    assert faults(bring("interactions", purchase("o-1", quantity=quantity))) == [(0, "quantity")]


def test_interactions_lie_in_the_partition_of_their_month(ada):
    customer()
    bring("interactions", purchase("o-1", occurredAt="2025-12-31T23:30:00-01:00"), purchase("o-2"))
    with transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text, external_id FROM customers_interaction ORDER BY 2")
        assert cursor.fetchall() == [("customers_interaction_2026_01", "o-1"), ("customers_interaction_2026_01", "o-2")]


def test_a_customer_of_another_tenant_does_not_exist(db):
    with MALLORY.here():
        customer("c-1", name="Globex's")
    with ADA.here():
        assert faults(bring("interactions", purchase("o-1", "c-1"))) == [(0, "customerId")]
        assert bring("customers", {"customerId": "c-1", "name": "Acme's"}).created == 1
    with MALLORY.here(), transaction():
        assert Customer.objects.get().name == "Globex's"


def test_concurrent_replays_store_a_batch_once(ada):
    customer()
    batch = [purchase(f"o-{n}") for n in range(50)]

    def replay() -> int:
        with ADA.here():
            return bring("interactions", *batch).created

    assert sorted(at_once(*[replay] * 4)) == [0, 0, 0, 50]


def test_a_consent_is_stored_once(ada):
    customer()
    first = bring("consents", consent(), consent())
    again = bring("consents", consent(), consent("withdrawn"))
    assert (first.created, first.unchanged) == (1, 1)
    assert again.unchanged == 1
    assert faults(again) == [(1, "status")]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_withdrawal_ends_the_grants_before_it_in_whatever_order_they_come(ada, order):
    customer()
    statements = [
        consent("granted", recordedAt="2025-01-01"),
        consent("withdrawn", recordedAt="2025-02-01"),
        consent("granted", recordedAt="2025-03-01"),
    ]
    for number in order:
        bring("consents", statements[number])
    with transaction():
        ended = list(ConsentRecord.objects.order_by("recorded_at").values_list("withdrawn_at", flat=True))
    assert ended == [datetime(2025, 2, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC), None]


def test_a_batch_of_interactions_is_one_audit_record(ada):
    import audit.services
    from audit.models import AuditRecord

    customer()
    audit.services.drain("acme")
    bring("interactions", *(purchase(f"o-{n}") for n in range(7)))
    audit.services.drain("acme")
    with transaction():
        records = AuditRecord.objects.filter(entity_type="Interaction")
        counts: list[Any] = [record.changes["count"] for record in records]
    assert counts == [7]
