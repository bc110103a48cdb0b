"""What somebody with every right over the database, and more, does to the log; see the table in docs/evidence.md.

Single records are in test_verify.py, purges that never were in pruning/test_walls.py.
"""

from hashlib import sha256
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import services
from audit.models import Checkpoint
from audit.tree import checkpoints, merkle, notes, signing, tiles
from audit.verification.verify import UnusableCheckpoint, _tiles_fit_above
from kaireon.tenancy.context import transaction
from tests.audit.log import records, verdict, write
from tests.audit.test_verify import forged, row, store
from tests.cast import ACME, ADA

pytestmark = pytest.mark.usefixtures("db")

REWRITTEN = 5


@pytest.fixture
def forger(superuser: psycopg.Connection) -> psycopg.Connection:
    superuser.execute("SET session_replication_role = replica")
    return superuser


@pytest.fixture
def committed(db: str) -> int:
    """The size of a log of which every record is committed to."""
    write(300, tenant=ACME)
    services.drain(ACME)
    while checkpoints.make(ACME):
        services.drain(ACME)
    return len(records(ACME))


def newest() -> Checkpoint:
    with ADA.here(), transaction():
        found = checkpoints.newest(ACME)
    assert found is not None
    return found


def rewrite(forger: psycopg.Connection, size: int) -> None:
    """From record REWRITTEN on, with hashes, links and head that fit."""
    prev_hash = row(forger, REWRITTEN - 1)["integrity_hash"]
    for seq in range(REWRITTEN, size + 1):
        record = row(forger, seq) | {"prev_hash": prev_hash}
        record |= {"user_name": "somebody else"} if seq == REWRITTEN else {}
        record = forged(record)
        store(forger, record)
        prev_hash = record["integrity_hash"]
    forger.execute("UPDATE audit_head SET integrity_hash = %s WHERE tenant_id = 'acme'", [prev_hash])


def rewrite_tiles(forger: psycopg.Connection) -> bytes:
    """So that they are those of the records that are there; gives the root."""
    leaves = [
        bytes.fromhex(leaf)
        for (leaf,) in forger.execute("SELECT leaf_hash FROM audit_record WHERE tenant_id = 'acme' ORDER BY seq")
    ]
    grown: dict[tuple[int, int], bytes] = {}
    for level, index, hashes in tiles.grown(0, leaves, lambda *key: grown.get(key, b"")):
        grown[level, index] = hashes
    forger.execute("DELETE FROM audit_tile WHERE tenant_id = 'acme'")
    for (level, index), hashes in grown.items():
        forger.execute("INSERT INTO audit_tile VALUES ('acme', %s, %s, %s)", [level, index, hashes])
    return merkle.root(len(leaves), tiles.node(lambda *key: grown.get(key, b"")))


class TestTheWholeLogIsRewritten:
    def test_with_hashes_that_fit(self, committed: int, forger: psycopg.Connection) -> None:
        rewrite(forger, committed)
        found = verdict(ACME)
        assert (found.broken_reason, found.broken_at_seq) == ("checkpoint_mismatch", REWRITTEN)

    def test_and_the_tree_too(self, committed: int, forger: psycopg.Connection) -> None:
        rewrite(forger, committed)
        rewrite_tiles(forger)
        found = verdict(ACME)
        assert (found.broken_reason, found.broken_at_seq) == ("checkpoint_mismatch", committed)

    def test_and_the_checkpoint_row_signed_by_a_key_that_was_slipped_in(
        self, committed: int, forger: psycopg.Connection
    ) -> None:
        """Whoever has the database, and not the master keys, cannot make a key that counts as ours."""
        published = notes.Note.parse(newest().note)
        rewrite(forger, committed)
        root = rewrite_tiles(forger)
        stranger = Ed25519PrivateKey.generate()
        origin = signing.origin(ACME)
        text = notes.Checkpoint(origin=origin, size=committed, root=root).text
        forger.execute(
            "UPDATE audit_signingkey SET public_key = %s WHERE tenant_id = 'acme'",
            [stranger.public_key().public_bytes_raw()],
        )
        forger.execute(
            "UPDATE audit_checkpoint SET root_hash = %s, note = %s WHERE tenant_id = 'acme' AND tree_size = %s",
            [root.hex(), str(notes.sign(text, name=origin, key=stranger)), committed],
        )
        found = verdict(ACME)
        assert (found.broken_reason, found.broken_at_seq) == ("checkpoint_mismatch", committed)
        # Nor does what was published hold any more: nothing is said in its name.
        with pytest.raises(UnusableCheckpoint):
            verdict(ACME, against=published)

    def test_and_signed_with_the_stolen_key(self, committed: int, forger: psycopg.Connection) -> None:
        """Database and master keys together: what left the house before is what remains."""
        published = notes.Note.parse(newest().note)
        rewrite(forger, committed)
        forger.execute("DELETE FROM audit_checkpoint WHERE tenant_id = 'acme'")
        forger.execute("DELETE FROM audit_tile WHERE tenant_id = 'acme'")
        assert checkpoints.make(ACME)
        assert verdict(ACME).intact
        found = verdict(ACME, against=published)
        assert (found.broken_reason, found.broken_at_seq) == ("checkpoint_mismatch", committed)


class TestKeys:
    @pytest.fixture
    def rotated(self, committed: int) -> int:
        with ADA.here(), transaction():
            signing.rotate()
        services.drain(ACME)
        assert checkpoints.make(ACME)
        return committed

    def trusted(self) -> list[bytes]:
        with ADA.here(), transaction():
            return [key.raw for key in signing.trusted(ACME)]

    def stored(self) -> list[bytes]:
        with ADA.here(), transaction():
            return [bytes(key.public_key) for key in reversed(signing.keys(ACME))]

    def test_an_old_key_that_nobody_can_open_is_vouched_for(self, rotated: int, forger: psycopg.Connection) -> None:
        forger.execute("UPDATE audit_signingkey SET private_sealed = 'lost' WHERE version = 1")
        assert self.trusted() == self.stored()
        assert verdict(ACME).intact

    def test_nobody_vouches_for_a_key_that_was_put_before_it(self, rotated: int, forger: psycopg.Connection) -> None:
        stranger = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        forger.execute("UPDATE audit_signingkey SET public_key = %s WHERE version = 1", [stranger])
        assert self.trusted() == self.stored()[:1]

    @pytest.mark.parametrize("signatures", ["[]", "null", "[7]", '[{"by": "x"}]'])
    def test_nor_without_a_signature(self, rotated: int, forger: psycopg.Connection, signatures: str) -> None:
        forger.execute("UPDATE audit_signingkey SET private_sealed = 'lost' WHERE version = 1")
        forger.execute("UPDATE audit_signingkey SET cross_signatures = %s WHERE version = 2", [signatures])
        assert self.trusted() == self.stored()[:1]

    def test_a_key_added_behind_ours_counts_nothing(self, committed: int, forger: psycopg.Connection) -> None:
        stranger = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        forger.execute(
            "INSERT INTO audit_signingkey (id, tenant_id, version, name, public_key, private_sealed, cross_signatures,"
            " created_at) SELECT gen_random_uuid(), tenant_id, 2, name, %s, private_sealed, '[]', now()"
            " FROM audit_signingkey WHERE tenant_id = 'acme'",
            [stranger],
        )
        assert self.trusted() == self.stored()[1:]
        assert verdict(ACME).intact


class TestTheTree:
    @pytest.mark.parametrize("level", [0, 1])
    def test_a_tile_that_was_changed(self, committed: int, forger: psycopg.Connection, level: int) -> None:
        forger.execute(
            "UPDATE audit_tile SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1)"
            " WHERE tenant_id = 'acme' AND index = 0 AND level = %s",
            [level],
        )
        found = verdict(ACME)
        assert (found.broken_reason, found.broken_at_seq) == ("checkpoint_mismatch", 1)
        assert found.broken_at_id == str(records(ACME, seq=1)[0].pk)

    @pytest.mark.parametrize("change", ["DELETE FROM audit_tile", "UPDATE audit_tile SET hashes = substr(hashes, 33)"])
    def test_a_tile_that_lost_hashes(self, committed: int, forger: psycopg.Connection, change: str) -> None:
        forger.execute(f"{change} WHERE tenant_id = 'acme' AND level = 0 AND index = 1")  # type: ignore[arg-type]
        assert verdict(ACME).broken_reason == "checkpoint_mismatch"

    def test_a_tile_far_above(self, forger: psycopg.Connection) -> None:
        """Of a tree of 256^2 leaves, made for this: no log of this suite is as long."""
        leaves = [sha256(n.to_bytes(4)).digest() for n in range(256)]
        whole = merkle.perfect(leaves)
        for level, index, hashes in ((1, 0, leaves), (2, 0, [whole])):
            forger.execute("INSERT INTO audit_tile VALUES ('acme', %s, %s, %s)", [level, index, b"".join(hashes)])
        with ADA.here(), transaction():
            assert _tiles_fit_above(ACME, 256**2)
        forger.execute("UPDATE audit_tile SET hashes = set_byte(hashes, 5, 0) WHERE tenant_id = 'acme' AND level = 2")
        with ADA.here(), transaction():
            assert not _tiles_fit_above(ACME, 256**2)
        forger.execute("DELETE FROM audit_tile WHERE tenant_id = 'acme' AND level = 2")
        with ADA.here(), transaction():
            assert not _tiles_fit_above(ACME, 256**2)


class TestTheEnds:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ("UPDATE audit_head SET integrity_hash = repeat('0', 64)", "hash_mismatch"),
            ("UPDATE audit_head SET seq = seq + 1", "truncated"),
            ("UPDATE audit_head SET seq = seq - 1", "hash_mismatch"),
            ("DELETE FROM audit_head", "hash_mismatch"),
        ],
    )
    def test_the_head_was_tampered_with(
        self, committed: int, forger: psycopg.Connection, change: str, reason: str
    ) -> None:
        forger.execute(f"{change} WHERE tenant_id = 'acme'")  # type: ignore[arg-type]
        assert verdict(ACME).broken_reason == reason

    @pytest.mark.parametrize("seq", [0, -1, -(2**63), 2**63 - 1])
    def test_a_record_where_no_log_has_any(self, committed: int, forger: psycopg.Connection, seq: int) -> None:
        """Lists show it, so the verifier must see it."""
        invented: dict[str, Any] = row(forger, 3) | {"id": "0190a5e0-0000-7000-8000-0000000000ff", "seq": seq}
        store(forger, invented | {"prev_hash": "genesis"})
        found = verdict(ACME)
        assert (found.intact, found.broken_at_id) == (False, invented["id"])

    def test_a_database_that_was_rolled_back_behind_its_checkpoint(
        self, committed: int, forger: psycopg.Connection
    ) -> None:
        """Log and head are those of a backup, the checkpoint is newer."""
        last = row(forger, committed - 10)
        forger.execute("DELETE FROM audit_record WHERE tenant_id = 'acme' AND seq > %s", [last["seq"]])
        forger.execute(
            "UPDATE audit_head SET seq = %s, integrity_hash = %s WHERE tenant_id = 'acme'",
            [last["seq"], last["integrity_hash"]],
        )
        found = verdict(ACME)
        assert (found.broken_reason, found.broken_at_seq) == ("checkpoint_mismatch", last["seq"])
