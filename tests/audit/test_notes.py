"""Signed notes against one that Go's note package documents, and against everything that is almost one."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.tree.notes import BadNote, Checkpoint, Note, NotSigned, PublicKey, sign

# The example of golang.org/x/mod/sumdb/note.
NEUMANN = PublicKey("PeterNeumann", base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")[1:])
QUOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NAME = "kaireon.example/acme"
PUBLIC = PublicKey(NAME, KEY.public_key().public_bytes_raw())
CHECKPOINT = Checkpoint(origin=NAME, size=4711, root=bytes(32))


def test_the_documented_note_is_signed_by_its_key():
    assert str(NEUMANN) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    note = Note.parse(QUOTE)
    note.check(NEUMANN)
    assert str(note) == QUOTE


def test_a_checkpoint_survives_its_note():
    note = Note.parse(str(sign(CHECKPOINT.text, name=NAME, key=KEY)))
    note.check(PUBLIC)
    assert Checkpoint.parse(note.text) == CHECKPOINT
    assert note.text == f"{NAME}\n4711\n{base64.b64encode(bytes(32)).decode()}\n"


def test_any_other_bit_is_not_signed():
    raw = bytearray(str(sign(CHECKPOINT.text, name=NAME, key=KEY)).encode())
    for place in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises((BadNote, NotSigned, UnicodeDecodeError)):
            note = Note.parse(changed.decode())
            note.check(PUBLIC)
            Checkpoint.parse(note.text)


def test_another_key_of_that_name_did_not_sign():
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    note = sign(CHECKPOINT.text, name=NAME, key=other)
    with pytest.raises(NotSigned):
        note.check(PUBLIC)


def test_two_signatures_by_one_key_are_none():
    note = sign(CHECKPOINT.text, name=NAME, key=KEY)
    with pytest.raises(NotSigned):
        note.signed(note.signatures).check(PUBLIC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "x\n\n",
        "x\n\n— a b",
        "x\n\n— a b\n",
        "x\n\n- a AAAAAAAA\n",
        "x\n\n— a AAAAAA==\n",
        "x\n\n— a AAAAAAB=\n",
        "x\n\n— a+b AAAAAAAA\n",
        "x\n\n— a AAAAAAAA\n" + "y" * 70_000,
        "\ud800\n\n— a AAAAAAAA\n" * 10_000,
    ],
)
def test_what_is_no_note_is_refused(text):
    with pytest.raises(BadNote):
        Note.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log\n1\n",
        f"log\n01\n{base64.b64encode(bytes(32)).decode()}\n",
        f"log\n-1\n{base64.b64encode(bytes(32)).decode()}\n",
        f"log\n١\n{base64.b64encode(bytes(32)).decode()}\n",
        f"two words\n1\n{base64.b64encode(bytes(32)).decode()}\n",
        f"log\n1\n{base64.b64encode(bytes(31)).decode()}\n",
        f"log\n1\n{base64.b64encode(bytes(32)).decode()}",
        f"log\n1\n{base64.b64encode(bytes(32)).decode()}\nmore\n",
        f"log\n{'9' * 20}\n{base64.b64encode(bytes(32)).decode()}\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(BadNote):
        Checkpoint.parse(text)


@pytest.mark.parametrize(("name", "raw"), [("", bytes(32)), ("a b", bytes(32)), ("a+b", bytes(32)), ("a", bytes(31))])
def test_what_is_no_key_is_refused(name, raw):
    with pytest.raises(BadNote):
        PublicKey(name, raw)


def test_a_note_needs_a_last_newline():
    with pytest.raises(BadNote):
        sign("x", name=NAME, key=KEY)
