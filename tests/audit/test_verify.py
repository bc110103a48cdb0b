"""The verifier names what somebody with every right over the database did to the log."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg.rows import dict_row

from audit import services
from audit.chain import RECORD_FIELDS, integrity_hash, leaf_hash, timestamp_text
from audit.models import AuditRecord
from audit.tree import checkpoints, notes, signing
from audit.verification.verify import UnusableCheckpoint
from kaireon.tenancy.context import scope, transaction
from kaireon.tenancy.models import ApiKey
from tests.audit.log import records, verdict, write
from tests.cast import ACME, ADA, GLOBEX

pytestmark = pytest.mark.usefixtures("db")

Change = Callable[[psycopg.Connection], None]


@pytest.fixture(autouse=True)
def _log(db: str) -> None:
    """Ten records and more, with an update among them, whose every JSON column has something in it."""
    write(5, tenant=ACME, changes={"reason": "test"})
    with ADA.here(), transaction():
        ApiKey.objects.filter(prefix="vi").update(name="Renamed")
    write(5, tenant=ACME)


@pytest.fixture
def forger(superuser: psycopg.Connection) -> psycopg.Connection:
    """The superuser with every trigger switched off."""
    records(ACME)
    superuser.execute("SET session_replication_role = replica")
    return superuser


def updated() -> Any:
    """A record from the middle, with before, after and changes."""
    [record] = records(ACME, action="update")
    return record


def at(seq: int) -> Any:
    [record] = records(ACME, seq=seq)
    return record


def length() -> int:
    return len(records(ACME))


def forged(record: dict[str, Any]) -> dict[str, Any]:
    """The row with hashes that fit its contents, by the arithmetic that anybody can read."""
    hashed = {k: v for k, v in record.items() if k not in ("integrity_hash", "leaf_hash")}
    hashed["integrity_hash"] = integrity_hash(
        **{
            name: hashed[name]
            for name in (
                "action",
                "entity_type",
                "entity_id",
                "entity_name",
                "changes",
                "user_id",
                "user_name",
                "tenant_id",
                "request_id",
                "prev_hash",
            )
        }
    )
    wire = {camel(name): value for name, value in hashed.items()}
    wire |= {"id": str(hashed["id"]), "timestamp": timestamp_text(hashed["timestamp"])}
    return hashed | {"leaf_hash": leaf_hash(wire)}


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def row(forger: psycopg.Connection, seq: int) -> dict[str, Any]:
    with forger.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("SELECT * FROM audit_record WHERE tenant_id = 'acme' AND seq = %s", [seq]).fetchone()
    assert found is not None
    return found


def store(forger: psycopg.Connection, record: dict[str, Any]) -> None:
    forger.execute("DELETE FROM audit_record WHERE id = %s", [record["id"]])
    text = psycopg.types.json.Jsonb(
        {k: str(v) if k in ("id", "timestamp") else v for k, v in record.items()},
    )
    forger.execute("INSERT INTO audit_record SELECT * FROM jsonb_populate_record(NULL::audit_record, %s)", [text])


def test_an_untouched_log_is_intact() -> None:
    found = verdict(ACME)

    assert found.intact
    assert found.verified == found.total == found.scanned == length()


def test_what_it_derives_is_what_the_writer_wrote(forger: psycopg.Connection) -> None:
    for seq in range(1, length() + 1):
        assert forged(row(forger, seq)) == row(forger, seq)


# Column, and an SQL expression for what it becomes.
CONTENTS = {
    "id": "gen_random_uuid()",
    "action": "'delete'",
    "entity_type": "'Other'",
    "entity_id": "'other'",
    "entity_name": "'Other'",
    "changes": """'{"name": ["vi", "Other"]}'""",
    "before": "NULL",
    "after": "after || '{\"version\": 2}'",
    "entity_version": "7",
    "user_id": "NULL",
    "user_name": "'Mallory'",
    "actor_type": "'system'",
    "request_id": "'req-other'",
    "timestamp": "\"timestamp\" + interval '1 microsecond'",
    "integrity_hash": "repeat('0', 64)",
    "leaf_hash": "repeat('0', 64)",
}
# These change the place of a record: they are tried by themselves.
PLACES = {"seq", "prev_hash", "tenant_id"}


def test_every_column_of_the_table_is_tried() -> None:
    columns = {field.column for field in AuditRecord._meta.concrete_fields}
    assert columns == {*CONTENTS, *PLACES}
    assert {camel(name) for name in columns} == RECORD_FIELDS | {"leafHash"}


@pytest.mark.parametrize("column", CONTENTS)
def test_it_names_the_record_whose_contents_were_changed(forger: psycopg.Connection, column: str) -> None:
    record = updated()
    forger.execute(f'UPDATE audit_record SET "{column}" = {CONTENTS[column]} WHERE id = %s', [record.pk])

    found = verdict(ACME)
    assert (found.broken_reason, found.broken_at_seq) == ("hash_mismatch", record.seq)
    assert found.broken_at_id == str(at(record.seq).pk)
    assert (found.verified, found.scanned) == (record.seq - 1, length())


def test_moving_text_from_one_field_to_the_next_is_seen(forger: psycopg.Connection) -> None:
    """The seed's formula joins without separators, so its hash stays the same; the leaf does not."""
    record = updated()
    forger.execute(
        "UPDATE audit_record SET action = action || left(entity_type, 1), entity_type = substr(entity_type, 2)"
        " WHERE id = %s",
        [record.pk],
    )

    assert (verdict(ACME).broken_reason, verdict(ACME).broken_at_id) == ("hash_mismatch", str(record.pk))


def test_a_changed_link_is_named(forger: psycopg.Connection) -> None:
    record = updated()
    forger.execute("UPDATE audit_record SET prev_hash = repeat('0', 64) WHERE id = %s", [record.pk])

    assert (verdict(ACME).broken_reason, verdict(ACME).broken_at_id) == ("chain_link_mismatch", str(record.pk))


def test_a_gap_in_the_numbers_is_named(forger: psycopg.Connection) -> None:
    last = at(length())
    forger.execute("UPDATE audit_record SET seq = seq + 1 WHERE id = %s", [last.pk])

    assert (verdict(ACME).broken_reason, verdict(ACME).broken_at_id) == ("sequence_gap", str(last.pk))


def test_a_record_moved_to_another_tenant_is_missed(forger: psycopg.Connection) -> None:
    record = updated()
    following = at(record.seq + 1)
    forger.execute("UPDATE audit_record SET tenant_id = 'globex', seq = 900 WHERE id = %s", [record.pk])

    assert (verdict(ACME).broken_reason, verdict(ACME).broken_at_id) == ("chain_link_mismatch", str(following.pk))
    assert verdict("globex").broken_at_id == str(record.pk)


def test_a_record_removed_from_the_middle_is_missed_by_the_next(forger: psycopg.Connection) -> None:
    record = updated()
    following = at(record.seq + 1)
    forger.execute("DELETE FROM audit_record WHERE id = %s", [record.pk])

    found = verdict(ACME)
    assert (found.broken_reason, found.broken_at_id) == ("chain_link_mismatch", str(following.pk))
    assert found.verified == record.seq - 1


def test_a_removed_end_is_truncation(forger: psycopg.Connection) -> None:
    kept = at(length() - 2)
    forger.execute("DELETE FROM audit_record WHERE tenant_id = 'acme' AND seq > %s", [kept.seq])

    assert (verdict(ACME).broken_reason, verdict(ACME).broken_at_id) == ("truncated", str(kept.pk))


def test_a_removed_beginning_is_truncation(forger: psycopg.Connection) -> None:
    forger.execute("DELETE FROM audit_record WHERE tenant_id = 'acme' AND seq < 3")

    assert (verdict(ACME).broken_reason, verdict(ACME).broken_at_id) == ("truncated", str(at(3).pk))


def test_a_removed_log_is_truncation(forger: psycopg.Connection) -> None:
    forger.execute("DELETE FROM audit_record WHERE tenant_id = 'acme'")

    assert (verdict(ACME).broken_reason, verdict(ACME).broken_at_id) == ("truncated", None)


def test_a_record_put_in_between_breaks_the_link_of_the_next(forger: psycopg.Connection) -> None:
    place = updated().seq
    following = at(place + 1)
    for seq in range(length(), place, -1):
        forger.execute("UPDATE audit_record SET seq = seq + 1 WHERE tenant_id = 'acme' AND seq = %s", [seq])
    before = row(forger, place)
    invented = before | {
        "id": "0190a5e0-0000-7000-8000-0000000000ff",
        "seq": place + 1,
        "prev_hash": before["integrity_hash"],
        "action": "consent.granted",
    }
    store(forger, forged(invented))

    found = verdict(ACME)
    assert (found.broken_reason, found.broken_at_id) == ("chain_link_mismatch", str(following.pk))
    assert found.verified == place + 1


def test_a_record_put_at_the_end_is_not_where_the_log_ended(forger: psycopg.Connection) -> None:
    last = row(forger, length())
    invented = last | {
        "id": "0190a5e0-0000-7000-8000-0000000000ff",
        "seq": last["seq"] + 1,
        "prev_hash": last["integrity_hash"],
    }
    store(forger, forged(invented))

    assert not verdict(ACME).intact
    assert verdict(ACME).broken_at_id == invented["id"]


def test_two_records_that_changed_places_are_seen(forger: psycopg.Connection) -> None:
    first, second = at(3), at(4)
    for pk, seq in ((first.pk, -1), (second.pk, 3), (first.pk, 4)):
        forger.execute("UPDATE audit_record SET seq = %s WHERE id = %s", [seq, pk])

    assert (verdict(ACME).broken_reason, verdict(ACME).broken_at_id) == ("chain_link_mismatch", str(second.pk))


def test_a_chain_that_was_written_anew_does_not_end_where_the_log_ended(forger: psycopg.Connection) -> None:
    total, start = length(), updated().seq
    prev_hash = row(forger, start - 1)["integrity_hash"]
    for seq in range(start, total + 1):
        record = row(forger, seq) | {"prev_hash": prev_hash}
        if seq == start:
            record["user_name"] = "Mallory"
        record = forged(record)
        store(forger, record)
        prev_hash = record["integrity_hash"]

    found = verdict(ACME)
    assert (found.broken_reason, found.broken_at_seq) == ("hash_mismatch", total)


def test_a_window_says_that_it_is_one(forger: psycopg.Connection) -> None:
    total = length()
    forger.execute("UPDATE audit_record SET user_name = 'Mallory' WHERE tenant_id = 'acme' AND seq = 2")

    found = verdict(ACME, limit=3)
    assert (found.intact, found.window, found.scanned, found.total) == (True, True, 3, total)
    assert found.as_wire()["windowOnly"] is True
    assert not verdict(ACME, limit=total - 1).intact


class TestAgainstCheckpoints:
    """What hashes alone cannot show: whoever rewrites everything can make them fit."""

    @pytest.fixture
    def committed(self) -> int:
        services.drain(ACME)
        checkpoint = checkpoints.make(ACME)
        assert checkpoint is not None
        write(4, tenant=ACME)
        return checkpoint.size

    def test_a_log_that_grew_is_intact(self, committed: int) -> None:
        assert verdict(ACME).intact
        for limit in (1, 4, 5, 6, committed, length(), length() + 5):
            assert verdict(ACME, limit=limit).intact, limit

    def test_a_rewritten_log_with_fitting_hashes(self, committed: int, forger: psycopg.Connection) -> None:
        prev_hash = at(2).integrity_hash
        for seq in range(3, length() + 1):
            record = row(forger, seq) | {"prev_hash": prev_hash}
            record |= {"user_name": "somebody else"} if seq == 3 else {}
            record = forged(record)
            store(forger, record)
            prev_hash = record["integrity_hash"]
        forger.execute("UPDATE audit_head SET integrity_hash = %s WHERE tenant_id = 'acme'", [prev_hash])

        found = verdict(ACME)
        # The tiles still have the leaves that were signed, so they tell which record it is.
        assert (found.broken_reason, found.broken_at_seq, found.verified) == ("checkpoint_mismatch", 3, 2)
        # The window begins before the end of the checkpoint, after what was changed: the links alone would fit.
        assert verdict(ACME, limit=length() - 3).broken_reason == "checkpoint_mismatch"

    def test_a_tail_cut_before_the_checkpoint_with_a_fitting_head(
        self, committed: int, forger: psycopg.Connection
    ) -> None:
        last = at(committed - 2)
        forger.execute("DELETE FROM audit_record WHERE tenant_id = 'acme' AND seq > %s", [last.seq])
        forger.execute(
            "UPDATE audit_head SET seq = %s, integrity_hash = %s WHERE tenant_id = 'acme'",
            [last.seq, last.integrity_hash],
        )
        found = verdict(ACME)
        assert (found.broken_reason, found.broken_at_seq) == ("checkpoint_mismatch", last.seq)

    @pytest.mark.parametrize(
        "change",
        [
            "root_hash = repeat('0', 64)",
            "tree_size = tree_size - 1",
            "note = replace(note, E'\\n\\n', E'x\\n\\n')",
            "note = 'nothing'",
        ],
    )
    def test_a_checkpoint_that_was_tampered_with(self, committed: int, forger: psycopg.Connection, change: str) -> None:
        forger.execute(f"UPDATE audit_checkpoint SET {change} WHERE tenant_id = 'acme'")  # type: ignore[call-overload]
        assert verdict(ACME).broken_reason == "checkpoint_mismatch"

    def test_a_checkpoint_signed_by_another_key(self, committed: int, forger: psycopg.Connection) -> None:
        """Whoever has the database but not the sealing keys can only sign with a key of their own."""
        stranger = Ed25519PrivateKey.generate()
        stored = forger.execute("SELECT note FROM audit_checkpoint WHERE tenant_id = 'acme'").fetchone()
        assert stored is not None
        text = notes.Note.parse(stored[0]).text
        forged_note = str(notes.sign(text, name=signing.origin(ACME), key=stranger))
        forger.execute("UPDATE audit_checkpoint SET note = %s WHERE tenant_id = 'acme'", [forged_note])
        assert verdict(ACME).broken_reason == "checkpoint_mismatch"

    def test_damaged_tiles(self, committed: int, forger: psycopg.Connection) -> None:
        forger.execute(
            "UPDATE audit_tile SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1) WHERE tenant_id = 'acme'"
        )
        assert verdict(ACME, limit=length() - 2).broken_reason == "checkpoint_mismatch"

    def test_an_earlier_checkpoint_from_elsewhere(self, committed: int, forger: psycopg.Connection) -> None:
        """A database rolled back whole, checkpoints and all, contradicts what had been published."""
        with ADA.here(), transaction():
            newest = checkpoints.newest(ACME)
        assert newest is not None
        published = notes.Note.parse(newest.note)
        assert verdict(ACME, against=published).intact

        last = at(committed - 3)
        forger.execute("DELETE FROM audit_record WHERE tenant_id = 'acme' AND seq > %s", [last.seq])
        forger.execute("DELETE FROM audit_checkpoint; DELETE FROM audit_tile")
        forger.execute(
            "UPDATE audit_head SET seq = %s, integrity_hash = %s WHERE tenant_id = 'acme'",
            [last.seq, last.integrity_hash],
        )
        forger.execute("SET session_replication_role = origin")
        assert verdict(ACME).intact
        write(30, tenant=ACME)
        found = verdict(ACME, against=published)
        assert (found.broken_reason, found.broken_at_seq) == ("checkpoint_mismatch", committed)

    def test_a_checkpoint_of_another_log_is_refused(self, committed: int) -> None:
        write(3, tenant=GLOBEX)
        services.drain(GLOBEX)
        assert checkpoints.make(GLOBEX)
        with scope(tenant_id=GLOBEX, actor=ADA.actor), transaction():
            theirs = checkpoints.newest(GLOBEX)
        assert theirs is not None
        with pytest.raises(UnusableCheckpoint):
            verdict(ACME, against=notes.Note.parse(theirs.note))
