"""Checkpoints and their witnesses' lines, signed by somebody else or otherwise."""

import base64
from dataclasses import replace

import pytest

from audit.offline.kaireon_verify import PinnedKey
from tests.audit.offline.bundle import base64_of, cosignature, key, key_id, raw, signed_note, zipped


def test_a_checkpoint_signed_by_somebody_else(log, check_broken):
    stranger = replace(log, keys=(key("stranger"),))
    broken = check_broken(log.bundle().changed("checkpoint.txt", lambda _: stranger.checkpoint(60)).zip())

    assert (broken.file, broken.reason) == ("checkpoint.txt", "signature_invalid")


def test_a_signature_in_the_keys_name_that_is_not_its(log, check_broken):
    def forge(content):
        text = content.split(b"\n\n")[0].decode() + "\n"
        false = key_id(log.origin, 1, raw(log.keys[0])) + key("stranger").sign(text.encode())
        return content + f"— {log.origin} {base64_of(false)}\n".encode()

    broken = check_broken(log.bundle().changed("checkpoint.txt", forge).zip())
    assert (broken.file, broken.reason) == ("checkpoint.txt", "signature_invalid")


def test_a_checkpoint_under_a_name_that_is_not_its_origin(log, check_broken):
    """The key is right and its name is not: it might be the key of another log."""
    other = "kaireon.example/globex"

    def renamed(entry):
        return {**entry, "name": other, "keyId": key_id(other, 1, raw(log.keys[0])).hex()}

    bundle = log.bundle().with_json("keys.json", lambda keys: {**keys, "keys": [renamed(keys["keys"][0])]})
    text = bundle.files["checkpoint.txt"].split(b"\n\n")[0].decode() + "\n"
    files = bundle.changed("checkpoint.txt", lambda _: signed_note(text, other, log.keys[0])).signed()
    name = key_id(other, 1, raw(log.keys[0])).hex().encode()
    files["manifest.sig"] = name + files["manifest.sig"][8:]

    assert check_broken(zipped(files)).file == "checkpoint.txt"


def plain_signature(text, witness):
    """By the right key, of the right text, and not a cosignature."""
    value = key_id("w.example", 4, raw(witness)) + witness.sign(text.encode())
    return f"— w.example {base64_of(value)}\n".encode()


@pytest.mark.parametrize(
    "forge",
    [
        lambda text: cosignature(text, "w.example", key("witness"), 5).encode()[:-7] + b"AAAA==\n",
        lambda text: cosignature(text.replace("60", "61"), "w.example", key("witness")).encode(),
        lambda text: plain_signature(text, key("witness")),
    ],
    ids=["cut", "of another checkpoint", "a plain signature"],
)
def test_a_cosignature_in_a_witness_name_that_is_not_its(log, check_broken, forge):
    bundle = log.bundle()
    text = bundle.files["checkpoint.txt"].split(b"\n\n")[0].decode() + "\n"
    forged = bundle.changed("checkpoint.txt", lambda note: note + forge(text)).zip()
    pinned = PinnedKey("w.example", 4, raw(key("witness")))

    broken = check_broken(forged, witnesses=[pinned])
    assert (broken.file, broken.reason) == ("checkpoint.txt", "signature_invalid")


def test_the_time_of_a_cosignature_is_signed(log, check_broken):
    bundle = replace(log, witnesses={"w.example": key("witness")}).bundle()
    text = bundle.files["checkpoint.txt"].split(b"\n\n")[0].decode() + "\n"
    early = cosignature(text, "w.example", key("witness"), 1)
    late = key_id("w.example", 4, raw(key("witness"))) + (2).to_bytes(8, "big")
    moved = base64_of(late + base64.b64decode(early.split(" ")[2])[12:])
    forged = bundle.changed("checkpoint.txt", lambda note: note + f"— w.example {moved}\n".encode()).zip()

    assert check_broken(forged).reason == "signature_invalid"
