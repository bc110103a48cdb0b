"""Whole sealed prefixes leave the log by policy and two people's yes; everything that was proven before still is."""

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import psycopg
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections

from audit import services
from audit.exports import bundle
from audit.models import AuditRecord, Checkpoint, Tombstone, VerificationKind, VerificationRun
from audit.offline import kaireon_verify
from audit.pruning import archive, tombstones
from audit.pruning import prune as pruning
from audit.tree import checkpoints, merkle, notes, proofs, signing
from audit.verification import runs
from kaireon import env
from kaireon.tenancy.context import transaction
from tests.audit.log import records, verdict, write
from tests.audit.old_log import (
    BEA,
    OLD,
    POLICY_DAYS,
    applied,
    approve,
    approved,
    asked,
    make_bea,
    planned,
    policy,
    sealed,
    triggers_off,
)
from tests.audit.old_log import tombstones as stones
from tests.caller import error_of, with_key
from tests.cast import ACME, ADA
from tests.s3 import Bucket

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def size(db: str, superuser: psycopg.Connection) -> int:
    """Of the checkpoint that seals the old part; a younger part follows it."""
    make_bea()
    policy()
    size = sealed(OLD, superuser, days_ago=POLICY_DAYS + 1)
    sealed(20, superuser, days_ago=10)
    write(5, tenant=ACME)
    return size


def holds(content: bytes) -> kaireon_verify.Verdict:
    """What the offline verifier says, with the log's first key pinned."""
    with ADA.here(), transaction():
        key = str(signing.public_key(signing.keys(ACME)[0]))
    pinned = kaireon_verify.PinnedKey.parse(key, kaireon_verify.SIGNS)
    return kaireon_verify.check(io.BytesIO(content), pinned=pinned)


def bundled(query: str = "") -> bytes:
    answer = with_key("aud").get(f"/audit-logs/bundle{query}")
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]


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


class TestInTheWay:
    def test_no_policy(self, superuser: psycopg.Connection) -> None:
        sealed(10, superuser, days_ago=5000)
        assert planned().in_the_way == ("no retention policy for the class audit: the log is kept",)

    def test_a_slip_of_the_hand_clears_no_evidence(self, superuser: psycopg.Connection) -> None:
        policy(1)
        sealed(10, superuser, days_ago=364)
        sealed(10, superuser, days_ago=1)
        plan = planned()
        assert (plan.records, plan.policy_days, plan.kept_days) == (0, 1, 365)
        assert plan.in_the_way == ("no published checkpoint of 365 days ago seals a record that is still kept",)

    def test_what_was_not_published_stays(self, superuser: psycopg.Connection) -> None:
        policy()
        sealed(10, superuser, days_ago=1000, published=False)
        assert planned().records == 0

    def test_the_last_record_stays(self, superuser: psycopg.Connection) -> None:
        policy()
        sealed(10, superuser, days_ago=1000)
        records(ACME)
        # The key brought a record; without it the checkpoint would seal the whole log.
        with triggers_off(superuser):
            superuser.execute("UPDATE audit_head SET seq = (SELECT max(tree_size) FROM audit_checkpoint)")
        assert planned().records == 0

    def test_a_hold(self, size: int) -> None:
        policy(hold=True)
        plan = planned()
        assert plan.in_the_way == ("the class audit is on legal hold",)
        assert plan.records == size
        with ADA.here(), transaction(), pytest.raises(pruning.NothingToPrune, match="legal hold"):
            pruning.ask(plan, actor=ADA.actor, now=plan.newest)  # type: ignore[arg-type]


class TestApproval:
    def test_without_a_second_person_nothing_goes(self, size: int) -> None:
        request = asked()
        with pytest.raises(pruning.NotApproved, match="is pending, not approved"):
            applied(request)
        with pytest.raises(pruning.NotApproved, match="no request to prune"):
            applied(ADA.user.pk)
        assert stones() == []

    def test_a_hold_after_the_question_refuses_the_yes(self, size: int) -> None:
        request = asked()
        policy(hold=True)
        row = approve(request)
        assert (row.state, row.error) == ("failed", "held")

    def test_a_hold_after_the_yes_stops_it(self, size: int) -> None:
        request = approved()
        policy(hold=True)
        with pytest.raises(pruning.NothingToPrune, match="legal hold"):
            applied(request)
        policy(hold=False)
        assert not applied(request).again

    def test_a_hold_while_it_runs_stops_it_in_the_database(self, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        request = approved()
        keep = archive.keep

        def held_meanwhile(*args: Any, **more: Any) -> archive.Archive:
            kept = keep(*args, **more)
            policy(hold=True)
            return kept

        with monkeypatch.context() as slow:
            slow.setattr(archive, "keep", held_meanwhile)
            with pytest.raises(pruning.Refused, match="legal hold"):
                applied(request)
        assert stones() == []
        assert verdict(ACME).intact
        policy(hold=False)
        assert applied(request).tombstone.last_seq == size

    def test_a_longer_policy_after_the_yes_stops_it(self, size: int) -> None:
        request = approved()
        policy(POLICY_DAYS + 100)
        with pytest.raises(pruning.NothingToPrune):
            applied(request)

    def test_doing_it_twice_does_it_once(self, size: int) -> None:
        request = approved()
        first = applied(request)
        count = len(records(ACME))
        second = applied(request)
        assert (second.again, second.tombstone.note) == (True, first.tombstone.note)
        assert len(records(ACME)) == count
        with ADA.here(), transaction(), pytest.raises(pruning.NotApproved):
            pruning.approved_request()

    def test_two_at_once_do_it_once(self, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        request = approved()
        both_signed = Barrier(2)
        remove = pruning._remove

        def together(note: str) -> Any:
            both_signed.wait(timeout=30)
            return remove(note)

        monkeypatch.setattr(pruning, "_remove", together)

        def run(_: int) -> bool:
            try:
                return applied(request).again
            finally:
                connections.close_all()

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(run, range(2))) == [False, True]
        assert len(stones()) == 1
        assert verdict(ACME).intact

    def test_two_requests_for_the_same_remove_it_once(self, size: int) -> None:
        requests = [approved(), approved()]
        applied(requests[0])
        with pytest.raises(pruning.NothingToPrune):
            applied(requests[1])


class Died(BaseException):
    """The process ended here."""


def die(*_: object, **__: object) -> Any:
    raise Died


def half_written(monkeypatch: pytest.MonkeyPatch) -> None:
    save = default_storage.save

    def cut(name: str, content: Any) -> str:
        save(name, ContentFile(content.read()[:-1000]))
        raise Died

    monkeypatch.setattr(default_storage, "save", cut)


def after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    whole = getattr(owner, name)

    def then_die(*args: Any, **more: Any) -> Any:
        whole(*args, **more)
        raise Died

    monkeypatch.setattr(owner, name, then_die)


CRASHES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "before the archive": lambda m: m.setattr(archive, "keep", die),
    "while the archive is made": lambda m: m.setattr(bundle, "_proofs", die),
    "in the middle of the object": half_written,
    "before it is checked": lambda m: m.setattr(archive, "checked", die),
    "after it is checked": lambda m: after(m, archive, "keep"),
    "before the signature": lambda m: m.setattr(signing, "signer", die),
    "before the removal": lambda m: m.setattr(pruning, "_remove", die),
    "after the removal": lambda m: after(m, pruning, "_remove"),
}


@pytest.mark.parametrize("where", CRASHES)
def test_a_crash_leaves_all_or_nothing_and_the_next_call_goes_on(
    size: int, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    request = approved()
    length = len(records(ACME))
    with monkeypatch.context() as crashing:
        CRASHES[where](crashing)
        with pytest.raises(Died):
            applied(request)
    is_done = where == "after the removal"
    assert len(stones()) == is_done
    # With the record that says so.
    assert len(records(ACME)) == (length - size + 1 if is_done else length)
    assert verdict(ACME).intact

    assert applied(request).again is is_done
    assert records(ACME)[0].seq == size + 1
    assert len(records(ACME, action="audit_log.prune")) == 1
    assert verdict(ACME).intact


def test_the_server_ends_the_session_in_the_middle_of_the_removal(size: int, superuser: psycopg.Connection) -> None:
    request = approved()
    length = len(records(ACME))
    # The last statement of the function waits for this, with tombstone and removal before it.
    superuser.autocommit = False
    superuser.execute("LOCK TABLE audit_inbox IN ACCESS EXCLUSIVE MODE")
    failed: list[Exception] = []

    def run() -> None:
        try:
            applied(request)
        except OperationalError as error:
            failed.append(error)
        finally:
            connections.close_all()

    worker = Thread(target=run)
    worker.start()
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%audit_prune%'"
    while not (found := superuser.execute(waiting).fetchone()):
        assert worker.is_alive()
        superuser.execute("SELECT pg_stat_clear_snapshot()")
    superuser.execute("SELECT pg_terminate_backend(%s)", found)
    worker.join()
    superuser.rollback()

    assert failed
    assert stones() == []
    assert len(records(ACME)) == length
    assert verdict(ACME).intact
    assert applied(request).tombstone.last_seq == size


def test_in_an_s3_bucket(s3: Bucket, size: int) -> None:
    stone = applied(approved()).tombstone
    content = s3.read(stone.archive_name)
    assert sha256(content).hexdigest() == stone.archive_sha256
    assert holds(content).last == size
    assert verdict(ACME).intact


class TestArchive:
    def test_what_does_not_verify_is_written_again(self, size: int) -> None:
        request = approved()
        name = archive.name_of(ACME, 1, size)
        default_storage.save(name, ContentFile(b"PK\x03\x04 and nothing"))
        assert applied(request).tombstone.archive_name == name
        with default_storage.open(name) as stored:
            assert holds(stored.read()).last == size

    def test_a_whole_one_is_taken_as_it_is(self, size: int) -> None:
        with ADA.here():
            with transaction():
                checkpoint = Checkpoint.objects.get(tenant_id=ACME, tree_size=size)
            first = archive.keep(checkpoint, 1)
            assert archive.keep(checkpoint, 1) == first
        assert applied(approved()).tombstone.archive_sha256 == first.sha256

    def test_a_record_that_was_changed_is_not_archived_away(self, size: int, superuser: psycopg.Connection) -> None:
        request = approved()
        with triggers_off(superuser):
            superuser.execute("UPDATE audit_record SET user_name = 'x' WHERE tenant_id = 'acme' AND seq = 7")
        with pytest.raises(archive.ArchiveRefused, match=r"records\.ndjson"):
            applied(request)
        assert stones() == []

    def test_storage_that_shows_something_else_is_not_trusted(self, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        request = approved()
        save = default_storage.save
        monkeypatch.setattr(default_storage, "save", lambda name, content: save(name, ContentFile(b"lost")))
        with pytest.raises(archive.ArchiveRefused):
            applied(request)
        assert stones() == []


class TestReading:
    @pytest.fixture
    def stone(self, size: int) -> Tombstone:
        return applied(approved()).tombstone

    def test_a_record_that_went_is_unknown_and_its_archive_named(self, size: int) -> None:
        [old] = records(ACME, seq=3)
        stone = applied(approved()).tombstone
        for path in (f"/audit-logs/{old.pk}", f"/audit-logs/{old.pk}/proof"):
            error = error_of(with_key("aud").get(path))
            assert (error["status"], error["code"]) == (404, "not_found")
            assert stone.archive_name in error["message"]
            assert stone.archive_name not in error_of(with_key("mallory").get(path))["message"]
        with pytest.raises(CommandError, match=stone.archive_name):
            call_command("audit_proof", tenant=ACME, record=str(old.pk))

    def test_a_range_that_begins_in_the_archive_is_refused_by_its_name(self, stone: Tombstone, tmp_path: Path) -> None:
        begin, aud = "2020-01-01", with_key("aud")
        for answer in (
            aud.get(f"/audit-logs/bundle?from={begin}"),
            aud.get(f"/audit-export?startDate={begin}"),
            with_key("ada").post("/audit-exports", {"format": "ndjson", "from": begin}),
        ):
            error = error_of(answer)
            assert (error["status"], error["code"], stone.archive_name in error["message"]) == (410, "pruned", True)
        for format_ in ("bundle", "ndjson"):
            with pytest.raises(CommandError, match=f"--from .*{stone.archive_name}"):
                call_command("audit_export", tenant=ACME, format=format_, since=begin, output=tmp_path / "x")
        # Nothing that is kept lies in this one.
        error = error_of(aud.get(f"/audit-logs/bundle?to={begin}"))
        assert (error["status"], stone.archive_name in error["message"]) == (404, True)

    def test_lists_and_exports_give_what_is_kept(self, stone: Tombstone) -> None:
        listed = with_key("aud").get("/audit-logs?from=2020-01-01&limit=100").json()
        assert min(r["seq"] for r in listed["logs"]) == stone.last_seq + 1
        exported = with_key("aud").get("/audit-export").json()
        assert exported["data"][0]["seq"] == stone.last_seq + 1
        package = with_key("aud").get("/audit-export?format=soc2").json()
        assert package["integrity"]["intact"]
        assert package["controlAreas"]["data_disposal"]["actions"]["audit_log.prune"] == 1
        assert [(r["firstSeq"], r["lastSeq"]) for r in package["removed"]] == [(1, stone.last_seq)]

    def test_verification_over_http_begins_there(self, stone: Tombstone) -> None:
        assert with_key("aud").get("/audit-logs/verify").json()["intact"]
        answer = with_key("aud").post("/audit-export", {"action": "verify_integrity", "startDate": "2020-01-01"}).json()
        assert answer["chainIntact"]


class TestCommand:
    def test_from_plan_to_tombstone(self, size: int, capsys: pytest.CaptureFixture[str]) -> None:
        def run(*arguments: str) -> Any:
            call_command("audit_prune", "--tenant", ACME, *arguments, "--json", verbosity=0)
            return json.loads(capsys.readouterr().out)

        plan = run("--plan")
        assert (plan["firstSeq"], plan["lastSeq"], plan["records"], plan["inTheWay"]) == (1, size, size, [])
        assert plan["bytes"] > 100 * size
        with pytest.raises(CommandError, match="no approved request waits"):
            run("--apply")
        approve(run("--plan", "--ask-as", ADA.email)["request"])
        done = run("--apply")
        assert (done["lastSeq"], done["alreadyDone"]) == (size, False)
        [listed] = run("--list")["tombstones"]
        assert listed["tombstone"] == done["tombstone"]
        with ADA.here(), transaction():
            keys = [signing.public_key(key) for key in signing.keys(ACME)]
        assert tombstones.parse(listed["tombstone"], keys)["archive"]["name"] == plan["archive"]

    def test_for_people(self, size: int, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("audit_prune", "--tenant", ACME, "--plan")
        assert f"records 1 to {size}" in capsys.readouterr().out
        request = approved()
        call_command("audit_prune", "--tenant", ACME, "--apply", "--request", str(request), verbosity=0)
        assert f"Removed: records 1 to {size}" in capsys.readouterr().out
        call_command("audit_prune", "--tenant", ACME, "--list")
        assert "kaireon tombstone v1" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--tenant", "nobody", "--plan"], "no active tenant"),
            (["--tenant", "_platform", "--plan"], "no active tenant"),
            (["--tenant", ACME, "--apply", "--ask-as", ADA.email], "--ask-as goes with --plan"),
            (["--tenant", ACME, "--plan", "--request", "01900000-0000-7000-8000-000000000000"], "goes with --apply"),
            (["--tenant", ACME, "--plan", "--ask-as", "nobody@acme.example"], "no member of this tenant"),
            (["--tenant", ACME, "--plan", "--ask-as", "vi@acme.example"], "may not manage retention"),
        ],
    )
    def test_it_says_what_is_wrong(self, size: int, arguments: list[str], message: str) -> None:
        with pytest.raises(CommandError, match=message):
            call_command("audit_prune", *arguments)


def test_the_command_wants_the_owner(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    approved()
    monkeypatch.setattr(env, "OWNER_DATABASE_URL", "")
    with pytest.raises(CommandError, match="needs OWNER_DATABASE_URL"):
        call_command("audit_prune", "--tenant", ACME, "--apply")
    assert stones() == []


def test_the_orm_knows_only_what_is_kept(size: int) -> None:
    applied(approved())
    with ADA.here(), transaction():
        assert AuditRecord.objects.order_by("seq").values_list("seq", flat=True).first() == size + 1
