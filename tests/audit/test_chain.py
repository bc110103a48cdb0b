import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType

import pytest
import rfc8785

from audit.chain import (
    GENESIS,
    RECORD_FIELDS,
    Canonical,
    IncompleteRecord,
    integrity_hash,
    leaf_hash,
    leaf_hash_around,
    record_bytes,
    timestamp_text,
)
from kaireon.lib.canonical import LoneSurrogate, NotCanonical, canonical
from kaireon.lib.clock import NaiveMoment

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "integrity_chain.json").read_text())

RECORD = {
    "id": "0190a000-0000-7000-8000-000000000001",
    "seq": 1,
    "action": "update",
    "entityType": "Offer",
    "entityId": "o-1",
    "entityName": "Frühling",
    "changes": {"name": ["Spring", "Frühling"], "€": 1, "a": None},
    "before": {"name": "Spring"},
    "after": {"name": "Frühling"},
    "entityVersion": 2,
    "userId": "u-1",
    "userName": "Ada",
    "actorType": "user",
    "tenantId": "acme",
    "requestId": None,
    "timestamp": "2026-01-15T09:00:00.000000Z",
    "integrityHash": "ab" * 32,
    "prevHash": GENESIS,
}


def hash_of(record):
    return integrity_hash(
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


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["action"])
def test_it_hashes_as_the_vectors_say(vector):
    assert hash_of(vector) == vector["integrityHash"]


def test_the_vectors_are_one_chain():
    assert VECTORS[0]["prevHash"] == GENESIS
    assert [after["prevHash"] for after in VECTORS[1:]] == [before["integrityHash"] for before in VECTORS[:-1]]


def test_empty_changes_are_not_null():
    assert hash_of({**RECORD, "changes": {}}) != hash_of({**RECORD, "changes": None})


def test_a_leaf_is_a_zero_byte_and_the_canonical_record():
    assert record_bytes(RECORD) == rfc8785.dumps(RECORD)
    assert leaf_hash(RECORD) == hashlib.sha256(b"\x00" + rfc8785.dumps(RECORD)).hexdigest()
    assert leaf_hash(MappingProxyType(RECORD)) == leaf_hash(dict(reversed(RECORD.items())))


@pytest.mark.parametrize("field", sorted(RECORD_FIELDS))
def test_a_leaf_covers_every_field(field):
    assert leaf_hash({**RECORD, field: "another"}) != leaf_hash(RECORD)
    with pytest.raises(IncompleteRecord, match=field):
        leaf_hash({name: value for name, value in RECORD.items() if name != field})


def test_it_refuses_what_has_no_canonical_form_without_repeating_it():
    with pytest.raises(NotCanonical):
        hash_of({**RECORD, "changes": {"n": 2**60}})
    with pytest.raises(LoneSurrogate) as e:
        hash_of({**RECORD, "entityName": "secret\ud800"})
    assert "secret" not in str(e.value)


def test_a_timestamp_is_utc_with_six_decimals():
    ist = timezone(timedelta(hours=5, minutes=30))

    assert timestamp_text(datetime(2026, 1, 15, 9, tzinfo=UTC)) == "2026-01-15T09:00:00.000000Z"
    assert timestamp_text(datetime(2026, 1, 15, 14, 30, 0, 120, tzinfo=ist)) == "2026-01-15T09:00:00.000120Z"
    with pytest.raises(NaiveMoment):
        timestamp_text(datetime(2026, 1, 15))  # noqa: DTZ001 - that is what is tried


LARGE = ("changes", "before", "after")


@pytest.mark.parametrize("large", [{"a": [1, "ü", {"x": None}]}, {}, [], "text", None])
def test_it_takes_over_what_is_canonical_already(large):
    record = RECORD | dict.fromkeys(LARGE, large)
    parts = {name: None if record[name] is None else Canonical(canonical(record[name])) for name in LARGE}
    others = {name: value for name, value in record.items() if name not in LARGE}
    assert leaf_hash_around(others, **parts) == leaf_hash(record)
    fields = {
        "action": "update",
        "entity_type": "Offer",
        "entity_id": "o-1",
        "entity_name": None,
        "user_id": None,
        "user_name": "Ada",
        "tenant_id": "acme",
        "request_id": None,
        "prev_hash": GENESIS,
    }
    assert integrity_hash(changes=parts["changes"], **fields) == integrity_hash(changes=large, **fields)
    for wrong in (RECORD, others | {"more": 1}, {k: v for k, v in others.items() if k != "seq"}):
        with pytest.raises(IncompleteRecord):
            leaf_hash_around(wrong, **parts)
