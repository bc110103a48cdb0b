"""What a log commits to: by count and by clock, signed, consistent with all before, and never over a contradiction."""

import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from django.db import connections

from audit import services
from audit.models import Checkpoint, SigningKey, Tile
from audit.tree import checkpoints, merkle, notes, signing, tiles
from audit.tree.checkpoints import LogContradictsCheckpoint, Tree
from kaireon.lib import clock
from kaireon.tenancy.context import PLATFORM, Actor, scope, transaction
from tests.audit.log import records, write
from tests.cast import ACME, ADA, GLOBEX

pytestmark = pytest.mark.usefixtures("db")


def made(tenant: str = ACME) -> notes.Checkpoint:
    services.drain(tenant)
    checkpoint = checkpoints.make(tenant)
    assert checkpoint is not None
    return checkpoint


def leaves(tenant: str = ACME) -> list[bytes]:
    return [bytes.fromhex(r.leaf_hash) for r in sorted(records(tenant), key=lambda r: r.seq)]


def root_of(hashes: list[bytes]) -> bytes:
    stack = merkle.Stack()
    for leaf in hashes:
        stack.append(leaf)
    return stack.root()


def test_a_checkpoint_is_the_signed_root_of_the_log() -> None:
    write(300, tenant=ACME)
    checkpoint = made()

    assert checkpoint.root == root_of(leaves()[: checkpoint.size])
    with ADA.here(), transaction():
        stored = checkpoints.newest(ACME)
        [key] = signing.keys(ACME)
        assert stored is not None
        note = notes.Note.parse(stored.note)
        note.check(signing.public_key(key))
    assert notes.Checkpoint.parse(note.text) == checkpoint
    assert checkpoint.origin == signing.origin(ACME)
    assert (stored.tree_size, stored.root_hash) == (checkpoint.size, checkpoint.root.hex())


def test_every_checkpoint_begins_the_next() -> None:
    sizes = []
    for step in (1, 254, 3, 600):
        write(step, tenant=ACME)
        sizes.append(made())
    with ADA.here(), transaction():
        node = Tree(ACME).node()
        for first in sizes:
            for second in sizes[sizes.index(first) :]:
                merkle.check_consistency(
                    first=first.size,
                    second=second.size,
                    first_root=first.root,
                    second_root=second.root,
                    proof=merkle.consistency(first.size, second.size, node),
                )
        for index, leaf in enumerate(leaves()[: sizes[-1].size]):
            proof = merkle.inclusion(index, sizes[-1].size, node)
            merkle.check_inclusion(leaf, index, sizes[-1].size, proof, sizes[-1].root)


def test_nothing_new_means_no_checkpoint() -> None:
    write(3, tenant=ACME)
    made()
    # Its key's record came after it was counted.
    services.drain(ACME)
    checkpoints.make(ACME)

    assert checkpoints.make(ACME) is None


def test_a_far_log_gets_there_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "MOST_RECORDS", 100)
    write(250, tenant=ACME)
    services.drain(ACME)
    sizes = []
    while checkpoint := checkpoints.make(ACME):
        sizes.append(checkpoint.size)
    assert sizes[:2] == [100, 200]
    # The record of the key that was made for the first one.
    assert sizes[-1] == len(records(ACME)) - 1


class TestDue:
    def test_by_clock_and_by_count(self) -> None:
        for tenant in (ACME, GLOBEX, PLATFORM):
            services.drain(tenant)
        checkpoints.make_due()
        checkpoints.make_due()
        for tenant in (ACME, GLOBEX, PLATFORM):
            services.drain(tenant)
        now = clock.now()
        assert checkpoints.due(now) == []

        write(2, tenant=GLOBEX)
        services.drain(GLOBEX)
        assert checkpoints.due(now) == []
        assert GLOBEX in checkpoints.due(now + checkpoints.EVERY + timedelta(seconds=1))

        write(checkpoints.EVERY_RECORDS, tenant=ACME)
        services.drain(ACME)
        assert checkpoints.due(now) == [ACME]
        assert checkpoints.make_due() == 1
        assert checkpoints.due(now) == []

    def test_one_log_that_cannot_does_not_stop_the_others(
        self, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        before = {}
        for tenant in (ACME, GLOBEX):
            write(5, tenant=tenant)
            before[tenant] = made(tenant).size
            write(5, tenant=tenant)
            services.drain(tenant)
        tamper(
            superuser,
            "UPDATE audit_tile SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1) WHERE tenant_id = 'acme'",
        )
        monkeypatch.setattr(checkpoints, "EVERY", timedelta(0))
        checkpoints.make_due()

        assert newest_size(ACME) == before[ACME]
        assert newest_size(GLOBEX) > before[GLOBEX]
        [refused] = [r for r in caplog.records if r.message == "checkpoint_refused"]
        assert (refused.tenant_id, refused.error_type) == (ACME, "LogContradictsCheckpoint")  # type: ignore[attr-defined]


def newest_size(tenant: str) -> int:
    with scope(tenant_id=tenant, actor=ADA.actor), transaction():
        newest = checkpoints.newest(tenant)
        assert newest is not None
        return newest.tree_size


def tamper(superuser: psycopg.Connection, statement: str) -> None:
    superuser.execute("SET session_replication_role = replica")
    assert superuser.execute(statement).rowcount
    superuser.execute("SET session_replication_role = origin")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_tile SET hashes = overlay(hashes PLACING '\\x00' FROM 40) WHERE tenant_id = 'acme'",
        "UPDATE audit_checkpoint SET root_hash = repeat('0', 64) WHERE tenant_id = 'acme'",
        "UPDATE audit_head SET seq = 1 WHERE tenant_id = 'acme'",
        "DELETE FROM audit_record WHERE tenant_id = 'acme' AND seq = (SELECT max(seq) - 1 FROM audit_record"
        " WHERE tenant_id = 'acme')",
        "DELETE FROM audit_tile WHERE tenant_id = 'acme'",
    ],
)
def test_it_signs_nothing_over_a_contradiction(superuser: psycopg.Connection, statement: str) -> None:
    write(10, tenant=ACME)
    before = made()
    write(10, tenant=ACME)
    services.drain(ACME)
    tamper(superuser, statement)

    with pytest.raises((LogContradictsCheckpoint, merkle.OutsideTree)):
        checkpoints.make(ACME)
    with ADA.here(), transaction():
        newest = checkpoints.newest(ACME)
        assert newest is not None
        assert newest.tree_size == before.size


def test_two_makers_make_one_tree() -> None:
    write(700, tenant=ACME)
    services.drain(ACME)

    def write_and_make(_: int) -> None:
        try:
            for _ in range(5):
                write(7, tenant=ACME)
                services.drain(ACME)
                checkpoints.make(ACME)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write_and_make, range(3)))
    services.drain(ACME)
    checkpoints.make(ACME)
    with ADA.here(), transaction():
        newest = checkpoints.newest(ACME)
        assert newest is not None
        assert newest.root_hash == root_of(leaves()[: newest.tree_size]).hex()
        tile_bytes = sum(len(t.hashes) for t in Tile.objects.filter(tenant_id=ACME, level=0))
    assert tile_bytes == newest.tree_size * tiles.HASH_BYTES


def test_a_tile_only_grows(db: str) -> None:
    write(3, tenant=ACME)
    made()
    for change in (
        "hashes = substr(hashes, 1, 32)",
        "hashes = hashes",
        "hashes = overlay(hashes PLACING '\\x00' FROM 1) || decode(repeat('00', 32), 'hex')",
        "index = 5, hashes = hashes || decode(repeat('00', 32), 'hex')",
    ):
        with pytest.raises(Exception, match="only grows"), connections["sequencer"].cursor() as cursor:
            cursor.execute(f"UPDATE audit_tile SET {change} WHERE tenant_id = 'acme'")


def test_a_tenant_sees_its_own_and_the_platform_has_one_too() -> None:
    for tenant in (ACME, GLOBEX):
        write(2, tenant=tenant)
        made(tenant)
    with ADA.here(), transaction():
        assert {c.tenant_id for c in Checkpoint.objects.all()} == {ACME}
        assert {k.tenant_id for k in SigningKey.objects.all()} == {ACME}
        assert {t.tenant_id for t in Tile.objects.all()} == {ACME}
    assert made(PLATFORM).origin.endswith("/_platform")


class TestKeys:
    def test_the_private_key_is_sealed_and_not_in_the_log(self) -> None:
        write(1, tenant=ACME)
        made()
        with ADA.here(), transaction():
            [key] = signing.keys(ACME)
            private = signing.signer().private.private_bytes_raw()
        assert private not in bytes(key.private_sealed)
        assert private.hex().encode() not in bytes(key.private_sealed)
        [record] = records(ACME, action="audit_log.key_made")
        assert "private_sealed" not in str(record.after)
        assert record.entity_id == str(key.pk)

    def test_a_new_key_is_signed_by_the_one_before_and_old_checkpoints_stay_valid(self) -> None:
        write(1, tenant=ACME)
        first = made()
        with ADA.here(), transaction():
            before = signing.signer()
            after = signing.rotate()
            statement = f"kaireon key rotation v1\n{before.public}\n{after.public}\n".encode()
            old, new = signing.keys(ACME)
        assert (after.version, old.retired_at is None, new.retired_at) == (2, False, None)
        for key, signature in zip((before.public, after.public), new.cross_signatures, strict=True):
            assert signature["by"] == key.key_id.hex()
            key.check(statement, base64.b64decode(signature["signature"]))
        second = made()
        with ADA.here(), transaction():
            notes_by_size = {c.tree_size: notes.Note.parse(c.note) for c in Checkpoint.objects.all()}
        notes_by_size[first.size].check(before.public)
        notes_by_size[second.size].check(after.public)
        with pytest.raises(notes.NotSigned):
            notes_by_size[second.size].check(before.public)
        assert {r.action for r in records(ACME)} >= {"audit_log.key_made", "audit_log.key_retired"}

    def test_two_first_uses_make_one_key(self) -> None:
        write(1, tenant=ACME)

        def use(_: int) -> int:
            try:
                with scope(tenant_id=ACME, actor=Actor.system()), transaction():
                    return signing.signer().version
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(use, range(4))) == [1, 1, 1, 1]
