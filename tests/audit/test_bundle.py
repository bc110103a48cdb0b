"""The bundle as an auditor gets it, checked by the program inside it, which knows nothing of ours."""

import io
import json
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from audit import services
from audit.exports import bundle
from audit.tree import checkpoints, signing
from kaireon.lib import clock
from kaireon.tenancy.context import scope, transaction
from tests.audit.log import records, write
from tests.caller import error_of, with_key
from tests.cast import ACME, ADA, GLOBEX

pytestmark = pytest.mark.usefixtures("db")

FILES = {
    *("manifest.json", "manifest.sig", "records.ndjson", "proofs.json", "checkpoint.txt", "keys.json"),
    *("kaireon_verify.py", "README.txt"),
}


@pytest.fixture(autouse=True)
def _log(db: str) -> None:
    write(300, tenant=ACME, changes={"name": "Zoë ☂", "n": 12.5, "long": 2**60, "list": [1, None, True]})


def fetched(query: str = "") -> bytes:
    answer = with_key("aud").get(f"/audit-logs/bundle{query}")
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "application/zip"
    assert answer["Content-Disposition"].startswith("attachment")
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def checked(folder: Path, content: bytes, *options: str) -> tuple[int, dict[str, Any]]:
    """The bundle's own verifier, alone: no site packages, nothing of the environment."""
    path = folder / "evidence.zip"
    path.write_bytes(content)
    with zipfile.ZipFile(path) as inside:
        inside.extract("kaireon_verify.py", folder)
    run = subprocess.run(
        [sys.executable, "-I", "-S", str(folder / "kaireon_verify.py"), str(path), "--json", *options],
        capture_output=True,
        text=True,
        env={},
        cwd=folder,
        check=False,
    )
    assert run.stderr == ""
    return run.returncode, json.loads(run.stdout)


def pinned() -> str:
    with ADA.here(), transaction():
        return str(signing.public_key(signing.keys(ACME)[0]))


def test_it_verifies_by_itself(tmp_path: Path) -> None:
    content = fetched()
    with zipfile.ZipFile(io.BytesIO(content)) as inside:
        assert set(inside.namelist()) == FILES
        manifest = json.loads(inside.read("manifest.json"))
        lines = inside.read("records.ndjson").splitlines()
    assert manifest["records"] == len(lines) == manifest["lastSeq"]
    assert [json.loads(line)["id"] for line in lines] == [str(r.pk) for r in records(ACME)[: len(lines)]]

    code, said = checked(tmp_path, content)
    assert (code, said["level"], said["records"]) == (0, "embedded", len(lines))
    code, said = checked(tmp_path, content, "--pubkey", pinned())
    assert (code, said["level"]) == (0, "pinned")


def test_a_part_of_the_log(tmp_path: Path) -> None:
    middle = records(ACME)[100]
    write(30, tenant=ACME)
    since = clock.rfc3339(middle.timestamp)
    content = fetched(f"?from={since}")
    code, said = checked(tmp_path, content, "--pubkey", pinned())
    assert (code, said["level"], said["from"]) == (0, "pinned", since)
    # Records of one transaction share no moment, but may stand a little before the one that was asked for.
    assert 1 < said["firstSeq"] <= middle.seq
    assert said["lastSeq"] == said["treeSize"]


def test_after_the_key_was_changed_twice(tmp_path: Path) -> None:
    fetched()
    first = pinned()
    for _ in range(2):
        with ADA.here(), transaction():
            signing.rotate()
    code, said = checked(tmp_path, fetched(), "--pubkey", first)
    assert (code, said["level"], said["rotations"]) == (0, "pinned", 2)


def test_another_logs_key_is_not_trusted(tmp_path: Path) -> None:
    write(1, tenant=GLOBEX)
    services.drain(GLOBEX)
    checkpoints.make(GLOBEX)
    content = fetched()
    with scope(tenant_id=GLOBEX, actor=ADA.actor), transaction():
        theirs = str(signing.public_key(signing.keys(GLOBEX)[0]))
    code, said = checked(tmp_path, content, "--pubkey", theirs)
    assert (code, said["brokenReason"]) == (1, "key_not_trusted")


@pytest.mark.parametrize(
    "change",
    [
        "action = 'other'",
        "changes = '{}'",
        '"timestamp" = "timestamp" - interval \'1 second\'',
        "user_name = 'somebody'",
        "entity_version = 7",
    ],
)
def test_evidence_of_a_log_that_was_changed_does_not_hold(
    tmp_path: Path, superuser: psycopg.Connection, change: str
) -> None:
    fetched()
    superuser.execute("SET session_replication_role = replica")
    superuser.execute(f"UPDATE audit_record SET {change} WHERE tenant_id = 'acme' AND seq = 50")  # type: ignore[call-overload]
    superuser.execute("SET session_replication_role = origin")
    code, said = checked(tmp_path, fetched())
    assert (code, said["intact"], said["brokenAtSeq"]) == (1, False, 50)


def test_an_old_bundle_still_holds_when_the_log_went_on(tmp_path: Path) -> None:
    before = fetched()
    write(700, tenant=ACME)
    fetched()
    assert checked(tmp_path, before)[0] == 0


def test_making_one_is_recorded() -> None:
    fetched()
    [record] = records(ACME, action="audit_log.export")
    assert record.changes["format"] == "bundle"
    assert record.changes["records"] > 300


class TestRefusals:
    def test_nothing_between(self) -> None:
        answer = with_key("aud").get("/audit-logs/bundle?from=2001-01-01&to=2001-02-01")
        assert answer.status_code == 404

    @pytest.mark.parametrize(
        "query", ["from=yesterday", "to=2026-02-30", "from=2026-01-01T00:00:00", "from=2026-02-01&to=2026-01-01"]
    )
    def test_dates_that_are_none(self, query: str) -> None:
        answer = with_key("aud").get(f"/audit-logs/bundle?{query}")
        assert answer.status_code == 400
        assert query.split("=", maxsplit=1)[0] in error_of(answer)["message"]

    def test_more_than_one_answer_holds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("audit.exports.bundle_api.MOST_RECORDS", 100)
        answer = with_key("aud").get("/audit-logs/bundle")
        assert answer.status_code == 400
        assert "audit_export" in error_of(answer)["message"]

    def test_a_log_that_contradicts_its_checkpoint(self, superuser: psycopg.Connection) -> None:
        fetched()
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE audit_tile SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1) WHERE tenant_id = 'acme'"
        )
        superuser.execute("SET session_replication_role = origin")
        answer = with_key("aud").get("/audit-logs/bundle")
        assert (answer.status_code, error_of(answer)["code"]) == (409, "log_broken")

    def test_more_than_ten_a_minute(self) -> None:
        answers = [with_key("aud").get("/audit-logs/bundle?from=2999-01-01").status_code for _ in range(11)]
        assert answers == [404] * 10 + [429]

    def test_a_range_that_no_checkpoint_covers(self) -> None:
        services.drain(ACME)
        with ADA.here(), transaction():
            wanted = bundle.range_of(until=clock.now() + timedelta(days=1))
            with pytest.raises(bundle.NotCovered):
                bundle.write(io.BytesIO(), wanted)


class TestCommand:
    def run(self, *arguments: str) -> str:
        out = io.StringIO()
        call_command("audit_export", *arguments, stdout=out, verbosity=0)
        return out.getvalue()

    def test_a_bundle_that_verifies(self, tmp_path: Path) -> None:
        path = tmp_path / "out.zip"
        said = json.loads(self.run("--tenant", ACME, "--output", str(path), "--json"))
        assert said["records"] > 300
        code, verdict = checked(tmp_path, path.read_bytes(), "--pubkey", pinned())
        assert (code, verdict["records"]) == (0, said["records"])
        assert sorted(p.name for p in tmp_path.iterdir()) == ["evidence.zip", "kaireon_verify.py", "out.zip"]

    def test_records_that_verify_as_a_chain(self, tmp_path: Path) -> None:
        bundled = tmp_path / "out.zip"
        self.run("--tenant", ACME, "--output", str(bundled))
        path = tmp_path / "records.ndjson"
        self.run("--tenant", ACME, "--output", str(path), "--format", "ndjson")
        with zipfile.ZipFile(bundled) as inside:
            inside.extract("kaireon_verify.py", tmp_path)
        run = subprocess.run(
            [sys.executable, "-I", "-S", str(tmp_path / "kaireon_verify.py"), str(path), "--json"],
            capture_output=True,
            check=True,
        )
        assert json.loads(run.stdout)["level"] == "chain"

    def test_a_table_and_the_log_of_no_tenant(self, tmp_path: Path) -> None:
        path = tmp_path / "out.csv"
        self.run("--tenant", "_platform", "--output", str(path), "--format", "csv")
        assert path.read_text().startswith("seq,timestamp,action,")

    @pytest.mark.parametrize(
        "more",
        [
            ["--tenant", "nobody"],
            ["--tenant", ACME, "--from", "yesterday"],
            ["--tenant", ACME, "--from", "2999-01-01"],
            ["--tenant", ACME, "--output", "there"],
        ],
    )
    def test_wrong_use_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]) -> None:
        monkeypatch.chdir(tmp_path)
        Path("there").touch()
        with pytest.raises(CommandError):
            self.run("--output", "new", *more)
        assert [p.name for p in tmp_path.iterdir()] == ["there"]

    def test_what_fails_in_the_middle_leaves_no_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError("No space left on device")

        monkeypatch.setattr("audit.exports.bundle._proofs", full)
        with pytest.raises(OSError, match="No space"):
            self.run("--tenant", ACME, "--output", str(tmp_path / "out.zip"))
        assert list(tmp_path.iterdir()) == []
