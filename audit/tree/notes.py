"""Signed notes (C2SP signed-note) and the checkpoints in them (C2SP tlog-checkpoint). Pure; see docs/evidence.md."""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

# What a key is for; part of its id and of its spelling, so that neither can stand in for the other.
ED25519 = b"\x01"
COSIGNS = b"\x04"
HASH_BYTES = 32
KEY_ID_BYTES = 4
SIGNATURE_BYTES = 64
_TIME_BYTES = 8
# Larger ones are not read: a checkpoint with a few dozen signatures has a few kilobytes.
MOST_BYTES = 64 * 1024

_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]{1,255}")
_SIGNATURE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class BadNote(ValueError):
    """Not a signed note, or not a checkpoint. The message says which line."""


class BadKey(ValueError):
    """Not a verifier key. The message says what is wrong with it."""


class NotSigned(ValueError):
    """The note carries no valid signature by this key."""


@dataclass(frozen=True)
class PublicKey:
    """A verifier key: a name, and an Ed25519 key of 32 bytes. `kind` is ED25519 of a log's, COSIGNS of a witness's."""

    name: str
    raw: bytes
    kind: bytes = ED25519

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadNote("a key's name has neither spaces nor plus signs and at most 255 characters")
        if len(self.raw) != HASH_BYTES:
            raise BadNote("an Ed25519 public key has 32 bytes")

    @classmethod
    def parse(cls, text: str, *, kind: bytes = ED25519) -> Self:
        """The key that `name+hex of its id+base64` spells. Raises BadKey."""
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise BadKey("a verifier key is a name, the hex of its id and base64, with plus signs between")
        raw = _exact_base64(parts[2])
        if raw is None or raw[:1] != kind or len(raw) != 1 + HASH_BYTES:
            what = "a witness's" if kind == COSIGNS else "a log's"
            raise BadKey(f"the base64 of a verifier key is {what} key: a byte {kind[0]} and 32 more")
        try:
            key = cls(parts[0], raw[1:], kind)
        except BadNote as e:
            raise BadKey(str(e)) from e
        if key.key_id.hex() != parts[1].lower():
            raise BadKey("the id in a verifier key is not that of its name and key")
        return key

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + self.kind + self.raw).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self.kind + self.raw).decode()}"

    def check(self, message: bytes, signature: bytes) -> None:
        """Raises NotSigned unless the signature over `message` is this key's."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            raise NotSigned(f"{self.name} did not sign this") from None


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a log commits to: `size` records under one root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises BadNote. Lines after the third are extensions, which are kept out: a log of ours writes none."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise BadNote("a checkpoint has three lines: origin, size, root")
        origin, size, root = lines[:3]
        if not _NAME.fullmatch(origin):
            raise BadNote("line 1 is not an origin")
        if not _SIZE.fullmatch(size):
            raise BadNote("line 2 is not a number of records")
        raw = _exact_base64(root)
        if raw is None or len(raw) != HASH_BYTES:
            raise BadNote("line 3 is not 32 bytes in base64")
        return cls(origin=origin, size=int(size), root=raw)


@dataclass(frozen=True)
class Signature:
    name: str
    key_id: bytes
    # After the key id: 64 bytes of an Ed25519 signature, 72 of a cosignature.
    value: bytes

    def __str__(self) -> str:
        return f"— {self.name} {base64.b64encode(self.key_id + self.value).decode()}"


@dataclass(frozen=True)
class Note:
    """A text that ends in a newline, and who signed it."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(f"{signature}\n" for signature in self.signatures)

    @classmethod
    def parse(cls, note: str) -> Self:
        """Raises BadNote."""
        if len(note.encode(errors="surrogatepass")) > MOST_BYTES:
            raise BadNote(f"a note has at most {MOST_BYTES} bytes")
        text, parted, rest = note.rpartition("\n\n")
        if not parted:
            raise BadNote("a note is a text, an empty line and signatures, each line ended")
        return cls(text + "\n", signatures(rest))

    def signed(self, signatures: Iterable[Signature]) -> Self:
        return type(self)(self.text, (*self.signatures, *signatures))

    def check(self, key: PublicKey) -> None:
        """Raises NotSigned unless the key signed the text."""
        found = [s for s in self.signatures if s.name == key.name and s.key_id == key.key_id]
        if len(found) != 1:
            raise NotSigned(f"{key.name} did not sign this")
        key.check(self.text.encode(), found[0].value)

    def cosigned_at(self, key: PublicKey) -> int:
        """When this witness signed the text, in seconds since 1970. Raises NotSigned unless it did, once."""
        found = [s for s in self.signatures if s.name == key.name and s.key_id == key.key_id]
        if len(found) != 1 or len(found[0].value) != _TIME_BYTES + SIGNATURE_BYTES:
            raise NotSigned(f"{key.name} did not sign this")
        seconds = int.from_bytes(found[0].value[:_TIME_BYTES], "big")
        key.check(_cosigned(self.text, seconds), found[0].value[_TIME_BYTES:])
        return seconds


def sign(text: str, *, name: str, key: Ed25519PrivateKey) -> Note:
    """A note with one signature. `text` ends in a newline."""
    if not text.endswith("\n"):
        raise BadNote("a note's text ends in a newline")
    public = PublicKey(name, key.public_key().public_bytes_raw())
    return Note(text, (Signature(name, public.key_id, key.sign(text.encode())),))


def cosign(text: str, *, name: str, key: Ed25519PrivateKey, seconds: int) -> Signature:
    """A witness's line under a checkpoint (C2SP tlog-cosignature): that it saw the log grow to here, at this time."""
    public = PublicKey(name, key.public_key().public_bytes_raw(), COSIGNS)
    return Signature(name, public.key_id, seconds.to_bytes(_TIME_BYTES, "big") + key.sign(_cosigned(text, seconds)))


def signatures(lines: str) -> tuple[Signature, ...]:
    """What stands under a note, or in a witness's answer: lines, each ended. Raises BadNote."""
    if not lines.endswith("\n"):
        raise BadNote("signatures are lines, each of them ended")
    return tuple(_parsed_signature(line) for line in lines[:-1].split("\n"))


def hash_of(line: str) -> bytes:
    """The hash that a line of a proof spells. Raises BadNote."""
    raw = _exact_base64(line)
    if raw is None or len(raw) != HASH_BYTES:
        raise BadNote("a hash is 32 bytes in base64")
    return raw


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _parsed_signature(line: str) -> Signature:
    match = _SIGNATURE.fullmatch(line)
    raw = _exact_base64(match[2]) if match else None
    if match is None or raw is None or len(raw) <= KEY_ID_BYTES:
        raise BadNote("a signature line is a dash, a name and base64")
    return Signature(match[1], raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])


def _exact_base64(text: str) -> bytes | None:
    """The bytes, when this is their one spelling."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None
