import base64
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaireon.lib.sealing import (
    BadKeyring,
    CannotOpen,
    Keyring,
    NotSealed,
    SealBroken,
    UnknownKeyVersion,
    key_version,
    open_sealed,
    rewrap,
    seal,
)

KEYRING = Keyring({1: b"\x01" * 32})
CONTEXT = "dossier:acme:7"
PLAINTEXT = b"Ada Lovelace, born 10 December 1815"
TOKEN = seal(PLAINTEXT, context=CONTEXT, keyring=KEYRING)


@given(st.binary(), st.text(st.characters(exclude_categories=["Cs"])))
def test_what_was_sealed_opens(plaintext, context):
    assert open_sealed(seal(plaintext, context=context, keyring=KEYRING), context=context, keyring=KEYRING) == plaintext


def test_equal_plaintexts_do_not_look_equal():
    assert seal(b"x", context="c", keyring=KEYRING) != seal(b"x", context="c", keyring=KEYRING)
    assert PLAINTEXT not in TOKEN


def test_another_context_does_not_open_it():
    with pytest.raises(SealBroken):
        open_sealed(TOKEN, context="dossier:globex:7", keyring=KEYRING)


@pytest.mark.parametrize("position", range(len(TOKEN)))
def test_a_flipped_bit_anywhere_is_noticed(position):
    altered = bytearray(TOKEN)
    altered[position] ^= 1

    with pytest.raises(CannotOpen):
        open_sealed(bytes(altered), context=CONTEXT, keyring=KEYRING)


@pytest.mark.parametrize("length", range(len(TOKEN)))
def test_a_shortened_value_is_noticed(length):
    with pytest.raises(CannotOpen):
        open_sealed(TOKEN[:length], context=CONTEXT, keyring=KEYRING)


def test_a_data_key_of_another_value_does_not_open_it():
    other = seal(PLAINTEXT, context=CONTEXT, keyring=KEYRING)

    with pytest.raises(SealBroken):
        open_sealed(TOKEN[:67] + other[67:], context=CONTEXT, keyring=KEYRING)


def test_another_key_of_the_same_version_does_not_open_it():
    with pytest.raises(SealBroken):
        open_sealed(TOKEN, context=CONTEXT, keyring=Keyring({1: b"\x02" * 32}))


def test_the_newest_key_seals_and_every_key_opens():
    rotated = KEYRING.rotated()

    assert key_version(seal(b"x", context="c", keyring=rotated)) == 2
    assert open_sealed(TOKEN, context=CONTEXT, keyring=rotated) == PLAINTEXT


def test_rewrapping_makes_the_old_key_dispensable_and_leaves_the_ciphertext():
    rotated = KEYRING.rotated()
    newest_only = Keyring({2: rotated.key(2)})

    moved = rewrap(TOKEN, keyring=rotated)

    assert (key_version(TOKEN), key_version(moved)) == (1, 2)
    assert moved[67:] == TOKEN[67:]
    assert open_sealed(moved, context=CONTEXT, keyring=newest_only) == PLAINTEXT
    assert rewrap(moved, keyring=rotated) == moved


def test_a_missing_version_is_named():
    with pytest.raises(UnknownKeyVersion, match="v1 is not on the keyring"):
        open_sealed(TOKEN, context=CONTEXT, keyring=Keyring({2: bytes(32)}))


def test_a_memoryview_opens_too():
    assert open_sealed(memoryview(TOKEN), context=CONTEXT, keyring=KEYRING) == PLAINTEXT


def test_no_error_tells_what_was_sealed():
    for token, context in ((TOKEN[:-1], CONTEXT), (TOKEN, "secret-context"), (PLAINTEXT, CONTEXT)):
        with pytest.raises(CannotOpen) as e:
            open_sealed(token, context=context, keyring=KEYRING)
        text = "".join(traceback.format_exception_only(e.value))
        assert "Ada" not in text
        assert "secret-context" not in text


def test_random_bytes_are_not_sealed():
    with pytest.raises(NotSealed):
        key_version(b"\x00" * 200)


A = base64.b64encode(b"\xfb" * 32).decode()


def test_a_keyring_is_read_from_text():
    keyring = Keyring.parse(f"v1:{A}, v12:{A.replace('+', '-').replace('/', '_')}")

    assert keyring.versions == (12, 1)
    assert keyring.newest == 12
    assert keyring.key(12) == b"\xfb" * 32
    assert Keyring.parse(keyring.text()).text() == keyring.text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        A,
        "v0:" + A,
        f"v1:{A},v1:{A}",
        "v1:c2hvcnQ=",
        "v1:abc",
        f"v1:{A},",
        f"x1:{A}",
        f"v1:{A};v2:{A}",
        "v1:====",
        f"v4294967296:{A}",
    ],
)
def test_a_bad_keyring_is_refused_without_repeating_it(text):
    with pytest.raises(BadKeyring) as e:
        Keyring.parse(text)
    assert "c2hvcnQ" not in str(e.value)
    assert A not in str(e.value)


def test_an_empty_keyring_is_refused():
    with pytest.raises(BadKeyring):
        Keyring({})


def test_a_keyring_does_not_show_its_keys():
    assert repr(Keyring.parse(f"v1:{A},v2:{A}")) == "<Keyring v2, v1>"
