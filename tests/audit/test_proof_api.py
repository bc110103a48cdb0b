"""Proofs and checkpoints as a caller gets them, and each way to ask wrongly."""

import base64
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from audit import services
from audit.tree import checkpoints, merkle, notes
from tests.audit.log import records, write
from tests.caller import error_of, with_key
from tests.cast import ACME

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def size() -> int:
    """Of the checkpoint that everything here is proven in."""
    write(20, tenant=ACME)
    services.drain(ACME)
    checkpoint = checkpoints.make(ACME)
    assert checkpoint is not None
    return checkpoint.size


def raw(hashes: list[str]) -> list[bytes]:
    return [bytes.fromhex(h) for h in hashes]


def test_a_proof_leads_to_the_signed_root(size: int) -> None:
    aud = with_key("aud")
    signed = aud.get("/audit-logs/checkpoint").json()
    key = notes.PublicKey(signed["publicKey"].split("+")[0], base64.b64decode(signed["publicKey"].split("+", 2)[2])[1:])
    note = notes.Note.parse(signed["checkpoint"])
    note.check(key)
    checkpoint = notes.Checkpoint.parse(note.text)
    assert (
        (checkpoint.size, checkpoint.root.hex())
        == (signed["treeSize"], signed["rootHash"])
        == (size, signed["rootHash"])
    )
    assert signed["keyId"] == key.key_id.hex() == signed["publicKey"].split("+")[1]

    for record in records(ACME)[:size]:
        proof = aud.get(f"/audit-logs/{record.pk}/proof").json()
        assert (proof["id"], proof["leafIndex"], proof["treeSize"]) == (str(record.pk), record.seq - 1, size)
        assert proof["rootHash"] == signed["rootHash"]
        assert proof["leafHash"] == record.leaf_hash
        merkle.check_inclusion(
            bytes.fromhex(proof["leafHash"]), proof["leafIndex"], size, raw(proof["hashes"]), checkpoint.root
        )


def test_a_proof_in_a_smaller_tree(size: int) -> None:
    [record] = records(ACME, seq=3)
    proof = with_key("aud").get(f"/audit-logs/{record.pk}/proof?size=5").json()
    root = bytes.fromhex(proof["rootHash"])
    merkle.check_inclusion(bytes.fromhex(record.leaf_hash), 2, 5, raw(proof["hashes"]), root)
    joined = with_key("aud").get(f"/audit-logs/consistency?first=5&second={size}").json()
    assert joined["firstRoot"] == proof["rootHash"]


def test_consistency(size: int) -> None:
    answer = with_key("aud").get("/audit-logs/consistency?first=7").json()
    assert (answer["first"], answer["second"]) == (7, size)
    merkle.check_consistency(
        first=7,
        second=size,
        first_root=bytes.fromhex(answer["firstRoot"]),
        second_root=bytes.fromhex(answer["secondRoot"]),
        proof=raw(answer["hashes"]),
    )


def test_the_bare_note_as_text(size: int) -> None:
    answer = with_key("aud").get("/audit-logs/checkpoint", accept="text/plain")
    assert answer["Content-Type"].startswith("text/plain")
    note = notes.Note.parse(answer.content.decode())
    assert notes.Checkpoint.parse(note.text).size == size


def test_a_record_that_is_in_no_checkpoint_yet(size: int) -> None:
    write(1, tenant=ACME)
    newest = records(ACME)[-1]
    answer = with_key("aud").get(f"/audit-logs/{newest.pk}/proof")
    assert answer.status_code == 409
    assert "not in a checkpoint yet" in error_of(answer)["message"]


def test_before_the_first_checkpoint() -> None:
    [first, *_] = records(ACME)
    assert with_key("aud").get(f"/audit-logs/{first.pk}/proof").status_code == 409
    for path in ("/audit-logs/checkpoint", "/audit-logs/consistency?first=1"):
        answer = with_key("aud").get(path)
        assert answer.status_code == 404
        assert "no checkpoint yet" in error_of(answer)["message"]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("consistency", "first"),
        ("consistency?first=-1", "first"),
        ("consistency?first=x", "first"),
        ("consistency?first=1.5", "first"),
        ("consistency?first=99999", "first"),
        ("consistency?first=1&second=99999", "second"),
        ("consistency?first=9&second=8", "first"),
        ("consistency?first=99999999999999999999", "first"),
        ("{id}/proof?size=2", "size"),
        ("{id}/proof?size=99999", "size"),
        ("{id}/proof?size=", "size"),
    ],
)
def test_sizes_that_the_log_does_not_have(size: int, query: str, name: str) -> None:
    [record] = records(ACME, seq=3)
    answer = with_key("aud").get(f"/audit-logs/{query.format(id=record.pk)}")
    assert answer.status_code == 400
    assert name in error_of(answer)["message"]


def test_a_proof_takes_few_questions(size: int) -> None:
    [record] = records(ACME, seq=3)
    aud = with_key("aud")
    asked: list[str] = []

    def noted(execute: Any, sql: str, *rest: Any) -> Any:
        asked.append(sql)
        return execute(sql, *rest)

    for path in (f"{record.pk}/proof", "consistency?first=7"):
        with connections["default"].execute_wrapper(noted), connections["sequencer"].execute_wrapper(noted):
            assert aud.get(f"/audit-logs/{path}").status_code == 200
    assert len([sql for sql in asked if "audit_tile" in sql]) == 2
    # Nothing that waits in the inbox can be in a checkpoint.
    assert not [sql for sql in asked if "audit_inbox" in sql]


def test_asking_is_recorded(size: int) -> None:
    [record] = records(ACME, seq=3)
    with_key("aud").get(f"/audit-logs/{record.pk}/proof")
    with_key("aud").get("/audit-logs/consistency?first=2")
    assert [r.entity_id for r in records(ACME, action="audit_log.prove")] == [str(record.pk), ACME]


class TestCommands:
    def run(self, *arguments: str) -> str:
        out = StringIO()
        call_command(*arguments, stdout=out)
        return out.getvalue()

    def test_a_checkpoint_is_printed_and_the_log_held_against_it(self, tmp_path: Path) -> None:
        write(5, tenant=ACME)
        note = self.run("audit_checkpoint", "--tenant", ACME)
        assert self.run("audit_checkpoint", "--tenant", ACME, "--show") == note
        kept = tmp_path / "checkpoint.txt"
        kept.write_text(note)
        assert "intact" in self.run("audit_verify", "--tenant", ACME, "--checkpoint", str(kept))
        with_key_id = json.loads(self.run("audit_checkpoint", "--tenant", ACME, "--show", "--json"))
        assert with_key_id["checkpoint"] == note

    def test_a_new_key_signs_the_next(self) -> None:
        write(5, tenant=ACME)
        before = json.loads(self.run("audit_checkpoint", "--tenant", ACME, "--json"))
        after = json.loads(self.run("audit_checkpoint", "--tenant", ACME, "--rotate-key", "--json"))
        assert before["keyId"] != after["keyId"]
        assert after["treeSize"] > before["treeSize"]
        assert "intact" in self.run("audit_verify", "--tenant", ACME)

    def test_proofs(self, size: int) -> None:
        [record] = records(ACME, seq=3)
        proof = json.loads(self.run("audit_proof", "--tenant", ACME, "--record", str(record.pk)))
        assert proof == {"tenantId": ACME, **with_key("aud").get(f"/audit-logs/{record.pk}/proof").json()}
        both = json.loads(self.run("audit_proof", "--tenant", ACME, "--first", "4", "--size", "9"))
        assert (both["first"], both["second"]) == (4, 9)

    @pytest.mark.parametrize(
        "arguments",
        [
            ["audit_checkpoint", "--tenant", "nobody"],
            ["audit_checkpoint", "--tenant", "_platform", "--show"],
            ["audit_proof", "--tenant", ACME, "--record", "nothing"],
            ["audit_proof", "--tenant", ACME, "--first", "-1"],
            ["audit_proof", "--tenant", ACME, "--first", "9", "--size", "8"],
            ["audit_proof", "--tenant", ACME, "--first", "1", "--size", "99999"],
            ["audit_verify", "--tenant", ACME, "--checkpoint", "/nowhere/at/all"],
        ],
    )
    def test_wrong_use_says_what_is_wrong(self, size: int, arguments: list[str]) -> None:
        with pytest.raises(CommandError):
            self.run(*arguments)

    def test_nothing_is_signed_over_a_broken_log(self, size: int, superuser: object) -> None:
        superuser.execute("SET session_replication_role = replica")  # type: ignore[attr-defined]
        superuser.execute("UPDATE audit_tile SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1)")  # type: ignore[attr-defined]
        write(1, tenant=ACME)
        with pytest.raises(CommandError, match="Nothing was signed"):
            self.run("audit_checkpoint", "--tenant", ACME)
