"""The verifier's fast arithmetic derives what the plain one does, for every row that the log can hold."""

import json
import random
from contextlib import suppress
from decimal import Decimal
from typing import Any

import orjson
import psycopg
import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import services
from audit.chain import integrity_hash, leaf_hash
from audit.verification import rows
from audit.verification.verify import verify
from kaireon.lib.canonical import NotCanonical, canonical, exact, loads_exact
from kaireon.tenancy.context import scope, transaction
from tests.audit.log import WRITER, records, verdict, write
from tests.cast import ACME

NASTY: list[Any] = [
    {},
    [],
    "",
    "\\N",
    "a\tb\nc\\d\x01\x1f\x7f\u2028",
    {"z": 1, "a": {"b": None, "a": True}, "\ud7ff": 1, "\ue000": 2, "\U0001f600": 3, "ö": "ü"},
    {"n": [0, -1, 2**53 - 1, -(2**53) + 1, 2**53, 10**30, -(10**30)]},
    {"f": [0.1, 1.5, -2.25, 1e-7, 1e-400, 123456789.123, 1e21, 5e-324, 0.1000000000000000055]},
    {"looks": "1.5, 2.5]", "like": ".1", "numbers": "9007199254740993", "\\": '"', "\t": "\\t"},
    {'"quoted", ': ["\\N", "\\\\", 'x": 1.5}']},
    {"personal": {"sealed": "A" * 300}},
    [[[[[[[]]]]]]],
]
TEXTS = ["", "\\N", "a\tb", "\\", '"', "\x01\x7f", "ö\u2028\U0001f600", "x" * 400]

MOMENTS = [f"2026-01-15T09:00:00.{fraction}Z" for fraction in ("123456", "000000", "100000", "000001")]

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


def jsonb(value: Any) -> str:
    """As PostgreSQL prints it: no exponents, one space behind each comma and colon."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{jsonb(key)}: {jsonb(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(jsonb, value))}]"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return json.dumps(value, ensure_ascii=False)


COLUMNS = (
    *("action", "entityType", "entityId", "userName", "actorType", "entityName", "userId", "requestId", "tenantId"),
    *("seq", "id", "entityVersion", "timestamp", "integrityHash", "prevHash", "leafHash"),
)


def row_of(record: dict[str, Any]) -> rows.Row:
    """As PostgreSQL prints it: no zeros at the end of a fraction."""
    moment = record["timestamp"].replace("T", " ").rstrip("Z").rstrip("0").rstrip(".") + "+00"
    told = {**record, "timestamp": moment}
    cells = [None if told[c] is None else str(told[c]) for c in COLUMNS]
    return (*cells, *(None if record[c] is None else jsonb(record[c]) for c in ("changes", "before", "after")))


def record_of(texts: dict[str, Any], changes: Any, before: Any, after: Any) -> dict[str, Any]:
    """A whole record with the hashes that the plain arithmetic gives it."""
    return hashed(
        {
            "id": "0190a5e0-0000-7000-8000-0000000000ff",
            "seq": 7,
            "changes": exact(changes),
            "before": exact(before),
            "after": exact(after),
            "entityVersion": 3,
            "actorType": "job",
            "tenantId": "acme",
            "timestamp": "2026-01-15T09:00:00.123456Z",
            "prevHash": "genesis",
            **texts,
        }
    )


def hashed(record: dict[str, Any]) -> dict[str, Any]:
    integrity = integrity_hash(
        action=record["action"],
        entity_type=record["entityType"],
        entity_id=record["entityId"],
        entity_name=record["entityName"],
        changes=record["changes"],
        user_id=record["userId"],
        user_name=record["userName"],
        tenant_id=record["tenantId"],
        request_id=record["requestId"],
        prev_hash=record["prevHash"],
    )
    record = {name: value for name, value in record.items() if name != "leafHash"} | {"integrityHash": integrity}
    return record | {"leafHash": leaf_hash(record)}


said = st.fixed_dictionaries(
    {
        **dict.fromkeys(("action", "entityType", "entityId", "userName"), texts),
        **{name: st.none() | texts for name in ("entityName", "userId", "requestId")},
        "timestamp": st.sampled_from(MOMENTS),
    }
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(said, values, values, values), min_size=1, max_size=4))
def test_rows_give_the_hashes_of_the_plain_arithmetic(several: list[tuple[dict[str, Any], Any, Any, Any]]) -> None:
    records = [record_of(*each) for each in several]
    found = rows.derive([row_of(record) for record in records])
    assert found.seqs == [7] * len(records)
    assert list(found.ids) == [record["id"] for record in records]
    assert list(found.prev_hashes) == ["genesis"] * len(records)
    assert list(found.integrity_hashes) == [record["integrityHash"] for record in records]
    assert found.leaves == [bytes.fromhex(record["leafHash"]) for record in records]


BARE = {
    **dict.fromkeys(("action", "entityType", "entityId", "userName", "entityName", "userId", "requestId"), "x"),
    "timestamp": MOMENTS[0],
}


@pytest.mark.parametrize("value", NASTY)
def test_unusual_json_gives_its_hashes_among_other_records(value: Any) -> None:
    records = [record_of(BARE, each, None, [each]) for each in ({"a": 1}, value)]
    found = rows.derive([row_of(record) for record in records])
    assert found.leaves == [bytes.fromhex(record["leafHash"]) for record in records]


def test_json_nested_too_deeply_spoils_its_own_record_alone() -> None:
    other = record_of(BARE, {"a": 1}, None, None)
    deep = hashed(other | {"changes": json.loads("[" * 210 + "]" * 210)})
    found = rows.derive([row_of(deep), row_of(other)])
    assert found.leaves == [None, bytes.fromhex(other["leafHash"])]


FORGED = [None, "", "0", '"', "[]", '{"a": 1', "\x01", "null", "1.5"]


@pytest.mark.parametrize("beside", [BARE, {**BARE, "userName": '"'}])
def test_no_other_text_in_any_column_gives_the_hashes(beside: dict[str, Any]) -> None:
    """Whether or not another record among them needs its text escaped."""
    record = record_of({**BARE, "entityName": None}, {"a": "1"}, {"b": None}, {"c": 2})
    other = record_of(beside, {}, None, [])
    stored = row_of(record)
    for place, name in enumerate((*COLUMNS, "changes", "before", "after")):
        for text in FORGED:
            numbers_only = name in ("seq", "entityVersion") and text != "0" and (text, name) != (None, "entityVersion")
            if text == stored[place] or numbers_only:
                continue
            found = rows.derive([row_of(other), (*stored[:place], text, *stored[place + 1 :])])
            assert found.leaves == [bytes.fromhex(other["leafHash"]), None], (name, text)


@settings(max_examples=150, deadline=None)
@given(values)
def test_canonical_json_is_that_of_the_library(value: Any) -> None:
    stored = exact(value)
    text = jsonb(stored)
    assert rows.canonical_json(text) == canonical(loads_exact(text)) == canonical(stored)


@pytest.mark.parametrize("text", ["9007199254740993", "[1, 18446744073709551616]", '{"a": 0.1000000000000000055}'])
def test_a_number_that_the_writer_would_have_kept_as_text_fits_nothing(text: str) -> None:
    """Else a text could be replaced by the number of the same digits."""
    kept = canonical(loads_exact(text))
    with suppress(NotCanonical, orjson.JSONEncodeError):
        assert rows.canonical_json(text) != kept


def test_what_is_nested_too_deeply_fits_as_its_text_alone() -> None:
    deep = "[" * 210 + "]" * 210
    with pytest.raises(NotCanonical):
        rows.canonical_json(deep)
    assert rows.canonical_json(json.dumps(deep)) == canonical(deep)


@pytest.mark.usefixtures("db")
class TestInTheDatabase:
    def test_nasty_values_are_read_as_they_were_written(self, superuser: psycopg.Connection) -> None:
        with scope(tenant_id=ACME, actor=WRITER, request_id="req\t\\N"), transaction():
            for number, value in enumerate(NASTY):
                services.record(
                    action="test.event",
                    entity_type="Thing",
                    entity_id=TEXTS[number % len(TEXTS)],
                    entity_name=TEXTS[(number + 1) % len(TEXTS)],
                    changes={"value": value},
                )
        assert verdict(ACME).intact
        found = records(ACME, action="test.event")
        assert len(found) == len(NASTY)
        with scope(tenant_id=ACME, actor=WRITER), transaction():
            for whole in (False, True):
                [read] = rows.read(connection.connection, ACME, found[0].seq - 1, found[-1].seq, whole=whole)
                assert rows.derive(read).leaves == [bytes.fromhex(row.leaf_hash) for row in found]

    def test_what_is_too_large_to_be_read_beside_others_is_read_by_itself(self) -> None:
        write(3, tenant=ACME)
        letters = "".join(map(chr, random.Random(7).choices(range(0x4E00, 0x9FA5), k=rows._MUCH)))
        write(1, tenant=ACME, changes={"large": letters})
        write(3, tenant=ACME)
        [large] = records(ACME, entity_id="0", changes__large=letters)
        with scope(tenant_id=ACME, actor=WRITER), transaction():
            [beside] = rows.read(connection.connection, ACME, 0, large.seq)
            heaps = list(rows.read(connection.connection, ACME, 0, large.seq + 1, whole=True))
        assert rows.derive(beside).leaves[-1] is None
        assert [heap[-1][9] for heap in heaps] == [str(large.seq), str(large.seq + 1)]
        assert verdict(ACME).intact

    @pytest.mark.parametrize("moment", ["infinity", "-infinity", "0044-03-15 10:00:00 BC", "20000-01-01"])
    def test_a_moment_that_no_calendar_here_knows_is_a_fault_and_no_crash(
        self, superuser: psycopg.Connection, moment: str
    ) -> None:
        write(3, tenant=ACME)
        last = records(ACME)[-1]
        superuser.execute("SET session_replication_role = replica")
        superuser.execute('UPDATE audit_record SET "timestamp" = %s WHERE id = %s', [moment, last.pk])
        found = verdict(ACME)
        assert (found.broken_reason, found.broken_at_seq) == ("hash_mismatch", last.seq)

    def test_a_text_cannot_become_the_number_of_its_digits(self, superuser: psycopg.Connection) -> None:
        write(1, tenant=ACME, changes={"amount": 2**53 + 1})
        [row] = records(ACME, action="test.event")
        assert row.changes == {"amount": "9007199254740993"}
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE audit_record SET changes = '{\"amount\": 9007199254740993}' WHERE id = %s", [row.pk])
        found = verdict(ACME)
        assert (found.broken_reason, found.broken_at_id) == ("hash_mismatch", str(row.pk))

    def test_it_does_not_depend_on_how_a_role_spells_dates(self, superuser: psycopg.Connection) -> None:
        write(3, tenant=ACME)
        services.drain(ACME)
        with scope(tenant_id=ACME, actor=WRITER), transaction():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL datestyle = 'German'; SET LOCAL timezone = 'Asia/Kolkata'")
            assert verify().intact
