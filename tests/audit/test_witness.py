"""Our logs before witnesses: this product's own over real HTTP, and ones that are away, wrong or against us."""

import io
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import connections

from audit import checks, services
from audit.models import Checkpoint, Cosignature, WitnessedLog
from audit.tree import checkpoints, notes, signing
from audit.witness import client, ourselves
from audit.witness import witnesses as witness
from audit.witness.client import WitnessAway
from audit.witness.witnesses import WitnessContradicts, WitnessRefused
from cron import runner
from cron.models import Trigger
from kaireon.lib import clock
from kaireon.ops import gauges
from kaireon.tenancy.context import transaction
from tests.audit.log import write
from tests.audit.witnesses import base64_of, check_cosignature, cosignature, private_key, verifier_key
from tests.caller import with_key
from tests.cast import ACME, ADA
from tests.outbox.conftest import Answer, Receiver, drip, half, hang, receiver_on, say

pytestmark = pytest.mark.usefixtures("db")

NAME = "witness.example.com"
KEY = private_key("witness")
PINNED = verifier_key(NAME, KEY, 4)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def url(db: str, settings: Any) -> Iterator[str]:
    """This installation as a witness of its own log, answering on loopback; and as one that asks it."""
    application = get_wsgi_application()

    def serve(environ: Any, start: Any) -> Any:
        try:
            return application(environ, start)
        finally:
            connections.close_all()

    server = make_server("127.0.0.1", 0, serve, server_class=Server, handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/witness/v1"
    settings.AUDIT_WITNESSES = [f"{address} {PINNED}"]
    settings.AUDIT_WITNESS_PRIVATE = True
    settings.WITNESS_NAME, settings.WITNESS_KEY = NAME, base64_of(KEY.private_bytes_raw())
    settings.WITNESS_LOGS = [pinned_log()]
    yield address
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def other(db: str, settings: Any) -> Iterator[Receiver]:
    """A witness that answers as it is told to."""
    with receiver_on() as here:
        settings.AUDIT_WITNESSES = [f"{here.url} {PINNED}"]
        settings.AUDIT_WITNESS_PRIVATE = True
        yield here


def pinned_log() -> str:
    with ADA.here(), transaction():
        return str(signing.signer().public)


def made() -> Checkpoint:
    write(3, tenant=ACME)
    services.drain(ACME)
    checkpoints.make(ACME)
    with ADA.here(), transaction():
        newest = checkpoints.newest(ACME)
    assert newest is not None
    return newest


def ask(checkpoint: Checkpoint) -> None:
    [one] = witness.configured()
    with ADA.here():
        witness.ask(checkpoint, one)


def signed() -> list[int]:
    with ADA.here(), transaction():
        return list(Cosignature.objects.order_by("tree_size").values_list("tree_size", flat=True))


def text_of(checkpoint: Checkpoint) -> str:
    return notes.Note.parse(checkpoint.note).text


@pytest.mark.usefixtures("url")
def test_the_job_has_every_new_checkpoint_cosigned() -> None:
    for _ in range(3):
        newest = made()
        ran = runner.run_job("audit-witness", trigger=Trigger.COMMAND)
        [entry] = [e for e in ran.body["perTenant"] if e["tenantId"] == ACME]
        assert (entry["witnessed"], entry["errors"]) == (1, [])
        assert signed()[-1] == newest.tree_size
    assert len(signed()) == 3
    with ADA.here(), transaction():
        row = Cosignature.objects.get(tree_size=newest.tree_size)
    assert check_cosignature(row.line, text_of(newest), NAME, KEY) == int(row.cosigned_at.timestamp())
    assert WitnessedLog.objects.get().tree_size == newest.tree_size
    before = len(signed())
    runner.run_job("audit-witness", trigger=Trigger.COMMAND)
    assert len(signed()) == before, "what is signed is not asked for again"


@pytest.mark.usefixtures("url")
def test_checkpoint_and_bundle_carry_the_line(tmp_path: Path) -> None:
    newest = made()
    ask(newest)
    note = with_key("aud").get("/audit-logs/checkpoint", accept="text/plain").content.decode()
    assert note == newest.note + f"{witness_line(newest)}\n"
    notes.Note.parse(note).cosigned_at(notes.PublicKey.parse(PINNED, kind=notes.COSIGNS))

    answer: Any = with_key("aud").get(f"/audit-logs/bundle?to={clock.rfc3339(newest.signed_at)}")
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(b"".join(answer.streaming_content))
    with zipfile.ZipFile(io.BytesIO(bundle.read_bytes())) as inside:
        verifier = tmp_path / "kaireon_verify.py"
        verifier.write_bytes(inside.read("kaireon_verify.py"))
        assert json.loads(inside.read("keys.json"))["witnesses"][0]["name"] == NAME
    told = subprocess.run(
        [sys.executable, "-I", verifier, bundle, "--pubkey", pinned_log(), "--witness", PINNED, "--json"],
        capture_output=True,
        check=False,
    )
    said = json.loads(told.stdout)
    assert (told.returncode, said["level"]) == (0, "pinned-witnessed"), said
    assert [one["name"] for one in said["witnesses"]] == [NAME]


def witness_line(checkpoint: Checkpoint) -> str:
    with ADA.here(), transaction():
        return Cosignature.objects.get(tree_size=checkpoint.tree_size).line


@pytest.mark.usefixtures("url")
def test_a_witness_that_is_further_than_we_thought_is_asked_from_there() -> None:
    """It signed, and its answer never reached us."""
    first = made()
    us = ourselves.configured()
    assert us is not None
    ourselves.add_checkpoint(witness.request_body(old=0, proof=[], note=first.note), us=us, now=clock.now())
    second = made()
    ask(second)
    assert signed() == [second.tree_size]


@pytest.mark.usefixtures("url")
def test_a_log_that_was_rewritten_is_contradicted() -> None:
    """The witness remembers another history under our name and key."""
    checkpoint = made()
    for size, root, code in (
        (checkpoint.tree_size, "0" * 64, "another_root"),
        (checkpoint.tree_size - 1, "0" * 64, "inconsistent"),
        (checkpoint.tree_size + 5, "0" * 64, "witness_is_ahead"),
    ):
        remember(size, root)
        with pytest.raises(WitnessContradicts) as refused:
            ask(checkpoint)
        assert refused.value.code == code
    assert signed() == []


def remember(size: int, root: str) -> None:
    """Past the wall that lets a witness only go on."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE audit_witnessedlog DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM audit_witnessedlog")
        cursor.execute("ALTER TABLE audit_witnessedlog ENABLE TRIGGER USER")
    WitnessedLog.objects.create(
        origin=signing.origin(ACME), tree_size=size, root_hash=root, note="", cosigned_at=clock.now()
    )


@pytest.mark.usefixtures("url")
def test_a_later_checkpoint_of_ours_is_no_contradiction() -> None:
    first, second = made(), made()
    ask(second)
    with pytest.raises(WitnessAway, match="changed_meanwhile"):
        ask(first)


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (say(500), WitnessAway, "http_500"),
        (say(429), WitnessAway, "http_429"),
        (half, WitnessAway, "RemoteProtocolError"),
        (say(200, b"x" * 20_000), WitnessAway, "answer_too_large"),
        (say(403), WitnessRefused, "key_not_trusted"),
        (say(404), WitnessRefused, "log_not_known"),
        (say(400), WitnessRefused, "request_refused"),
        (say(302, Location="http://169.254.169.254/"), WitnessRefused, "http_302"),
        (say(422), WitnessContradicts, "inconsistent"),
        (say(409, b"0\n"), WitnessRefused, "conflict_without_reason"),
        (say(409, b"many"), WitnessRefused, "conflict_without_size"),
        (say(409, b"9" * 30), WitnessRefused, "conflict_without_size"),
        (say(409, b"999999\n"), WitnessContradicts, "witness_is_ahead"),
        (say(200, b""), WitnessRefused, "signature_invalid"),
        (say(200, b"\xff\n"), WitnessRefused, "signature_invalid"),
        (say(200, b"no signature\n"), WitnessRefused, "signature_invalid"),
    ],
)
def test_what_is_no_cosignature_is_not_kept(
    other: Receiver, answer: Answer, error: type[WitnessAway | WitnessRefused], code: str
) -> None:
    other.always = answer
    checkpoint = made()
    with pytest.raises(error) as refused:
        ask(checkpoint)
    assert refused.value.code == code
    assert refused.type is error
    assert signed() == []


@pytest.mark.parametrize("answer", [hang, drip], ids=["hangs", "drips"])
def test_a_slow_witness_costs_the_deadline_and_no_more(
    other: Receiver, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SECONDS", 0.3)
    other.always = answer
    checkpoint = made()
    with pytest.raises(WitnessAway, match="timeout"):
        ask(checkpoint)


def test_a_private_address_is_asked_only_where_that_is_allowed(other: Receiver, settings: Any) -> None:
    settings.AUDIT_WITNESS_PRIVATE = False
    checkpoint = made()
    with pytest.raises(WitnessAway, match="address_refused"):
        ask(checkpoint)
    assert other.got == []


@pytest.mark.parametrize("forged", ["another key", "another text", "another name", "another time", "twice"])
def test_a_line_that_the_pinned_key_did_not_write_is_not_kept(other: Receiver, forged: str) -> None:
    checkpoint = made()
    text, now = text_of(checkpoint), int(clock.now().timestamp())
    line = {
        "another key": cosignature(text, NAME, private_key("thief"), now),
        "another text": cosignature(text.replace("\n", "0\n", 1), NAME, KEY, now),
        "another name": cosignature(text, "somebody.else", KEY, now),
        "another time": with_other_time(cosignature(text, NAME, KEY, now)),
        "twice": cosignature(text, NAME, KEY, now) * 2,
    }[forged]
    other.always = say(200, line.encode())
    with pytest.raises(WitnessRefused, match="signature_invalid"):
        ask(checkpoint)
    assert signed() == []


def with_other_time(line: str) -> str:
    [found] = notes.signatures(line)
    value = bytes(7) + b"\x07" + found.value[8:]
    return f"{notes.Signature(found.name, found.key_id, value)}\n"


def test_lines_of_others_beside_it_are_passed_over(other: Receiver) -> None:
    checkpoint = made()
    text, now = text_of(checkpoint), int(clock.now().timestamp())
    strangers = cosignature(text, "somebody.else", private_key("else"), now)
    mine = cosignature(text, NAME, KEY, now)
    other.always = say(200, (strangers + mine).encode())
    ask(checkpoint)
    assert f"{witness_line(checkpoint)}\n" == mine


def test_an_outage_fails_the_job_and_shows_in_the_gauges_until_it_is_over(other: Receiver) -> None:
    made()
    other.always = say(503)
    assert unwitnessed() >= 1
    ran = runner.run_job("audit-witness", trigger=Trigger.COMMAND)
    assert not ran.ok
    entries = {e["tenantId"]: e for e in ran.body["perTenant"]}
    assert entries[ACME]["errors"] in ([f"{NAME}: http_503"], [f"{NAME}: left_alone"])
    assert len(other.got) == 1, "one that is away is not waited for again for each log"
    assert unwitnessed() >= 1


def unwitnessed() -> float:
    samples = [s for metric in gauges.audit() for s in metric.samples]
    return next(s.value for s in samples if s.name == "kaireon_audit_unwitnessed_checkpoints")


@pytest.mark.usefixtures("url")
def test_the_gauge_is_at_rest_when_all_is_signed() -> None:
    newest = made()
    before = unwitnessed()
    ask(newest)
    assert unwitnessed() == before - 1


def test_without_witnesses_nothing_is_asked_and_nothing_is_owed() -> None:
    made()
    assert runner.run_job("audit-witness", trigger=Trigger.COMMAND).ok
    assert unwitnessed() == 0


def test_what_cannot_be_read_is_named_before_it_starts(settings: Any) -> None:
    settings.AUDIT_WITNESS_PRIVATE = False
    for entries in (
        ["https://w.example"],
        [f"ftp://w.example {PINNED}"],
        [f"http://w.example {PINNED}"],
        [f"https://w.example {PINNED[:-4]}"],
        [f"https://w.example {verifier_key(NAME, KEY, 1)}"],
        [f"https://w.example {PINNED}", f"https://x.example {PINNED}"],
    ):
        settings.AUDIT_WITNESSES = entries
        [error] = checks.witnesses_can_be_read(None)
        assert error.id == "kaireon.E041", entries
    settings.AUDIT_WITNESSES = [f"https://w.example/prefix/ {PINNED}"]
    assert checks.witnesses_can_be_read(None) == []
    assert witness.configured()[0].url == "https://w.example/prefix"
