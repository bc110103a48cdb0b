"""A stored verification: what interrupts it, what the next one trusts, and what it must not trust."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from audit import services
from audit.models import VerificationKind, VerificationRun, VerificationState
from audit.tree import checkpoints
from audit.verification import runs, spans
from audit.verification.runs import AlreadyRunning
from cron import runner
from cron.models import Trigger
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.ops import gauges
from kaireon.tenancy.context import PLATFORM, platform_scope, transaction
from tests.audit.log import WRITER, records, write
from tests.cast import ACME, ADA, GLOBEX, MALLORY

pytestmark = pytest.mark.usefixtures("db")

FULL, SINCE_LAST = VerificationKind.FULL, VerificationKind.SINCE_LAST


@pytest.fixture
def forger(superuser: psycopg.Connection) -> psycopg.Connection:
    superuser.execute("SET session_replication_role = replica")
    return superuser


@pytest.fixture
def short_spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """So short that a few hundred records are many spans."""
    monkeypatch.setattr(spans, "LENGTH", 256)
    return 256


def grow(count: int = 10, *, commit: bool = True, tenant: str = ACME) -> int:
    """Write and commit to it; gives the log's length."""
    write(count, tenant=tenant)
    services.drain(tenant)
    # Making the first one makes a key, which is a record too.
    while commit and checkpoints.make(tenant):
        services.drain(tenant)
    return len(records(tenant))


def verified(kind: VerificationKind = FULL, **more: Any) -> VerificationRun:
    services.drain(ACME)
    with ADA.here():
        return runs.run(kind, **more)


def change(forger: psycopg.Connection, seq: int) -> None:
    forger.execute("UPDATE audit_record SET user_name = 'Mallory' WHERE tenant_id = 'acme' AND seq = %s", [seq])


def test_an_intact_log_is_bound_to_its_checkpoint() -> None:
    size = grow()
    write(4, tenant=ACME)
    run = verified()
    assert (run.state, run.kind, run.verified, run.total) == ("intact", "full", size + 4, size + 4)
    assert (run.first_seq, run.reached_seq, run.until_seq, run.percent) == (1, size + 4, size + 4, 100)
    with ADA.here(), transaction():
        assert (run.checkpoint_size, run.checkpoint_note) == (size, checkpoints.newest(ACME).note)
        stored = VerificationRun.objects.get()
        assert (stored.pk, stored.state, stored.asked_by) == (run.pk, "intact", "Ada")
    [said] = records(ACME, action="audit_log.verify")
    assert said.changes == {"intact": True, "scanned": size + 4, "window": False, "run": str(run.pk)}


def test_a_broken_log_is_named_with_reason_and_record(forger: psycopg.Connection) -> None:
    grow()
    change(forger, 3)
    run = verified()
    assert (run.state, run.broken_reason, run.broken_at_seq, run.verified) == ("broken", "hash_mismatch", 3, 2)
    assert run.broken_at_id == str(records(ACME, seq=3)[0].pk)
    assert run.checkpoint_size == 0
    [said] = records(ACME, action="audit_log.verify")
    assert said.changes["reason"] == "hash_mismatch"


def test_other_tenants_see_no_run() -> None:
    grow()
    verified()
    with MALLORY.here(), transaction():
        assert not VerificationRun.objects.exists()


class TestSinceTheLastVerifiedPoint:
    def test_it_reads_what_came_after_the_checkpoint_alone(self) -> None:
        size = grow()
        verified()
        total = grow(7)
        run = verified(SINCE_LAST)
        assert (run.kind, run.state, run.first_seq, run.total) == ("since_last", "intact", size + 1, total)
        assert run.verified == run.scanned == total - size
        assert run.checkpoint_size == total
        # And the next goes on from there.
        assert verified(SINCE_LAST).first_seq == total + 1

    def test_without_one_it_is_the_whole_log(self) -> None:
        total = grow(commit=False)
        run = verified(SINCE_LAST)
        assert (run.kind, run.verified) == ("full", total)

    def test_it_finds_what_was_changed_after_the_point(self, forger: psycopg.Connection) -> None:
        size = grow()
        verified()
        grow(5)
        change(forger, size + 2)
        run = verified(SINCE_LAST)
        assert (run.state, run.broken_reason, run.broken_at_seq) == ("broken", "hash_mismatch", size + 2)

    def test_what_was_changed_before_the_point_is_for_the_whole_run(self, forger: psycopg.Connection) -> None:
        """What it does not answer: docs/evidence.md says so."""
        grow()
        verified()
        change(forger, 3)
        grow(5)
        assert verified(SINCE_LAST).state == "intact"
        assert verified(FULL).broken_at_seq == 3

    def test_a_checkpoint_that_does_not_follow_from_the_point(self, forger: psycopg.Connection) -> None:
        """The newest checkpoints are gone, and the one before them has come back: a database that was rolled back."""
        size = grow()
        verified()
        forger.execute("DELETE FROM audit_checkpoint WHERE tenant_id = 'acme'")
        run = verified(SINCE_LAST)
        assert (run.state, run.broken_reason, run.broken_at_seq) == ("broken", "checkpoint_mismatch", size)

    @pytest.mark.parametrize(
        "forgery",
        [
            "point_sealed = set_byte(point_sealed, 40, get_byte(point_sealed, 40) # 1)",
            "point_sealed = 'x'",
            "point_sealed = NULL",
            "id = gen_random_uuid()",
            "tenant_id = 'globex'",
        ],
    )
    def test_a_point_that_was_made_up_is_not_trusted(self, forger: psycopg.Connection, forgery: str) -> None:
        total = grow()
        verified()
        change(forger, 3)
        forger.execute(f"UPDATE audit_verificationrun SET {forgery}")  # type: ignore[call-overload]
        run = verified(SINCE_LAST)
        assert (run.kind, run.broken_reason, run.broken_at_seq) == ("full", "hash_mismatch", 3)
        assert run.total > total

    def test_a_point_of_another_run_is_not_trusted(self, forger: psycopg.Connection) -> None:
        """Sealed for its run: a row that says what another one said is believed nothing."""
        grow()
        first = verified()
        change(forger, 3)
        assert verified().state == "broken"
        forger.execute(
            "UPDATE audit_verificationrun SET state = 'intact', point_sealed ="
            " (SELECT point_sealed FROM audit_verificationrun WHERE id = %s) WHERE state = 'broken'",
            [first.pk],
        )
        assert verified(SINCE_LAST).broken_at_seq == 3

    def test_columns_are_not_believed(self, forger: psycopg.Connection) -> None:
        size = grow()
        verified()
        grow(5)
        change(forger, size + 2)
        forger.execute(
            "UPDATE audit_verificationrun SET reached_seq = 99, until_seq = 99, first_seq = 99, checkpoint_size = 99"
        )
        assert verified(SINCE_LAST).broken_at_seq == size + 2


class TestInterrupted:
    def test_it_goes_on_where_its_budget_ended(self, short_spans: int) -> None:
        total = grow(1000)
        first = verified(budget=Budget(0))
        assert (first.state, first.reached_seq, first.verified) == ("running", short_spans, short_spans)
        assert 0 < first.percent < 100
        second = verified(budget=Budget(0))
        assert (second.pk, second.reached_seq) == (first.pk, 2 * short_spans)
        last = verified()
        assert (last.pk, last.state, last.verified, last.scanned) == (first.pk, "intact", total, total)
        assert last.checkpoint_size == total
        assert len(records(ACME, action="audit_log.verify")) == 1

    def test_it_goes_on_after_an_error(self, short_spans: int) -> None:
        total = grow(1000)
        read: list[int] = []

        def moved(done: int, _whole: int) -> None:
            read.append(done)
            if len(read) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            verified(moved=moved)
        run = verified(moved=moved)
        assert read == [256, 512, 768, total]
        assert (run.state, run.verified) == ("intact", total)

    def test_what_was_changed_behind_it_meanwhile_is_found_by_the_next(
        self, short_spans: int, forger: psycopg.Connection
    ) -> None:
        grow(1000)
        verified(budget=Budget(0))
        change(forger, 700)
        assert verified().broken_at_seq == 700

    def test_it_notices_that_the_log_grew_and_was_committed_to_meanwhile(self, short_spans: int) -> None:
        grow(600)
        verified(budget=Budget(0))
        total = grow(600)
        run = verified()
        assert (run.state, run.verified, run.checkpoint_size) == ("intact", total, total)

    def test_a_place_that_was_made_up_is_not_gone_on_from(self, short_spans: int, forger: psycopg.Connection) -> None:
        grow(1000)
        run = verified(budget=Budget(0))
        change(forger, 3)
        forger.execute("UPDATE audit_verificationrun SET point_sealed = 'x'")
        again = verified()
        assert (again.pk != run.pk, again.broken_at_seq) == (True, 3)
        with ADA.here(), transaction():
            assert VerificationRun.objects.get(pk=run.pk).state == VerificationState.ABANDONED

    def test_one_at_a_time(self, short_spans: int) -> None:
        grow(1000)

        def meanwhile(_done: int, _whole: int) -> None:
            with pytest.raises(AlreadyRunning):
                verified()

        assert verified(moved=meanwhile).state == "intact"

    def test_one_that_is_silent_is_taken_over_and_then_stops(
        self, short_spans: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        grow(1000)
        monkeypatch.setattr(runs, "SAVE_SECONDS", 0.0)
        taken: list[VerificationRun] = []

        def meanwhile(_done: int, _whole: int) -> None:
            if not taken:
                with monkeypatch.context() as later:
                    later.setattr(runs, "LEASE", timedelta(0))
                    taken.append(verified())

        with pytest.raises(AlreadyRunning):
            verified(moved=meanwhile)
        assert taken[0].state == "intact"
        with ADA.here(), transaction():
            assert VerificationRun.objects.get().state == "intact"


class TestTheCommand:
    def test_it_tells_each_log_and_what_it_found(self, capsys: pytest.CaptureFixture[str]) -> None:
        total = grow()
        call_command("audit_verify", "--all", "--json")
        said = {line["tenantId"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
        assert set(said) == {ACME, GLOBEX, PLATFORM}
        assert said[ACME] == {"tenantId": ACME, "intact": True, "verified": total, "total": total, "scanned": total}

    def test_a_broken_log_is_exit_code_1(self, forger: psycopg.Connection, capsys: pytest.CaptureFixture[str]) -> None:
        grow()
        change(forger, 3)
        with pytest.raises(SystemExit) as ended:
            call_command("audit_verify", "--tenant", ACME)
        assert ended.value.code == 1
        out = capsys.readouterr().out
        assert f"BROKEN at record {records(ACME, seq=3)[0].pk} (seq 3): hash_mismatch; 2 records before" in out

    def test_parts(self, capsys: pytest.CaptureFixture[str]) -> None:
        size = grow()
        for arguments, read in (
            (["--limit", "3"], 3),
            (["--span", "2-5"], 4),
            (["--span", f"{size + 3}-{size + 9}"], 0),
            (["--since-last"], size + 3),
            (["--since-last"], 4),
        ):
            call_command("audit_verify", "--tenant", ACME, "--json", *arguments)
            said = json.loads(capsys.readouterr().out)
            assert (said["intact"], said["scanned"]) == (True, read), arguments

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--tenant", "nobody"], "no such log"),
            (["--tenant", ACME, "--limit", "0"], "--limit must be"),
            (["--tenant", ACME, "--jobs", "0"], "--jobs must be"),
            (["--tenant", ACME, "--jobs", "99"], "--jobs must be"),
            (["--tenant", ACME, "--span", "5-2"], "--span 5-2"),
            (["--tenant", ACME, "--span", "x"], "--span x"),
            (["--tenant", ACME, "--checkpoint", "/nowhere"], "--checkpoint /nowhere"),
            (["--tenant", ACME, "--checkpoint", "/nowhere", "--since-last"], "leave out --since-last"),
        ],
    )
    def test_wrong_use_is_exit_code_2(self, arguments: list[str], said: str) -> None:
        with pytest.raises(CommandError, match=said) as refused:
            call_command("audit_verify", *arguments)
        assert refused.value.returncode == 2


class TestEveryNight:
    def kind(self, **later: float) -> str:
        with ADA.here(), transaction():
            return runs.nightly_kind(clock.now() + timedelta(**later))

    def test_whole_once_a_week_and_as_long_as_something_is_wrong(
        self, short_spans: int, forger: psycopg.Connection
    ) -> None:
        grow(600)
        assert self.kind() == "full"
        verified(budget=Budget(0))
        assert self.kind() == "full"
        verified()
        assert self.kind(days=6) == "since_last"
        assert self.kind(days=7.1) == "full"
        change(forger, 3)
        assert verified().state == "broken"
        assert self.kind() == "full"

    def test_it_verifies_every_log_and_fails_for_one_that_is_broken(self, forger: psycopg.Connection) -> None:
        grow()
        grow(tenant=GLOBEX)
        change(forger, 3)
        ran = runner.run_job("audit-verify", trigger=Trigger.COMMAND)
        assert not ran.ok
        by_tenant = {entry["tenantId"]: entry for entry in ran.body["perTenant"]}
        assert by_tenant[ACME]["errors"] == ["hash_mismatch at record 3"]
        assert (by_tenant[GLOBEX]["intact"], by_tenant[GLOBEX]["kind"]) == (True, "full")
        assert ran.body["platform"]["intact"] is True
        assert figures("kaireon_audit_verification_intact") == {ACME: 0, GLOBEX: 1, PLATFORM: 1}

    def test_a_dry_run_verifies_nothing(self) -> None:
        grow()
        ran = runner.run_job("audit-verify", trigger=Trigger.COMMAND, dry_run=True)
        assert ran.ok
        assert {entry["kind"] for entry in ran.body["perTenant"]} == {"full"}
        with ADA.here(), transaction():
            assert not VerificationRun.objects.exists()

    def test_the_platforms_log_has_runs_too(self) -> None:
        services.drain(PLATFORM)
        with platform_scope(actor=WRITER):
            run = runs.run(FULL)
            assert (run.state, run.tenant_id) == ("intact", PLATFORM)
            with transaction():
                assert runs.newest().pk == run.pk

    def test_runs_are_forgotten_once_a_newer_one_of_their_kind_is_intact(self, forger: psycopg.Connection) -> None:
        grow()
        old, older = verified(), verified()
        forger.execute("UPDATE audit_verificationrun SET finished_at = now() - interval '91 days'")
        new = verified()
        with ADA.here(), transaction():
            left = set(VerificationRun.objects.values_list("pk", flat=True))
        assert left == {new.pk}
        assert len({old.pk, older.pk, new.pk}) == 3


def test_the_gauges_tell_what_came_after_the_last_verification() -> None:
    grow()
    assert figures("kaireon_audit_verification_intact") == {}
    verified()
    services.drain(ACME)
    before = figures("kaireon_audit_unverified_records")[ACME]
    grow(5, commit=False)
    assert figures("kaireon_audit_unverified_records")[ACME] == before + 5


def figures(name: str) -> dict[str, float]:
    return {s.labels["tenant"]: s.value for metric in gauges.audit() for s in metric.samples if s.name == name}
