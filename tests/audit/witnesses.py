"""A log of another installation, and a witness, made by the documents of C2SP and the tree's arithmetic alone."""

import base64
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.tree import merkle


def base64_of(value: bytes) -> str:
    return base64.b64encode(value).decode()


def private_key(label: str) -> Ed25519PrivateKey:
    """Always the same one for the same label."""
    return Ed25519PrivateKey.from_private_bytes(sha256(label.encode()).digest())


def key_id(name: str, kind: int, key: Ed25519PrivateKey) -> bytes:
    return sha256(name.encode() + b"\n" + bytes([kind]) + key.public_key().public_bytes_raw()).digest()[:4]


def verifier_key(name: str, key: Ed25519PrivateKey, kind: int) -> str:
    public = base64_of(bytes([kind]) + key.public_key().public_bytes_raw())
    return f"{name}+{key_id(name, kind, key).hex()}+{public}"


@dataclass
class OtherLog:
    """`fork(n)` gives one with the same first n records and other ones after them."""

    origin: str = "other.example/log"
    leaves: list[bytes] = field(default_factory=lambda: [merkle.leaf_hash(b"%d" % n) for n in range(40)])
    key: Ed25519PrivateKey = field(default_factory=lambda: private_key("other"))

    @property
    def verifier(self) -> str:
        return verifier_key(self.origin, self.key, 1)

    def fork(self, at: int) -> "OtherLog":
        rest = [merkle.leaf_hash(b"forged %d" % n) for n in range(at, len(self.leaves))]
        return OtherLog(self.origin, self.leaves[:at] + rest, self.key)

    def node(self, level: int, index: int) -> bytes:
        step = 1 << level
        return merkle.perfect(self.leaves[index * step : (index + 1) * step])

    def note(self, size: int) -> str:
        text = f"{self.origin}\n{size}\n{base64_of(merkle.root(size, self.node))}\n"
        signature = key_id(self.origin, 1, self.key) + self.key.sign(text.encode())
        return f"{text}\n— {self.origin} {base64_of(signature)}\n"

    def request(self, size: int, *, old: int = 0, proof: list[bytes] | None = None, note: str = "") -> bytes:
        """What is posted to a witness."""
        hashes = merkle.consistency(old, size, self.node) if proof is None else proof
        lines = "".join(f"{base64_of(h)}\n" for h in hashes)
        return f"old {old}\n{lines}\n{note or self.note(size)}".encode()


def cosignature(text: str, name: str, key: Ed25519PrivateKey, seconds: int) -> str:
    signed = key.sign(f"cosignature/v1\ntime {seconds}\n{text}".encode())
    return f"— {name} {base64_of(key_id(name, 4, key) + seconds.to_bytes(8, 'big') + signed)}\n"


def check_cosignature(line: str, text: str, name: str, key: Ed25519PrivateKey) -> int:
    """The time it says. Fails unless it is exactly this witness's over exactly this text."""
    dash, said, packed = line.rstrip("\n").split(" ")
    raw = base64.b64decode(packed, validate=True)
    assert (dash, said) == ("—", name)
    assert raw[:4] == key_id(name, 4, key)
    assert len(raw) == 4 + 8 + 64
    seconds = int.from_bytes(raw[4:12], "big")
    key.public_key().verify(raw[12:], f"cosignature/v1\ntime {seconds}\n{text}".encode())
    return seconds
