"""The verifier's fast arithmetic derives what the plain one does, for every row that the log can hold."""

import json
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
from audit.verification import lines
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

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


def escaped(value: str | None) -> str:
    """As COPY writes a column of text."""
    if value is None:
        return "\\N"
    for raw, text in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ("\b", "\\b"), ("\f", "\\f")):
        value = value.replace(raw, text)
    return value.replace("\v", "\\v")


def jsonb(value: Any) -> str:
    """As PostgreSQL prints it: no exponents, one space behind each comma and colon."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{jsonb(key)}: {jsonb(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(jsonb, value))}]"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return json.dumps(value, ensure_ascii=False)


def line_of(record: dict[str, Any]) -> bytes:
    columns = [
        *("seq", "id", "action", "entityType", "entityId", "entityName", "entityVersion", "userId", "userName"),
        *("actorType", "tenantId", "requestId", "timestamp", "integrityHash", "prevHash", "leafHash"),
    ]
    told = {**record, "timestamp": record["timestamp"].replace("T", " ")}
    cells = [escaped(None if told[c] is None else str(told[c])) for c in columns]
    cells += [escaped(None if record[c] is None else jsonb(record[c])) for c in ("changes", "before", "after")]
    return "\t".join(cells).encode() + b"\n"


def record_of(texts: dict[str, Any], changes: Any, before: Any, after: Any) -> dict[str, Any]:
    """A whole record with the hashes that the plain arithmetic gives it."""
    record = {
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
    record["integrityHash"] = integrity_hash(
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
    return record | {"leafHash": leaf_hash(record)}


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            **dict.fromkeys(("action", "entityType", "entityId", "userName"), texts),
            **{name: st.none() | texts for name in ("entityName", "userId", "requestId")},
        }
    ),
    st.tuples(values, values, values),
)
def test_a_line_gives_the_hashes_of_the_plain_arithmetic(said: dict[str, Any], three: tuple[Any, Any, Any]) -> None:
    record = record_of(said, *three)
    line = lines.derive(line_of(record))
    assert line == (7, record["id"], "genesis", record["integrityHash"], bytes.fromhex(record["leafHash"]))


@settings(max_examples=150, deadline=None)
@given(values)
def test_canonical_json_is_that_of_the_library(value: Any) -> None:
    stored = exact(value)
    text = jsonb(stored)
    assert lines.canonical_json(text) == canonical(loads_exact(text)) == canonical(stored)


@pytest.mark.parametrize("text", ["9007199254740993", "[1, 18446744073709551616]", '{"a": 0.1000000000000000055}'])
def test_a_number_that_the_writer_would_have_kept_as_text_fits_nothing(text: str) -> None:
    """Else a text could be replaced by the number of the same digits."""
    kept = canonical(loads_exact(text))
    with suppress(NotCanonical, orjson.JSONEncodeError):
        assert lines.canonical_json(text) != kept


def test_what_is_nested_too_deeply_fits_as_its_text_alone() -> None:
    deep = "[" * 210 + "]" * 210
    with pytest.raises(NotCanonical):
        lines.canonical_json(deep)
    assert lines.canonical_json(json.dumps(deep)) == canonical(deep)


@pytest.mark.parametrize(
    ("stored", "spelled"),
    [
        ("2026-01-15 09:00:00", "2026-01-15T09:00:00.000000Z"),
        ("2026-01-15 09:00:00.1", "2026-01-15T09:00:00.100000Z"),
        ("2026-01-15 09:00:00.000001", "2026-01-15T09:00:00.000001Z"),
    ],
)
def test_a_moment_has_one_spelling(stored: str, spelled: str) -> None:
    assert lines._timestamp(f"{stored}Z") == spelled


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
        rows = records(ACME, action="test.event")
        assert len(rows) == len(NASTY)
        with scope(tenant_id=ACME, actor=WRITER), transaction():
            read = list(lines.read(connection.connection, ACME, rows[0].seq - 1, rows[-1].seq))
        assert [lines.derive(line)[-1] for line in read] == [bytes.fromhex(row.leaf_hash) for row in rows]

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
