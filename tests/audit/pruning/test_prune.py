"""Whole sealed prefixes leave the log by policy and two people's yes; everything that was proven before still is."""

import io
import json
from hashlib import sha256

import psycopg
import pytest
from django.core.files.storage import default_storage

from audit import services
from audit.models import AuditRecord, Checkpoint, VerificationKind, VerificationRun
from audit.offline import kaireon_verify
from audit.pruning import prune as pruning
from audit.tree import checkpoints, merkle, notes, proofs, signing
from audit.verification import runs
from kaireon.tenancy.context import transaction
from tests.audit.log import records, verdict, write
from tests.audit.pruning.evidence import bundled, holds
from tests.audit.pruning.old_log import BEA, POLICY_DAYS, applied, approved, planned, triggers_off
from tests.audit.pruning.old_log import tombstones as stones
from tests.caller import with_key
from tests.cast import ACME, ADA
from tests.s3 import Bucket

pytestmark = pytest.mark.usefixtures("db")


class TestPrune:
    def test_the_old_part_goes_and_the_log_verifies(self, size: int) -> None:
        before = records(ACME)
        pruned = applied(approved())

        kept = records(ACME)
        assert (kept[0].seq, kept[0].prev_hash) == (size + 1, before[size - 1].integrity_hash)
        assert [r.pk for r in kept[: len(before) - size]] == [r.pk for r in before[size:]]
        found = verdict(ACME)
        assert (found.intact, found.verified, found.window) == (True, len(kept), False)
        assert (pruned.again, pruned.tombstone.first_seq, pruned.tombstone.last_seq) == (False, 1, size)

    def test_it_says_so_in_the_log_by_whose_yes(self, size: int) -> None:
        request = approved()
        applied(request)
        [record] = records(ACME, action="audit_log.prune")
        [stone] = stones()
        assert record.changes is not None
        assert record.changes["note"] == stone.note
        assert record.changes["approval"] == {
            "id": str(request),
            "requestedBy": {"id": str(ADA.user.pk), "name": "Ada"},
            "approvedBy": [{"id": str(BEA.user.pk), "name": "Bea"}],
        }
        assert record.changes["policy"] == {
            "dataClass": "audit",
            "retentionDays": POLICY_DAYS,
            "keptDays": POLICY_DAYS,
        }

    def test_the_archive_holds_what_went(self, size: int) -> None:
        before = records(ACME)[:size]
        stone = applied(approved()).tombstone
        with default_storage.open(stone.archive_name) as stored:
            content = stored.read()
        found = holds(content)
        assert (found.level, found.first, found.last, found.root) == ("pinned", 1, size, stone.root_hash)
        assert sha256(content).hexdigest() == stone.archive_sha256
        lines = kaireon_verify.Archive(io.BytesIO(content)).read("records.ndjson", 1 << 20).splitlines()
        assert [json.loads(line)["id"] for line in lines] == [str(r.pk) for r in before]

    def test_bundles_and_proofs_from_before_still_hold(self, size: int) -> None:
        old_bundle = bundled()
        old = records(ACME)[41]
        old_proof = with_key("aud").get(f"/audit-logs/{old.pk}/proof").json()
        with ADA.here(), transaction():
            signed_before = checkpoints.newest(ACME)
        assert signed_before is not None
        applied(approved())
        write(10, tenant=ACME)
        services.drain(ACME)
        after = checkpoints.make(ACME)
        assert after is not None

        assert holds(old_bundle).level == "pinned"
        merkle.check_inclusion(
            bytes.fromhex(old.leaf_hash),
            old_proof["leafIndex"],
            old_proof["treeSize"],
            [bytes.fromhex(h) for h in old_proof["hashes"]],
            bytes.fromhex(old_proof["rootHash"]),
        )
        with ADA.here(), transaction():
            grown = proofs.consistency(ACME, signed_before.tree_size, after.size)
            node = checkpoints.Tree(ACME).node()
            fresh = merkle.inclusion(old.seq - 1, after.size, node)
        merkle.check_consistency(
            first=signed_before.tree_size,
            second=after.size,
            first_root=bytes.fromhex(signed_before.root_hash),
            second_root=after.root,
            proof=[bytes.fromhex(h) for h in grown["hashes"]],
        )
        # Of a record that is gone: its leaf is still in the tree.
        merkle.check_inclusion(bytes.fromhex(old.leaf_hash), old.seq - 1, after.size, fresh, after.root)

    def test_a_later_bundle_begins_behind_the_tombstone_and_holds(self, size: int) -> None:
        applied(approved())
        found = holds(bundled())
        assert (found.level, found.first) == ("pinned", size + 1)

    def test_it_goes_on_where_it_stopped(self, size: int, superuser: psycopg.Connection) -> None:
        applied(approved())
        with triggers_off(superuser):
            superuser.execute("UPDATE audit_checkpoint SET signed_at = now() - interval '401 days'")
        with ADA.here(), transaction():
            signing.rotate()
        # The first tombstone by the old key, the second by the new one.
        again = applied(approved()).tombstone
        assert [(s.first_seq, s.last_seq) for s in stones()] == [(1, size), (size + 1, again.last_seq)]
        assert verdict(ACME).intact
        assert verdict(ACME, limit=3).intact
        assert holds(bundled()).first == again.last_seq + 1

    def test_a_checkpoint_from_before_is_still_one_of_the_log(self, size: int) -> None:
        with ADA.here(), transaction():
            newest = checkpoints.newest(ACME)
            first = Checkpoint.objects.get(tenant_id=ACME, tree_size=size)
        assert newest is not None
        applied(approved())
        for signed in (first, newest):
            assert verdict(ACME, against=notes.Note.parse(signed.note)).intact

    def test_a_checkpoint_of_another_history_is_none_of_it(self, size: int) -> None:
        """Signed by the log's own key, and of records that are all gone: the leaf hashes tell."""
        applied(approved())
        with ADA.here(), transaction():
            signer = signing.signer()
            forged = signer.sign(notes.Checkpoint(origin=signer.public.name, size=size - 3, root=b"\0" * 32).text)
        assert verdict(ACME, against=forged).broken_reason == "checkpoint_mismatch"

    @pytest.mark.parametrize("kind", VerificationKind)
    def test_a_stored_verification_goes_on_behind_it(self, size: int, kind: VerificationKind) -> None:
        def run(kind: VerificationKind) -> VerificationRun:
            services.drain(ACME)
            with ADA.here():
                return runs.run(kind)

        assert run(VerificationKind.FULL).state == "intact"
        applied(approved())
        write(5, tenant=ACME)
        again = run(kind)
        # It is a record itself by now.
        assert (again.state, again.total) == ("intact", len(records(ACME)) - 1)

    def test_one_prune_takes_so_many_and_the_next_goes_on(
        self, size: int, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with triggers_off(superuser):
            superuser.execute("UPDATE audit_checkpoint SET signed_at = now() - interval '401 days'")
        monkeypatch.setattr(pruning, "MOST_RECORDS", size + 1)
        assert planned().last_seq == size
        # The first one is too far already: it must be taken all the same.
        monkeypatch.setattr(pruning, "MOST_RECORDS", 1)
        assert planned().last_seq == size


def test_in_an_s3_bucket(s3: Bucket, size: int) -> None:
    stone = applied(approved()).tombstone
    content = s3.read(stone.archive_name)
    assert sha256(content).hexdigest() == stone.archive_sha256
    assert holds(content).last == size
    assert verdict(ACME).intact


def test_the_orm_knows_only_what_is_kept(size: int) -> None:
    applied(approved())
    with ADA.here(), transaction():
        assert AuditRecord.objects.order_by("seq").values_list("seq", flat=True).first() == size + 1
