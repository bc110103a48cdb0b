"""What PostgreSQL writes of a row is what JSON can carry exactly, whatever is in it."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, models

from customers import bulk, spelling
from customers.catalogue import CATALOGUE, entity
from customers.models import Attachment, Customer, DynamicRow, DynamicSchema, Interaction
from customers.partitions import ensure_months
from kaireon.lib.canonical import exact
from kaireon.tenancy.context import transaction
from tests.customers.conftest import NOW, customer

NASTY = ["", 'a"b\\c', "line\nbreak\ttab", "},\n{", "\x02\x7f", "名前 👩‍🚀 é", "=1+1", "null", "1e400", "%s %% %(x)s"]


@pytest.mark.parametrize("described", [e for e in CATALOGUE if e.section], ids=lambda e: e.name)
def test_every_entity_of_a_dossier_can_be_spelled(ada: None, described: Any) -> None:
    found = customer()
    with transaction():
        rows = list(described.rows_for_dossier(found.pk))
    assert len(rows) == (1 if described.name == "customer" else 0)


def test_a_row_is_spelled_as_its_values_are_exactly(ada: None) -> None:
    found = customer(name="Zoë", birthDate="1980-02-29", attributes={"nasty": NASTY})
    moment = datetime(2026, 1, 10, 12, 0, 0, 7, tzinfo=UTC)
    with transaction():
        ensure_months("customers_interaction", [NOW])
        bulk.insert(
            [
                Interaction(
                    customer=found, kind="visit", occurred_at=NOW, external_id=text or "-", amount=amount, context={}
                )
                for text, amount in zip(
                    NASTY, [Decimal("0.0000"), Decimal("-0.0001"), Decimal("99999999999999.9999")] * 4, strict=False
                )
            ]
        )
        Customer.objects.update(last_activity_at=moment)
        bulk.insert([Attachment(customer=found, name="x", size=2**53 + size) for size in (-1, 0, 5)])
        for name in ("customer", "interactionHistory", "attachment"):
            described = entity(name)
            columns = described.shown()
            stored = described.about(found.pk).order_by(described.clock, "pk").values(*columns.values())
            expected = [{n: exact(row[c]) for n, c in columns.items()} for row in stored]
            assert list(described.rows_for_dossier(found.pk)) == expected
    assert expected[0]["size"] == 2**53 - 1
    assert {row["size"] for row in expected[1:]} == {str(2**53), str(2**53 + 5)}


@pytest.mark.parametrize(
    ("stored", "spelled"),
    [
        ('{"n": 9007199254740993}', {"n": "9007199254740993"}),
        ('{"n": 9007199254740991}', {"n": 9007199254740991}),
        ('{"n": [1e21, 0.1000000000000000055, 1.5]}', {"n": ["1000000000000000000000", "0.1000000000000000055", 1.5]}),
        ('{"card": "4111111111111111", "a": null, "b": true}', {"card": "4111111111111111", "a": None, "b": True}),
        ('{"t": "},\\n{ \\u0002 名"}', {"t": "},\n{ \x02 名"}),
        ('{"t": "},\\n{ \\u0002", "n": 12345678901234567890}', {"n": "12345678901234567890", "t": "},\n{ \x02"}),
        ("{}", {}),
    ],
)
def test_numbers_in_json_that_no_double_carries_are_text(ada: None, stored: str, spelled: Any) -> None:
    found = customer()
    with transaction():
        schema = DynamicSchema(name="s", data_class="profiles", fields=[{"name": "n", "type": "text"}])
        schema.save()
        bulk.insert([DynamicRow(customer=found, schema=schema, data={"row": n}) for n in range(3)])
        with connection.cursor() as cursor:
            cursor.execute("UPDATE customers_dynamicrow SET data = %s WHERE data ->> 'row' = '1'", [stored])
        rows = list(entity("dynamicSchemaRows").rows_for_dossier(found.pk))
    assert sorted([row["data"] for row in rows], key=str) == sorted([{"row": 0}, spelled, {"row": 2}], key=str)
    assert {row["schema"] for row in rows} == {"s"}


def test_rows_come_oldest_first_and_in_blocks_of_whole_rows(ada: None) -> None:
    found = customer()
    with transaction():
        ensure_months("customers_interaction", [NOW])
        bulk.insert(
            [
                Interaction(
                    customer=found, kind="visit", occurred_at=NOW, external_id=f"{n:04}", context={"x": "y" * 99}
                )
                for n in range(3000)
            ]
        )
        blocks = list(entity("interactionHistory").spelled_for_dossier(found.pk))
        expected = list(Interaction.objects.order_by("occurred_at", "pk").values_list("external_id", flat=True))
    assert len(blocks) > 5
    assert [row["externalId"] for row in spelling.objects(iter(blocks))] == expected
    for block in blocks:
        json.loads(b"[null" + block + b"]")


def test_a_column_of_a_kind_that_nobody_thought_of_is_refused() -> None:
    with pytest.raises(spelling.NotSpelled, match="DurationField"):
        spelling._spelled("c0", models.DurationField())
    assert spelling._spelled("c0", models.DateField()) == "c0"
