"""Authenticated encryption of stored values: AES-256-GCM, a fresh data key per object, versioned master keys around it.

A sealed value is bytes:

    "KS" 0x01 | master key version, 4 | nonce, 12 | wrapped data key, 48 | nonce, 12 | ciphertext with its 16-byte tag

The data key encrypts the value and authenticates the first three bytes and the context; the master key encrypts the
data key and authenticates the header with the version. So a new master key costs one small `rewrap` per object, never a
second encryption of what is in it.
Safe for 2^32 objects per master key version (NIST SP 800-38D section 8.3, random nonces). The plaintext's length shows.

What is too long to be held in memory is sealed in chunks, by kaireon/lib/sealed_stream.py, under a key that `new_key`
gives with its wrapping: the same header with 0x02 in place of 0x01, and nothing behind the wrapped key.
"""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from typing import NamedTuple, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32

_FORMAT = b"KS\x01"
_KEY_FORMAT = b"KS\x02"
_HEADER_BYTES = len(_FORMAT) + 4
_NONCE_BYTES = 12
_TAG_BYTES = 16
_WRAPPED_BYTES = _NONCE_BYTES + KEY_BYTES + _TAG_BYTES
_BODY_STARTS = _HEADER_BYTES + _WRAPPED_BYTES
WRAPPED_KEY_BYTES = _BODY_STARTS
_ENTRY = re.compile(r"v([1-9][0-9]{0,8}):([A-Za-z0-9+/_=-]+)")


class BadKeyring(ValueError):
    """The text of a keyring is not usable. The message counts entries and never repeats one."""


class CannotOpen(ValueError):
    """Base of what can go wrong with a sealed value. No message carries plaintext, ciphertext, key or context."""


class NotSealed(CannotOpen):
    """These bytes were not made by `seal`, or were cut short."""


class UnknownKeyVersion(CannotOpen):
    """The master key that sealed this is not on the keyring. Put that version back to open it."""


class SealBroken(CannotOpen):
    """The value was altered, belongs to another context, or was sealed by another key of the same version."""


class Keyring:
    """Master keys by version, 32 bytes each. The newest seals, any opens. Its repr names versions only."""

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        """Raises BadKeyring when there is no key, a version is below 1 or a key is not 32 bytes."""
        if not keys:
            raise BadKeyring("a keyring needs at least one key")
        if any(version < 1 or version >= 2**32 for version in keys):
            raise BadKeyring("key versions count from v1")
        if any(len(key) != KEY_BYTES for key in keys.values()):
            raise BadKeyring(f"each key of a keyring must be {KEY_BYTES} bytes")
        self._keys = dict(keys)
        self._ciphers = {version: AESGCM(key) for version, key in keys.items()}
        self.newest = max(keys)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `v1:BASE64,v2:BASE64`, standard or URL-safe alphabet. Raises BadKeyring."""
        keys: dict[int, bytes] = {}
        for number, entry in enumerate(text.split(","), start=1):
            match = _ENTRY.fullmatch(entry.strip())
            if match is None:
                raise BadKeyring(f"entry {number} of the keyring is not of the form v1:BASE64")
            version = int(match[1])
            if version in keys:
                raise BadKeyring(f"v{version} is on the keyring twice")
            keys[version] = _decoded(match[2], number)
        return cls(keys)

    @classmethod
    def generate(cls) -> Self:
        """A keyring with one random key, for a first start and for tests."""
        return cls({1: os.urandom(KEY_BYTES)})

    def rotated(self) -> Self:
        """This keyring with one more random key, which seals from now on."""
        return type(self)({**self._keys, self.newest + 1: os.urandom(KEY_BYTES)})

    def text(self) -> str:
        """What `parse` reads. This is the secret itself: it belongs in a secret store and nowhere else."""
        return ",".join(f"v{version}:{base64.b64encode(key).decode()}" for version, key in sorted(self._keys.items()))

    @property
    def versions(self) -> tuple[int, ...]:
        """All versions, newest first."""
        return tuple(sorted(self._keys, reverse=True))

    def key(self, version: int) -> bytes:
        """The raw master key, from which other keys are derived. Raises UnknownKeyVersion."""
        try:
            return self._keys[version]
        except KeyError as e:
            raise UnknownKeyVersion(f"key v{version} is not on the keyring") from e

    def cipher(self, version: int) -> AESGCM:
        """AES-256-GCM under that master key. Raises UnknownKeyVersion."""
        try:
            return self._ciphers[version]
        except KeyError as e:
            raise UnknownKeyVersion(f"key v{version} is not on the keyring") from e

    def __repr__(self) -> str:
        return f"<Keyring {', '.join(f'v{version}' for version in self.versions)}>"


class _Sealed(NamedTuple):
    version: int
    header: bytes
    wrapped: bytes
    body: bytes


def seal(plaintext: bytes, *, context: str, keyring: Keyring) -> bytes:
    """Encrypt under a fresh data key.

    `context` says what this is (`dossier:acme:0190…`) and must be told again to open it.
    """
    data_key = os.urandom(KEY_BYTES)
    nonce = os.urandom(_NONCE_BYTES)
    body = nonce + AESGCM(data_key).encrypt(nonce, plaintext, _body_aad(context))
    return _wrap(data_key, keyring, _FORMAT) + body


def open_sealed(token: bytes, *, context: str, keyring: Keyring) -> bytes:
    """Give back what `seal` was given. Raises NotSealed, UnknownKeyVersion or SealBroken."""
    sealed = _parse(token)
    if not sealed.header.startswith(_FORMAT):
        raise NotSealed("not a sealed value")
    data_key = _unwrap(sealed, keyring)
    try:
        return AESGCM(data_key).decrypt(sealed.body[:_NONCE_BYTES], sealed.body[_NONCE_BYTES:], _body_aad(context))
    except InvalidTag as e:
        raise SealBroken("the sealed value was altered or belongs to another context") from e


def new_key(*, keyring: Keyring) -> tuple[bytes, bytes]:
    """A fresh data key, and its wrapping: WRAPPED_KEY_BYTES that may lie anywhere, and that `rewrap` takes."""
    data_key = os.urandom(KEY_BYTES)
    return data_key, _wrap(data_key, keyring, _KEY_FORMAT)


def unwrap_key(wrapped: bytes, *, keyring: Keyring) -> bytes:
    """The data key that `new_key` gave. Raises NotSealed, UnknownKeyVersion or SealBroken."""
    sealed = _parse(wrapped)
    if not sealed.header.startswith(_KEY_FORMAT):
        raise NotSealed("not a wrapped key")
    return _unwrap(sealed, keyring)


def is_wrapped_key(start: bytes) -> bool:
    """Whether these bytes begin with what `new_key` wrapped."""
    return start.startswith(_KEY_FORMAT)


def rewrap(token: bytes, *, keyring: Keyring) -> bytes:
    """The same sealed value under the newest master key; unchanged when it is already. The value itself stays closed.

    Takes wrapped keys too.

    Raises NotSealed, UnknownKeyVersion or SealBroken.
    """
    sealed = _parse(token)
    if sealed.version == keyring.newest:
        return token
    return _wrap(_unwrap(sealed, keyring), keyring, sealed.header[: len(_FORMAT)]) + sealed.body


def key_version(token: bytes) -> int:
    """The version of the master key that a sealed value needs. Raises NotSealed."""
    return _parse(token).version


def _wrap(data_key: bytes, keyring: Keyring, format_: bytes) -> bytes:
    header = format_ + keyring.newest.to_bytes(4)
    nonce = os.urandom(_NONCE_BYTES)
    return header + nonce + keyring.cipher(keyring.newest).encrypt(nonce, data_key, header)


def _unwrap(sealed: _Sealed, keyring: Keyring) -> bytes:
    cipher = keyring.cipher(sealed.version)
    try:
        return cipher.decrypt(sealed.wrapped[:_NONCE_BYTES], sealed.wrapped[_NONCE_BYTES:], sealed.header)
    except InvalidTag as e:
        raise SealBroken(f"key v{sealed.version} does not open this value, or it was altered") from e


def _parse(token: bytes) -> _Sealed:
    # A column read through psycopg may come as memoryview.
    token = bytes(token)
    is_value = token.startswith(_FORMAT) and len(token) >= _BODY_STARTS + _NONCE_BYTES + _TAG_BYTES
    if not is_value and not (token.startswith(_KEY_FORMAT) and len(token) == WRAPPED_KEY_BYTES):
        raise NotSealed("not a sealed value")
    header = token[:_HEADER_BYTES]
    version = int.from_bytes(header[len(_FORMAT) :])
    return _Sealed(version, header, token[_HEADER_BYTES:_BODY_STARTS], token[_BODY_STARTS:])


def _body_aad(context: str) -> bytes:
    return _FORMAT + context.encode()


def _decoded(text: str, number: int) -> bytes:
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        # `from None`: nothing of a key may reach a traceback.
        raise BadKeyring(f"entry {number} of the keyring is not base64") from None
