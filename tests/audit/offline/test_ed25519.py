"""Signatures against the vectors of RFC 8032 and against another implementation."""

import base64
import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.offline.kaireon_verify import SIGNS, PinnedKey, is_public_key, key_id_of, verifies
from tests.audit.offline.bundle import key, raw

ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19

# RFC 8032, section 7.1: public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
        "3dca179c138ac17ad9bef1177331a704",
    ),
]

# The points whose order divides eight, in every encoding that some implementation takes.
SMALL = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


def other_verifies(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize(("public_key", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc(public_key, message, signature):
    message = bytes.fromhex(message)

    assert verifies(bytes.fromhex(public_key), message, bytes.fromhex(signature))
    assert not verifies(bytes.fromhex(public_key), message + b"\x00", bytes.fromhex(signature))


@settings(deadline=None, max_examples=60)
@given(st.binary(min_size=1, max_size=8), st.binary(max_size=200))
def test_what_another_implementation_signs(seed, message):
    private = key(seed.hex())

    assert verifies(raw(private), message, private.sign(message))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=40), st.sampled_from(["key", "message", "signature"]), st.integers(0, 511))
def test_one_flipped_bit_is_refused_as_by_another_implementation(message, where, bit):
    private = key("bits")
    parts = {"key": raw(private), "message": message + b"!", "signature": private.sign(message + b"!")}
    place = bit % (8 * len(parts[where]))
    flipped = int.from_bytes(parts[where], "little") ^ 1 << place
    parts[where] = flipped.to_bytes(len(parts[where]), "little")

    assert not verifies(*parts.values())
    assert not other_verifies(*parts.values())


@settings(deadline=None, max_examples=100)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64), st.binary(max_size=20))
def test_it_never_says_yes_where_another_implementation_says_no(public_key, signature, message):
    assert verifies(public_key, message, signature) <= other_verifies(public_key, message, signature)


@pytest.mark.parametrize("public_key", SMALL)
def test_keys_of_small_order_are_refused(public_key):
    """Under such a key the signature of nothing, R the neutral point and S zero, fits some or all messages."""
    assert not is_public_key(bytes.fromhex(public_key))
    for signature in (bytes.fromhex(SMALL[0]) + bytes(32), bytes.fromhex(public_key) + bytes(32)):
        assert not verifies(bytes.fromhex(public_key), b"anything", signature)


def test_a_key_of_small_order_would_have_been_taken_elsewhere():
    """What the test above is for."""
    assert other_verifies(bytes.fromhex(SMALL[0]), b"anything", bytes.fromhex(SMALL[0]) + bytes(32))


def test_the_other_spelling_of_a_signature_is_refused():
    private = key("malleable")
    signature = private.sign(b"once")
    s = int.from_bytes(signature[32:], "little")
    again = signature[:32] + (s + ORDER).to_bytes(32, "little")

    assert verifies(raw(private), b"once", signature)
    assert not verifies(raw(private), b"once", again)
    assert not other_verifies(raw(private), b"once", again)


@pytest.mark.parametrize("y", [PRIME, PRIME + 3, 2**255 - 1, 2])
def test_a_key_that_is_no_point_or_not_its_one_encoding_is_refused(y):
    # 3 is the y of a point and PRIME + 3 another way to write it; 2 is the y of none.
    assert is_public_key((3).to_bytes(32, "little"))
    assert not is_public_key(y.to_bytes(32, "little"))


@pytest.mark.parametrize("length", [0, 31, 33, 63, 65, 128])
def test_keys_and_signatures_of_other_lengths_are_refused(length):
    private = key("length")

    assert not verifies(raw(private), b"", bytes(length))
    assert not verifies(bytes(length), b"", private.sign(b""))


def test_a_note_and_its_key_from_elsewhere():
    """The example of the Go package that notes come from."""
    text = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    pinned = PinnedKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", SIGNS)
    line = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="

    value = base64.b64decode(line)
    assert value[:4].hex() == key_id_of("PeterNeumann", SIGNS, pinned.raw)
    assert verifies(pinned.raw, text, value[4:])
