"""What is packed unpacks to the same lines; Parquet has typed columns; what the environment may say."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from django.core.checks import Error
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.parquet import ParquetFile, write_table

from customers import checks
from customers.exporting import formats, lines, parquet
from customers.exporting.formats import FORMATS, PARQUET, Unreadable
from kaireon.lib.canonical import SAFE_INTEGER
from tests.customers.exporting import warehouse

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# To the end of the year 9999.
MOMENTS = st.integers(0, 253_402_300_799_999_999).map(
    lambda us: (EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
QUANTITIES = st.none() | st.integers(-(2**63), 2**63 - 1).map(lambda n: n if abs(n) <= SAFE_INTEGER else str(n))
AMOUNTS = st.none() | st.decimals("-99999999999999.9999", "99999999999999.9999", places=4).map(lambda d: f"{d:.4f}")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT, lambda o: st.lists(o) | st.dictionaries(TEXT, o)
)
# As PostgreSQL spells JSON, or we do.
CONTEXTS = st.tuples(st.dictionaries(TEXT, JSON, max_size=3), st.sampled_from([(", ", ": "), (",", ":")])).map(
    lambda told: json.dumps(told[0], ensure_ascii=False, separators=told[1])
)


@st.composite
def written(draw: Callable[[Any], Any]) -> bytes:
    """A line as lines.py promises it."""
    row: dict[str, Any] = {
        "id": str(draw(st.uuids())),
        "customerRef": str(draw(st.sampled_from([UUID(int=1), UUID(int=2)]))),
        "occurredAt": draw(MOMENTS),
        **{name: draw(TEXT) for name in ("customerId", "kind", "channel", "offer")},
        "quantity": draw(QUANTITIES),
        "amount": draw(AMOUNTS),
        **{name: draw(TEXT) for name in ("currency", "externalId")},
    }
    told = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    return f'{told[:-1]},"context":{draw(CONTEXTS)},"createdAt":"{draw(MOMENTS)}"}}'.encode()


LINE = (
    b'{"id":"0198f6a0-0000-7000-8000-000000000001","customerRef":"0197f6a0-0000-7000-8000-000000000002",'
    b'"occurredAt":"2026-01-10T10:00:00.000001Z","customerId":"c-1","kind":"purchase","channel":"web","offer":"",'
    b'"quantity":"9007199254740993","amount":"11.7700","currency":"USD","externalId":"o-1","context":{"a": [1, 2.50]},'
    b'"createdAt":"2026-01-15T12:00:00.000000Z"}'
)


@settings(max_examples=60)
@given(packed=st.lists(written(), max_size=4))
def test_what_was_packed_unpacks_to_the_byte_and_packs_the_same(packed: list[bytes]) -> None:
    for form in FORMATS:
        content = form.pack(packed)
        assert form.unpack(content) == packed
        assert form.pack(packed) == content


def test_the_name_says_the_form() -> None:
    for form in FORMATS:
        assert formats.of(f"exports/acme/batch-1Z.{form.ending}") is form
        assert formats.of(f"exports/acme/batch-1Z.r1.{form.ending}") is form
    with pytest.raises(formats.FormatUnknown):
        formats.of("exports/acme/batch-1Z.orc")


def test_parquet_has_a_typed_column_for_each_member() -> None:
    file = ParquetFile(pa.BufferReader(PARQUET.pack([LINE])))
    assert file.metadata.metadata[b"kaireon.schema"] == b"interactions-1"
    types = {field.name: str(field.type) for field in file.schema_arrow}
    assert list(types) == list(json.loads(LINE)) == list(lines.FIELDS)
    assert {name: of for name, of in types.items() if of != "string"} == {
        "occurredAt": "timestamp[us, tz=UTC]",
        "quantity": "int64",
        "amount": "decimal128(18, 4)",
        "createdAt": "timestamp[us, tz=UTC]",
    }
    [row] = file.read().to_pylist()
    assert row["occurredAt"] == datetime(2026, 1, 10, 10, 0, 0, 1, tzinfo=UTC)
    assert (row["quantity"], row["amount"], row["context"]) == (2**53 + 1, Decimal("11.77"), '{"a": [1, 2.50]}')


def test_no_summary_of_a_parquet_file_names_anybody() -> None:
    """What readers keep of a file is its end, and the heads of its pages: neither is compressed."""
    content = PARQUET.pack([LINE] * 3)
    group = ParquetFile(pa.BufferReader(content)).metadata.row_group(0)
    columns = [group.column(at) for at in range(group.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    assert {column.path_in_schema for column in columns if column.is_stats_set} == {"occurredAt", "createdAt"}
    assert not any(column.bloom_filter_offset for column in columns)
    footer = content[-8 - int.from_bytes(content[-8:-4], "little") :]
    for named in (b"0198f6a0", b"0197f6a0", b"c-1", b"o-1"):
        assert named not in footer
        assert named in warehouse.readable(content)


def test_what_cannot_be_read_is_said() -> None:
    for form, content in ((form, form.pack([LINE])) for form in FORMATS[1:]):
        for damaged in (content[:-6], content[: len(content) // 2], b"\0" * len(content)):
            with pytest.raises(Unreadable):
                form.unpack(damaged)
    other = pa.BufferOutputStream()
    write_table(pa.table({"id": ["1"]}), other)
    with pytest.raises(formats.FormatUnknown):
        PARQUET.unpack(bytes(other.getvalue()))
    newer = pa.BufferOutputStream()
    write_table(parquet.SCHEMA.empty_table().replace_schema_metadata({"kaireon.schema": "interactions-2"}), newer)
    with pytest.raises(formats.FormatUnknown):
        PARQUET.unpack(bytes(newer.getvalue()))


def said(form: str, *, compressed: bool = False) -> list[Any]:
    with override_settings(EXPORT_INTERACTIONS_FORMAT=form, EXPORT_INTERACTIONS_GZIP=compressed):
        return checks.exports_have_a_form(None)


def test_what_the_environment_may_say() -> None:
    assert said("ndjson") == said("ndjson", compressed=True) == said("parquet") == []
    [unknown] = said("Parquet")
    assert unknown == Error(
        "EXPORT_INTERACTIONS_FORMAT is unknown.",
        hint="Set it to ndjson or parquet, or unset it for ndjson.",
        id="kaireon.E080",
    )
    [both] = said("parquet", compressed=True)
    assert "EXPORT_INTERACTIONS_GZIP" in both.msg
    assert (both.hint.startswith("Unset EXPORT_INTERACTIONS_GZIP"), both.id) == (True, "kaireon.E080")
