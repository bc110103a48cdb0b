"""The command that opens an encrypted dossier: large ones in little memory, all of it or nothing."""

import base64
import io
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from kaireon.lib import sealing
from kaireon.lib.sealed_stream import CHUNK_BYTES, StreamSealer
from kaireon.lib.sealing import Keyring
from kaireon.tenancy.keyring import keyring

CONTEXT = "dossier:acme:1"
CLEAR = json.dumps({"who": "Jäne 🎉", "rows": "x" * 200_000}, ensure_ascii=False).encode()


def sealed(content: bytes = CLEAR) -> bytes:
    key, wrapped = sealing.new_key(keyring=keyring())
    body = io.BytesIO()
    sealer = StreamSealer(body, key=key, context=CONTEXT)
    sealer.write(content)
    sealer.close()
    return wrapped + body.getvalue()


def envelope(token: bytes, **more: Any) -> dict[str, Any]:
    data = {"format": "encrypted-aes-256-gcm", "keyVersion": 1, "context": CONTEXT}
    return {"encrypted": True, "data": {**data, "ciphertext": base64.b64encode(token).decode(), **more}}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".partial")], "something half is left"


def test_it_opens_what_is_spelled_in_another_way(folder: Path, capsysbinary: Any, monkeypatch: Any) -> None:
    token = sealed()
    plain = envelope(token)
    # Other tools sort, indent and escape; a request's answer has more around it.
    turned = {"data": dict(reversed(plain["data"].items())), "encrypted": True}
    spellings = {
        "as it is": json.dumps(plain),
        "turned round": json.dumps(turned, indent=4),
        "escaped": json.dumps(plain).replace("/", "\\/").replace("+", "\\u002b"),
        "an answer": json.dumps({"id": 'a "b" \\', "exportedData": plain, "counts": {}}),
        "short": json.dumps(envelope(sealed(b"{}"))),
        "in one piece": json.dumps(envelope(sealing.seal(CLEAR, context=CONTEXT, keyring=keyring()))),
    }
    for number, (name, text) in enumerate(spellings.items()):
        source, out = folder / f"in-{number}", folder / f"out-{number}"
        source.write_text(text)
        call_command("dsar_decrypt", str(source), out=out)
        expected = b"{}" if name == "short" else CLEAR
        assert out.read_bytes() == expected, name
        assert out.stat().st_mode & 0o777 == 0o600, name
    # Through pipes the same.
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(spellings["escaped"].encode())))
    stdout = io.StringIO()
    call_command("dsar_decrypt", "-", stdout=stdout)
    assert stdout.getvalue().encode() == CLEAR + b"\n"


def test_what_does_not_open_leaves_nothing_and_is_told_in_a_line(folder: Path, settings: Any) -> None:
    token = sealed()
    text = json.dumps(envelope(token))
    altered = bytearray(token)
    altered[-CHUNK_BYTES] ^= 1
    faults = {
        "the file was cut off": (text[: len(text) // 2], "cut short"),
        "chunks are missing": (json.dumps(envelope(token[: len(token) // 2])), "cut short"),
        "the last chunk is missing": (json.dumps(envelope(token[: 77 + 7 + CHUNK_BYTES + 16])), "cut short"),
        "the key is cut off": (json.dumps(envelope(token[:40])), "not a sealed value"),
        "a chunk was altered": (json.dumps(envelope(bytes(altered))), "altered"),
        "it is of another": (json.dumps(envelope(token, context="dossier:acme:2")), "altered"),
        "more behind the end": (json.dumps(envelope(token + b"x")), "altered"),
        "padding in the middle": (json.dumps(envelope(b"", ciphertext="AA==" * 200_000)), "not base64"),
        "no ASCII": (json.dumps(envelope(b"", ciphertext="ü" * 5_000)), "not base64"),
        "a dossier in clear": (json.dumps({"data": ["row"] * 400_000}), "not an encrypted dossier"),
    }
    for name, (content, message) in faults.items():
        source, out, stdout = folder / "in.json", folder / "out.json", io.StringIO()
        source.write_text(content)
        for given in ({"out": out}, {"stdout": stdout}):
            with pytest.raises(CommandError) as refused:
                call_command("dsar_decrypt", str(source), **given)
            assert message in str(refused.value), name
            assert "\n" not in str(refused.value), name
        assert not out.exists(), name
        # A pipe gets nothing either, however late the fault.
        assert stdout.getvalue() == "", name
    source.write_text(text)
    kept = keyring()
    for keys, message in (
        (kept.rotated().text().partition(",")[2], "v1 is not on the keyring. Put that version back into SEALING_KEYS"),
        (Keyring.generate().text(), "v1 does not open"),
    ):
        settings.SEALING_KEYS = keys
        with pytest.raises(CommandError, match=message):
            call_command("dsar_decrypt", str(source), out=out)
        assert not out.exists()


def test_nothing_is_overwritten_and_a_full_disk_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = folder / "in.json", folder / "out.json"
    source.write_text(json.dumps(envelope(sealed())))
    with monkeypatch.context() as patched:
        # Put there by somebody else while it was opened.
        patched.setattr(os, "fsync", lambda _descriptor: out.write_text("mine"))
        with pytest.raises(CommandError, match="not overwritten"):
            call_command("dsar_decrypt", str(source), out=out)
    assert out.read_text() == "mine"
    out.unlink()
    with monkeypatch.context() as patched:

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr(os, "fsync", full)
        with pytest.raises(CommandError, match=r"out\.json: No space left"):
            call_command("dsar_decrypt", str(source), out=out)
    assert not out.exists()
    with monkeypatch.context() as patched:

        def linkless(*_given: object) -> None:
            raise OSError(1, "Operation not permitted")

        patched.setattr(os, "link", linkless)
        call_command("dsar_decrypt", str(source), out=out)
    assert out.read_bytes() == CLEAR
    with pytest.raises(CommandError, match="No such file"):
        call_command("dsar_decrypt", str(source), out=folder / "none" / "out.json")


def test_memory_does_not_grow_with_the_dossier(folder: Path) -> None:
    most = {}
    for size in (4_000_000, 24_000_000):
        source, out = folder / f"{size}", folder / f"{size}.json"
        with source.open("w") as file:
            json.dump(envelope(sealed(b"x" * size)), file)
        tracemalloc.start()
        try:
            call_command("dsar_decrypt", str(source), out=out)
            _, most[size] = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert out.stat().st_size == size
    assert max(most.values()) < 3_000_000
    assert most[24_000_000] < most[4_000_000] + 500_000
