"""Nothing but the one function takes records from the log, and a tombstone that was forged is none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from audit.models import Tombstone
from audit.pruning import beginning, tombstones
from audit.pruning import prune as pruning
from audit.tree import notes, signing
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.audit.log import records, verdict
from tests.audit.pruning.old_log import OLD, applied, approved, asked, planned, policy, triggers_off
from tests.audit.pruning.old_log import tombstones as stones
from tests.cast import ACME, ADA
from tests.servers import SUITE

pytestmark = pytest.mark.usefixtures("size")


@pytest.fixture
def owner(db: str) -> Iterator[psycopg.Connection]:
    """The owner's plain SQL, in Acme."""
    with psycopg.connect(SUITE.urls(db)["owner"], autocommit=True) as connection:
        for name, value in (("tenant_id", ACME), ("actor_type", "system"), ("actor_name", "owner")):
            connection.execute("SELECT set_config(%s, %s, false)", [f"app.{name}", value])
        yield connection


def statement(**changed: Any) -> dict[str, Any]:
    """What a tombstone of the old part would say, but for what is changed."""
    plan = planned()
    last = records(ACME, seq=plan.last_seq)[0]
    return {
        "tenantId": ACME,
        "origin": signing.origin(ACME),
        **plan.as_payload(),
        "lastIntegrityHash": last.integrity_hash,
        "oldest": clock.rfc3339(clock.now()),
        "newest": clock.rfc3339(clock.now()),
        "policy": {},
        "approval": {"id": str(uuid4()), "requestedBy": {}, "approvedBy": []},
        "archive": {"name": "x", "sha256": "0" * 64, "bytes": 1},
        "prunedAt": clock.rfc3339(clock.now()),
    } | changed


def note(said: dict[str, Any]) -> str:
    """Signed by nobody that counts: the database cannot tell."""
    return str(notes.sign(tombstones.text(said), name="nobody", key=Ed25519PrivateKey.generate()))


# What a tombstone says wrongly, and how the database refuses it.
UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"firstSeq": 2, "records": OLD}, "from record 1 on"),
    ({"records": 1}, "from record 1 on"),
    ({"lastSeq": 0, "records": 0}, "from record 1 on"),
    ({"lastSeq": 7, "records": 7}, "no checkpoint"),
    ({"rootHash": "0" * 64}, "no checkpoint"),
    ({"lastIntegrityHash": "0" * 64}, "no kept record links"),
    ({"tenantId": "globex"}, "no checkpoint"),
]


class TestWalls:
    def refused(self, session: psycopg.Connection, query: str, *parameters: Any) -> str:
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refusal, session.transaction():
            session.execute(query, parameters)  # type: ignore[arg-type]
        assert records(ACME)[0].seq == 1
        assert stones() == []
        return str(refusal.value)

    def prune(self, owner: psycopg.Connection, **changed: Any) -> str:
        return self.refused(owner, "SELECT public.audit_prune(%s)", note(statement(**changed)))

    @pytest.mark.parametrize("role", ["default", "sequencer"])
    def test_nobody_else_may_call_it(self, db: str, role: str) -> None:
        with psycopg.connect(SUITE.urls(db)[role], autocommit=True) as session:
            session.execute("SELECT set_config('app.tenant_id', 'acme', false)")
            assert "permission denied" in self.refused(session, "SELECT public.audit_prune('x')")
            assert "permission denied" in self.refused(session, "DELETE FROM audit_record")
            assert "permission denied" in self.refused(session, "INSERT INTO audit_tombstone DEFAULT VALUES")

    def test_the_owner_removes_nothing_by_hand(self, owner: psycopg.Connection) -> None:
        assert "append-only" in self.refused(owner, "DELETE FROM audit_record WHERE seq = 1")
        assert "append-only" in self.refused(owner, "DELETE FROM audit_record WHERE false")
        assert "append-only" in self.refused(owner, "INSERT INTO audit_tombstone DEFAULT VALUES")
        # Not as the function's role either: it has no tombstone of this transaction.
        owner.execute("SET ROLE kaireon_pruner")
        assert "append-only" in self.refused(owner, "DELETE FROM audit_record WHERE seq = 1")
        owner.execute("RESET ROLE")

    def test_without_an_approved_request_of_this_tenant(self, owner: psycopg.Connection) -> None:
        assert "nobody has approved it" in self.prune(owner)
        pending = {"id": str(asked()), "requestedBy": {}, "approvedBy": []}
        assert "nobody has approved it" in self.prune(owner, approval=pending)

    def test_what_does_not_fit_the_log(self, owner: psycopg.Connection) -> None:
        approval = {"id": str(approved()), "requestedBy": {}, "approvedBy": []}
        for changed, message in UNFIT:
            assert message in self.prune(owner, approval=approval, **changed), changed

    @pytest.mark.parametrize(
        "tampering",
        [
            "DELETE FROM audit_publication",
            "UPDATE audit_checkpoint SET signed_at = now() - interval '364 days'",
        ],
    )
    def test_what_was_not_published_or_is_younger_than_a_year(
        self, owner: psycopg.Connection, superuser: psycopg.Connection, tampering: str
    ) -> None:
        said = statement(approval={"id": str(approved()), "requestedBy": {}, "approvedBy": []})
        with triggers_off(superuser):
            superuser.execute(tampering)  # type: ignore[arg-type]
        assert "no checkpoint" in self.refused(owner, "SELECT public.audit_prune(%s)", note(said))

    def test_records_whose_leaves_the_tree_does_not_hold(
        self, owner: psycopg.Connection, superuser: psycopg.Connection
    ) -> None:
        said = statement(approval={"id": str(approved()), "requestedBy": {}, "approvedBy": []})
        with triggers_off(superuser):
            superuser.execute(
                "UPDATE audit_tile SET hashes = set_byte(hashes, 40, get_byte(hashes, 40) # 1)"
                " WHERE tenant_id = 'acme' AND level = 0 AND index = 1"
            )
        assert "leaf hashes" in self.refused(owner, "SELECT public.audit_prune(%s)", note(said))

    def test_a_hold_beats_the_owner_too(self, owner: psycopg.Connection) -> None:
        said = statement(approval={"id": str(approved()), "requestedBy": {}, "approvedBy": []})
        policy(hold=True)
        with pytest.raises(psycopg.errors.IntegrityError, match="legal hold"):
            owner.execute("SELECT public.audit_prune(%s)", [note(said)])
        assert stones() == []

    def test_the_role_of_the_function_removes_exactly_the_range(self, owner: psycopg.Connection) -> None:
        """With a tombstone of this very transaction, and every other range."""
        said = statement(approval={"id": str(approved()), "requestedBy": {}, "approvedBy": []})
        insert = (
            "INSERT INTO audit_tombstone (tenant_id, first_seq, last_seq, records, root_hash, last_integrity_hash,"
            " oldest, newest, policy, approval, approval_id, archive_name, archive_sha256, pruned_at, note)"
            " VALUES ('acme', %s, %s, %s, %s, %s, now(), now(), '{}', '{}', %s, 'x', 'x', now(), 'x')"
        )
        values = [said[n] for n in ("firstSeq", "lastSeq", "records", "rootHash", "lastIntegrityHash")]
        owner.execute("SET ROLE kaireon_pruner")
        for where in ("seq < %s", "seq <= %s + 1", "seq > 1 AND seq <= %s", "seq = 1 AND %s > 0", "seq > 9 * %s"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"), owner.transaction():
                owner.execute(insert, [*values, said["approval"]["id"]])
                owner.execute(f"DELETE FROM audit_record WHERE {where}", [said["lastSeq"]])  # type: ignore[arg-type]
        # One committed without its removal gives nothing to a later transaction.
        owner.execute(insert, [*values, said["approval"]["id"]])
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            owner.execute("DELETE FROM audit_record WHERE seq <= %s", [said["lastSeq"]])
        assert records(ACME)[0].seq == 1

    def test_an_approval_is_good_for_one(self, owner: psycopg.Connection) -> None:
        stone = applied(approved()).tombstone
        said = statement_after(stone)
        with pytest.raises(psycopg.errors.Error), owner.transaction():
            owner.execute("SELECT public.audit_prune(%s)", [note(said)])
        assert len(stones()) == 1


def statement_after(stone: Tombstone) -> dict[str, Any]:
    """The same approval for what comes next."""
    parsed = tombstones.parse(stone.note, _keys())
    return parsed | {"firstSeq": stone.last_seq + 1, "lastSeq": stone.last_seq + 21, "records": 21}


def _keys() -> list[notes.PublicKey]:
    with ADA.here(), transaction():
        return [signing.public_key(key) for key in signing.keys(ACME)]


# Column of the tombstone, and an SQL expression for what it becomes.
FORGED = {
    "tenant_id": "'globex'",
    "first_seq": "2",
    "last_seq": "last_seq + 1",
    "records": "records - 1",
    "root_hash": "repeat('0', 64)",
    "last_integrity_hash": "repeat('0', 64)",
    "oldest": "oldest - interval '1 microsecond'",
    "newest": "newest + interval '1 microsecond'",
    "policy": """policy || '{"retentionDays": 3650}'""",
    "approval": """approval || '{"approvedBy": []}'""",
    "approval_id": "gen_random_uuid()",
    "archive_name": "'archives/acme/other.zip'",
    "archive_sha256": "repeat('0', 64)",
    "pruned_at": "pruned_at + interval '1 day'",
    "note": "replace(note, 'acme', 'acne')",
}
# Which transaction wrote it: it says nothing, and is in no signature.
UNSIGNED = {"written_in"}


class TestForged:
    @pytest.fixture
    def stone(self) -> Tombstone:
        return applied(approved()).tombstone

    def broken(self) -> tuple[str | None, int | None]:
        found = verdict(ACME)
        assert (found.broken_at_id is None) == (found.broken_at_seq is None)
        return found.broken_reason, found.broken_at_seq

    def test_every_column_is_tried(self, superuser: psycopg.Connection) -> None:
        with superuser.cursor(row_factory=dict_row) as cursor:
            cursor.execute("SELECT * FROM audit_tombstone LIMIT 0")
            assert cursor.description is not None
            assert {c.name for c in cursor.description} == FORGED.keys() | UNSIGNED

    def test_a_changed_column(self, stone: Tombstone, superuser: psycopg.Connection) -> None:
        superuser.execute("CREATE TABLE signed AS SELECT * FROM audit_tombstone")
        changes = {column: f"UPDATE audit_tombstone SET {column} = {value}" for column, value in FORGED.items()}
        for column, change in (changes | {"none at all": "DELETE FROM audit_tombstone"}).items():
            with triggers_off(superuser):
                superuser.execute(change)  # type: ignore[arg-type]
            assert self.broken() == ("truncated", stone.last_seq + 1), column
            with triggers_off(superuser):
                superuser.execute("DELETE FROM audit_tombstone")
                superuser.execute("INSERT INTO audit_tombstone SELECT * FROM signed")
            assert verdict(ACME).intact

    @pytest.mark.parametrize(
        "change",
        [
            {"rootHash": "0" * 64},
            {"firstSeq": 2, "records": OLD},
            {"approval": {"id": str(uuid4()), "requestedBy": {}, "approvedBy": []}},
        ],
        ids=["root", "range", "approval"],
    )
    @pytest.mark.parametrize("key", ["another's", "the log's"])
    def test_one_written_anew(
        self, stone: Tombstone, superuser: psycopg.Connection, change: dict[str, Any], key: str
    ) -> None:
        """Columns and text agree. Signed by a key of the forger's own nothing holds; by a stolen one, what fits."""
        said = tombstones.parse(stone.note, _keys()) | change
        with ADA.here(), transaction():
            log_key = signing.signer().private
        signer = log_key if key == "the log's" else Ed25519PrivateKey.generate()
        forged = str(notes.sign(tombstones.text(said), name=signing.origin(ACME), key=signer))
        with triggers_off(superuser):
            superuser.execute(
                "UPDATE audit_tombstone SET note = %s, root_hash = %s, first_seq = %s, records = %s, approval_id = %s,"
                " approval = %s",
                [
                    forged,
                    *(said[name] for name in ("rootHash", "firstSeq", "records")),
                    said["approval"]["id"],
                    Jsonb({k: v for k, v in said["approval"].items() if k != "id"}),
                ],
            )
        if key == "another's" or "firstSeq" in change:
            assert self.broken() == ("truncated", stone.last_seq + 1)
        elif "rootHash" in change:
            assert self.broken() == ("checkpoint_mismatch", stone.last_seq + 1)
        else:
            assert verdict(ACME).intact

    def test_a_signed_one_that_the_log_does_not_link_to(self, stone: Tombstone, superuser: psycopg.Connection) -> None:
        said = tombstones.parse(stone.note, _keys()) | {"lastIntegrityHash": "0" * 64}
        with ADA.here(), transaction():
            forged = str(signing.signer().sign(tombstones.text(said)))
        with triggers_off(superuser):
            superuser.execute("UPDATE audit_tombstone SET note = %s, last_integrity_hash = repeat('0', 64)", [forged])
        assert self.broken() == ("chain_link_mismatch", stone.last_seq + 1)

    def test_more_went_than_it_says(self, stone: Tombstone, superuser: psycopg.Connection) -> None:
        with triggers_off(superuser):
            superuser.execute("DELETE FROM audit_record WHERE tenant_id = 'acme' AND seq <= %s", [stone.last_seq + 3])
        assert self.broken() == ("truncated", stone.last_seq + 4)

    def test_everything_went(self, stone: Tombstone, superuser: psycopg.Connection) -> None:
        records(ACME)
        with triggers_off(superuser):
            superuser.execute("DELETE FROM audit_record WHERE tenant_id = 'acme'")
        assert self.broken() == ("truncated", None)

    def test_a_forged_removal_without_a_prune(self, superuser: psycopg.Connection, size: int) -> None:
        """The prefix deleted by hand, and a tombstone made up for it: signed by nobody who counts."""
        said = statement()
        with triggers_off(superuser):
            superuser.execute("DELETE FROM audit_record WHERE tenant_id = 'acme' AND seq <= %s", [size])
            superuser.execute(
                "INSERT INTO audit_tombstone VALUES ('acme', 1, %s, %s, %s, %s, now(), now(), '{}', '{}',"
                " gen_random_uuid(), 'x', 'x', now(), %s, '1')",
                [size, size, said["rootHash"], said["lastIntegrityHash"], note(said)],
            )
        assert self.broken() == ("truncated", size + 1)

    def test_a_record_that_went_is_put_back(self, superuser: psycopg.Connection) -> None:
        superuser.execute("CREATE TABLE kept AS SELECT * FROM audit_record WHERE tenant_id = 'acme' AND seq IN (3, 9)")
        applied(approved())
        with triggers_off(superuser):
            superuser.execute("INSERT INTO audit_record SELECT * FROM kept")
        reason, seq = self.broken()
        assert (reason, seq) == ("chain_link_mismatch", 3)

    def test_leaf_hashes_of_what_went_are_changed(self, stone: Tombstone, superuser: psycopg.Connection) -> None:
        with triggers_off(superuser):
            superuser.execute(
                "UPDATE audit_tile SET hashes = set_byte(hashes, 40, get_byte(hashes, 40) # 1)"
                " WHERE tenant_id = 'acme' AND level = 0 AND index = 1"
            )
        assert self.broken()[0] == "checkpoint_mismatch"

    def test_where_it_begins_is_told_for_what_holds(self, stone: Tombstone) -> None:
        with ADA.here(), transaction():
            begins = beginning.kept_from(ACME)
        assert (begins.seq, begins.fault, begins.tombstone) == (stone.last_seq + 1, None, stone)
        assert begins.prev_hash == records(ACME)[0].prev_hash


def test_the_floor_is_the_same_in_both_places() -> None:
    text = (Path(pruning.__file__).parent / "prune.sql").read_text()
    assert f"interval '{pruning.FLOOR_DAYS} days'" in text
