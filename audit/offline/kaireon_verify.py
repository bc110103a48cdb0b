#!/usr/bin/env python3
"""Check evidence taken from an audit log: a bundle (zip), its records.ndjson alone, or the certificate of an erasure.

    python3 kaireon_verify.py BUNDLE.zip [--pubkey KEY] [--witness KEY]... [--require LEVEL] [--json]
    python3 kaireon_verify.py CERTIFICATE.json, likewise

Offline; trusts nobody.

Needs Python 3.9 or later and nothing else: one file, no network, nothing installed, nothing written. It reads the
bundle once, in memory that hardly grows with it. What a bundle is, docs/evidence.md of the product says in full; this
file follows that page and shares no code with the product.

Exit 0: everything holds, at the level of trust printed. 1: something does not; one line names it. 2: not a bundle, or
wrong use. 3: everything holds, at a lower level than required.
"""

from __future__ import annotations

import argparse
import base64
import datetime as dt
import hashlib
import io
import json
import os
import re
import stat
import struct
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

FORMAT = "kaireon-evidence-1"
# The first says nothing of recipients.
CERTIFICATE_FORMATS = ("kaireon-certificate-1", "kaireon-certificate-2")

# From the least trust to the most, and whom each holds against.
LEVELS = {
    "window": "accidents in this window; nothing is signed",
    "chain": "accidents; nothing is signed",
    "embedded": "changes after the bundle was made, by somebody without the key that came with it",
    "pinned": "somebody who holds the server but not its signing key",
    "pinned-witnessed": "somebody who holds the server and its signing key",
}

MIB = 1 << 20
# Larger records are refused: a line is read whole.
MOST_LINE = 32 * MIB
MOST_SMALL_FILE = MIB
# A zip that unpacks to more than this must not unpack to more than MOST_RATIO times its size.
MOST_FREELY = 1 << 30
MOST_RATIO = 250
# Each key is read and checked in pure Python, which takes milliseconds.
MOST_KEYS = 256
MOST_SIGNATURES = 64


class Broken(Exception):
    """Something does not hold (exit 1)."""

    def __init__(
        self, file: str, reason: str, message: str, *, seq: int | None = None, record_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.file, self.reason, self.message, self.seq, self.record_id = file, reason, message, seq, record_id


class NothingToSay(Exception):
    """Not evidence, or wrong use (exit 2)."""


# --- Canonical JSON (RFC 8785) of values that every reader of JSON understands alike (RFC 7493) ----------------------

SAFE_INTEGER = 2**53 - 1


class NotCanonical(ValueError):
    """The text is not the canonical one of any value. The message names the kind of trouble, never the value."""


def _integer(literal: str) -> int:
    if len(literal) > 17 or not -SAFE_INTEGER <= int(literal) <= SAFE_INTEGER:
        raise NotCanonical("an integer lies beyond 2^53 - 1")
    return int(literal)


def _float(literal: str) -> float:
    value = float(literal)
    if value in (float("inf"), float("-inf")):
        raise NotCanonical("a number is too large")
    return value


def _constant(_literal: str) -> NoReturn:
    raise NotCanonical("NaN and infinity are not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotCanonical("a key stands twice in one object")
    return found


_EXACT_READER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


def read_json(text: str) -> Any:
    """The value of a JSON text that has a canonical form. Raises NotCanonical."""
    try:
        value = _EXACT_READER.decode(text)
        canonical(value)
    except json.JSONDecodeError as e:
        raise NotCanonical(f"not JSON at character {e.pos + 1}") from None
    except RecursionError:
        raise NotCanonical("nested too deeply") from None
    return value


def canonical(value: Any) -> bytes:
    """RFC 8785, step by step. Raises NotCanonical for what has no such form or never stands in a record."""
    parts: list[str] = []
    _write(value, parts)
    try:
        return "".join(parts).encode()
    except UnicodeEncodeError:
        raise NotCanonical("a text holds half of a surrogate pair") from None


def _write(value: Any, parts: list[str]) -> None:
    if isinstance(value, dict):
        # Keys are in the order of their UTF-16 code units.
        for n, key in enumerate(sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))):
            parts.append(("," if n else "{") + _quoted(key) + ":")
            _write(value[key], parts)
        parts.append("}" if value else "{}")
    elif isinstance(value, list):
        for n, item in enumerate(value):
            parts.append("," if n else "[")
            _write(item, parts)
        parts.append("]" if value else "[]")
    elif isinstance(value, str):
        parts.append(_quoted(value))
    elif isinstance(value, float):
        parts.append(number(value))
    else:
        # null, true, false and integers, whose size the reader has checked.
        parts.append(json.dumps(value))


def _quoted(text: str) -> str:
    if "\x00" in text:
        raise NotCanonical("a text holds NUL")
    return json.dumps(text, ensure_ascii=False)


def number(value: float) -> str:
    """A finite double as ECMAScript prints it, on which RFC 8785 (3.2.2.3) builds."""
    if value == 0:
        return "0"
    # Python and ECMAScript agree on the digits, the fewest that tell this double from all others, not on their layout.
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)
    leading = len(whole + fraction) - len((whole + fraction).lstrip("0"))
    digits = (whole + fraction).strip("0")
    # `point` digits stand before the decimal point: none or fewer for what is below 0.1.
    point -= leading
    sign = "-" if value < 0 else ""
    if len(digits) <= point <= 21:
        return sign + digits.ljust(point, "0")
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    fraction = "." + digits[1:] if digits[1:] else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


# The way above takes some hundred microseconds a record. Nearly always the interpreter's own JSON, written in C, is
# enough: what it reads and writes again byte for byte is canonical, unless one of the differences below is in it.


def _plain_float(literal: str) -> float:
    value = float(literal)
    # Within these bounds the layouts agree, but for zeros at the end, and exponents are left to the exact way.
    if literal[-1] == "0" or "e" in literal or "E" in literal or abs(value) < 1e-4:
        raise NotCanonical("left to the exact way")
    return value


_QUICK_READER = json.JSONDecoder(parse_int=_integer, parse_float=_plain_float, parse_constant=_constant)
_QUICK_WRITER = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False, allow_nan=False
)
# Code points and UTF-16 code units order keys differently only when both of these are there.
_BEYOND_16_BITS = re.compile("[\U00010000-\U0010ffff]")
_ABOVE_SURROGATES = re.compile("[\ue000-\uffff]")


def is_surely_canonical(text: str) -> bool:
    """Whether the text, decoded from UTF-8, is canonical JSON. False means: ask the exact way."""
    if "\\u0000" in text:
        return False
    if not text.isascii() and _BEYOND_16_BITS.search(text) and _ABOVE_SURROGATES.search(text):
        return False
    try:
        return _QUICK_WRITER.encode(_QUICK_READER.decode(text)) == text
    except (ValueError, RecursionError):
        return False


# Quicker still: most values of a log have the keys of one seen before. A pattern made from a canonical value, its keys
# literally and its scalars as below, matches canonical text only.
_TEXT = r'"[^"\\\x00-\x1f]*(?:\\["\\bfnrt][^"\\\x00-\x1f]*)*"'
# Up to 15 digits a decimal is the shortest one of its double; exponents begin below six decimals.
_NUMBER = r"0|-?[1-9][0-9]{0,14}|-?(?:0|[1-9][0-9]{0,7})\.[0-9]{0,5}[1-9]"
_SCALAR = f"(?:{_TEXT}|null|true|false|{_NUMBER})"
_SCALARS = rf"\[(?:{_SCALAR}(?:,{_SCALAR})*)?\]"


def _pattern(value: Any) -> str:
    if isinstance(value, dict):
        members = (re.escape(_quoted(key)) + ":" + _pattern(item) for key, item in value.items())
        return r"\{" + ",".join(members) + r"\}"
    if isinstance(value, list):
        if any(isinstance(item, (dict, list)) for item in value):
            return r"\[" + ",".join(map(_pattern, value)) + r"\]"
        return _SCALARS
    return _SCALAR


class Shapes:
    """Tells canonical JSON by the shapes that came often for a kind of thing. Bounded, whatever comes."""

    AFTER = 16
    MOST_LENGTH = 8192
    MOST_SEEN = 1024
    MOST_OF_A_KIND = 8
    MOST = 256

    def __init__(self) -> None:
        self._known: dict[str, list[Callable[[str], object]]] = {}
        self._seen: dict[tuple[str, int], int] = {}
        self._compiled = 0

    def hold(self, kind: str, text: str) -> bool:
        """As is_surely_canonical."""
        for fullmatch in self._known.get(kind, ()):
            if fullmatch(text):
                return True
        if not is_surely_canonical(text):
            return False
        if len(text) <= self.MOST_LENGTH and len(self._seen) < self.MOST_SEEN and self._compiled < self.MOST:
            self._learn(kind, text)
        return True

    def _learn(self, kind: str, text: str) -> None:
        pattern = _pattern(json.loads(text))
        # By hash, so that a thousand long patterns need no memory; taking two for one does no harm.
        key = (kind, hash(pattern))
        self._seen[key] = self._seen.get(key, 0) + 1
        if self._seen[key] == self.AFTER:
            known = self._known.setdefault(kind, [])
            known.insert(0, re.compile(pattern).fullmatch)
            del known[self.MOST_OF_A_KIND :]
            self._compiled += 1


# --- Ed25519 (RFC 8032, section 5.1), verification only ---------------------------------------------------------------

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)

# X, Y, Z, T, where x = X/Z, y = Y/Z and T = XY/Z.
Point = tuple[int, int, int, int]
_NEUTRAL = (0, 1, 1, 0)


def _add(a: Point, b: Point) -> Point:
    p, q = (a[1] - a[0]) * (b[1] - b[0]) % _P, (a[1] + a[0]) * (b[1] + b[0]) % _P
    r, s = 2 * a[3] * b[3] * _D % _P, 2 * a[2] * b[2] % _P
    e, f, g, h = q - p, s - r, s + r, q + p
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _decoded(raw: bytes) -> Point | None:
    """The point of 32 bytes, when they are its one encoding."""
    y = int.from_bytes(raw, "little")
    odd, y = y >> 255, y & ((1 << 255) - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_1 % _P
    if (x * x - square) % _P or (odd and x == 0):
        return None
    if x & 1 != odd:
        x = _P - x
    return (x, y, 1, x * y % _P)


def _encoded(point: Point) -> bytes:
    inverse = pow(point[2], _P - 2, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


_BASE = _decoded(bytes.fromhex("5866666666666666666666666666666666666666666666666666666666666666")) or _NEUTRAL


def _key_point(raw: bytes) -> Point | None:
    point = _decoded(raw) if len(raw) == 32 else None
    if point is None:
        return None
    eightfold = point
    for _ in range(3):
        eightfold = _add(eightfold, eightfold)
    # Under a key of small order one signature fits many messages.
    return None if eightfold[0] == 0 else point


def is_public_key(raw: bytes) -> bool:
    return _key_point(raw) is not None


def verifies(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether [S]B = R + [k]A, each of the three in its one encoding, and A not of small order."""
    key = _key_point(public_key)
    if key is None or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= _ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % _ORDER
    minus_key = (_P - key[0], key[1], 1, _P - key[3])
    # [S]B - [k]A in one go, both scalars bit by bit from the top.
    addends = (None, _BASE, minus_key, _add(_BASE, minus_key))
    sum_ = _NEUTRAL
    for bit in range(252, -1, -1):
        sum_ = _add(sum_, sum_)
        addend = addends[(s >> bit & 1) | (k >> bit & 1) << 1]
        if addend is not None:
            sum_ = _add(sum_, addend)
    return _encoded(sum_) == signature[:32]


# --- The Merkle tree (RFC 6962, section 2.1) --------------------------------------------------------------------------


def leaf_hash(record: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def cover(first: int, last: int) -> list[int]:
    """The levels of the fewest perfect subtrees over leaves `first` up to but without `last`, from left to right."""
    levels = []
    while first < last:
        level = (last - first).bit_length() - 1
        if first:
            level = min(level, (first & -first).bit_length() - 1)
        levels.append(level)
        first += 1 << level
    return levels


class Tree:
    """A tree that grows to the right and keeps only the perfect subtrees that it ends in."""

    def __init__(self) -> None:
        self.size = 0
        self._ends: list[bytes] = []

    def append(self, hashed: bytes, level: int = 0) -> None:
        """Append a leaf, or a perfect subtree of 2^level leaves, which may stand here: see `cover`."""
        place = self.size >> level
        while place & 1:
            hashed = node_hash(self._ends.pop(), hashed)
            place >>= 1
        self._ends.append(hashed)
        self.size += 1 << level

    def root(self) -> bytes:
        if not self._ends:
            return hashlib.sha256(b"").digest()
        root = self._ends[-1]
        for left in reversed(self._ends[:-1]):
            root = node_hash(left, root)
        return root


# --- What the fields of the files look like ---------------------------------------------------------------------------

Check = Callable[[object], bool]

_HEX_HASH = re.compile("[0-9a-f]{64}")
_HEX_KEY_ID = re.compile("[0-9a-f]{8}")
_MOMENT = r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"
_MOMENT_ALONE = re.compile(_MOMENT)
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]{1,255}")


def exact_base64(text: object) -> bytes | None:
    """The bytes, when this is their one spelling."""
    if not isinstance(text, str):
        return None
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return raw if base64.b64encode(raw).decode() == text else None


def _text(value: object) -> bool:
    return isinstance(value, str)


def _integer_alone(value: object) -> bool:
    # True and False are integers to Python.
    return type(value) is int


def _count(value: object) -> bool:
    return type(value) is int and value >= 0


def _hash(value: object) -> bool:
    return isinstance(value, str) and _HEX_HASH.fullmatch(value) is not None


def _hashes(value: object) -> bool:
    return isinstance(value, list) and all(map(_hash, value))


def _key_id(value: object) -> bool:
    return isinstance(value, str) and _HEX_KEY_ID.fullmatch(value) is not None


def _name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _moment(value: object) -> bool:
    return isinstance(value, str) and _MOMENT_ALONE.fullmatch(value) is not None


def _public_key(value: object) -> bool:
    return is_public_key(exact_base64(value) or b"")


def _signature(value: object) -> bool:
    return len(exact_base64(value) or b"") == 64


def _few(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MOST_KEYS


def _format_1(value: object) -> bool:
    return type(value) is int and value == 1


def _any(_value: object) -> bool:
    return True


def _or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


FILES = (
    "manifest.json",
    "manifest.sig",
    "checkpoint.txt",
    "keys.json",
    "proofs.json",
    "kaireon_verify.py",
    "README.txt",
    "records.ndjson",
)
_NAMED_IN_MANIFEST = frozenset(FILES[2:])

RECORD = {
    "action": _text,
    "actorType": _text,
    "after": _any,
    "before": _any,
    "changes": _any,
    "entityId": _or_null(_text),
    "entityName": _or_null(_text),
    "entityType": _text,
    "entityVersion": _or_null(_integer_alone),
    "id": _text,
    "integrityHash": _hash,
    "prevHash": lambda value: value == "genesis" or _hash(value),
    "requestId": _or_null(_text),
    "seq": lambda value: _count(value) and value != 0,
    "tenantId": _text,
    "timestamp": _moment,
    "userId": _or_null(_text),
    "userName": _or_null(_text),
}
MANIFEST = {
    "format": _text,
    "tenantId": _text,
    "origin": _name,
    "from": _or_null(_moment),
    "to": _or_null(_moment),
    "firstSeq": _count,
    "lastSeq": _count,
    "records": _count,
    "treeSize": _count,
    "rootHash": _hash,
    "createdAt": _moment,
    "files": lambda value: (
        isinstance(value, dict) and value.keys() == _NAMED_IN_MANIFEST and all(map(_hash, value.values()))
    ),
}
PROOFS = {
    "format": _format_1,
    "treeSize": _count,
    "rootHash": _hash,
    "firstSeq": _count,
    "lastSeq": _count,
    "left": _hashes,
    "right": _hashes,
    "marks": lambda value: exact_base64(value) is not None,
}
KEYS = {"format": _format_1, "keys": _few, "witnesses": _few}
KEY = {
    "keyId": _key_id,
    "name": _name,
    "version": _count,
    "publicKey": _public_key,
    "createdAt": _moment,
    "retiredAt": _or_null(_moment),
    "crossSignatures": _few,
}
CROSS_SIGNATURE = {"by": _key_id, "signature": _signature}
WITNESS = {"keyId": _key_id, "name": _name, "publicKey": _public_key}


def formed(file: str, value: Any, fields: Mapping[str, Check], optional: str = "") -> dict[str, Any]:
    """The value, when it is an object of exactly these fields and each is what it should be. Raises Broken."""
    if not isinstance(value, dict):
        raise Broken(file, "malformed", "it is not a JSON object where one should be")
    for name in sorted(fields.keys() - value.keys() - {optional}):
        raise Broken(file, "malformed", f"{name} is missing")
    for name in sorted(value.keys() - fields.keys()):
        raise Broken(file, "malformed", f"it has a field that should not be there: {shown(name)}")
    for name, item in value.items():
        if not fields[name](item):
            raise Broken(file, "malformed", f"{name} is not what it should be")
    return value


def json_file(file: str, raw: bytes) -> Any:
    try:
        return read_json(raw.decode())
    except UnicodeDecodeError:
        raise Broken(file, "malformed", "it is not UTF-8") from None
    except NotCanonical as e:
        raise Broken(file, "malformed", str(e)) from None


def shown(text: str) -> str:
    """Text from outside, made fit for a terminal: no control characters, not too long."""
    plain = "".join(c if " " <= c <= "~" else c.encode("unicode_escape", "surrogatepass").decode() for c in text[:200])
    return plain if len(text) <= 200 else plain + "..."


# --- Keys and signed notes (C2SP signed-note, tlog-checkpoint, tlog-cosignature) --------------------------------------

SIGNS, COSIGNS = 1, 4
_KINDS = {SIGNS: "a log's key", COSIGNS: "a witness's key"}
_VERIFIER_KEY = re.compile(r"([^\s+\x00-\x1f\x7f]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)")
_SIGNATURE_LINE = re.compile(r"\u2014 ([^\s+\x00-\x1f\x7f]{1,255}) ([A-Za-z0-9+/]+=*)")
_SIZE = re.compile("0|[1-9][0-9]{0,15}")


def key_id_of(name: str, kind: int, raw: bytes) -> str:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + raw).hexdigest()[:8]


@dataclass(frozen=True)
class PinnedKey:
    """A key that the auditor has from elsewhere. Without a name when only its 32 bytes were given."""

    name: str | None
    kind: int
    raw: bytes

    @classmethod
    def parse(cls, text: str, kind: int) -> PinnedKey:
        """From a verifier key, or 32 bytes in hex or base64. Raises NothingToSay."""
        name: str | None = None
        raw = bytes.fromhex(text) if _HEX_HASH.fullmatch(text.lower()) else exact_base64(text)
        if raw is None or len(raw) != 32:
            match = _VERIFIER_KEY.fullmatch(text)
            raw = exact_base64(match[3]) if match else None
            if match is None or raw is None or len(raw) != 33:
                raise NothingToSay("this is not a key: neither a verifier key nor 32 bytes in hex or base64")
            if raw[0] != kind:
                raise NothingToSay(f"this is not {_KINDS[kind]}, but of another kind")
            name, raw = match[1], raw[1:]
            if key_id_of(name, kind, raw) != match[2]:
                raise NothingToSay("this key is damaged: its id is not that of its name and bytes")
        if not is_public_key(raw):
            raise NothingToSay("these 32 bytes are not an Ed25519 public key that can be trusted")
        return cls(name, kind, raw)


@dataclass(frozen=True)
class LogKey:
    """A key from keys.json."""

    name: str
    key_id: str
    raw: bytes
    version: int
    cross_signatures: dict[str, bytes]

    @property
    def verifier_key(self) -> str:
        return f"{self.name}+{self.key_id}+{base64.b64encode(bytes([SIGNS]) + self.raw).decode()}"


@dataclass(frozen=True)
class Witness:
    name: str
    raw: bytes


def _entry(entry: Any, fields: Mapping[str, Check], kind: int) -> tuple[dict[str, Any], bytes]:
    entry = formed("keys.json", entry, fields)
    raw = exact_base64(entry["publicKey"]) or b""
    if key_id_of(entry["name"], kind, raw) != entry["keyId"]:
        raise Broken("keys.json", "malformed", f"{entry['keyId']} is not the id of the key that it stands by")
    return entry, raw


def _log_key(entry: Any) -> LogKey:
    entry, raw = _entry(entry, KEY, SIGNS)
    signatures = {}
    for item in entry["crossSignatures"]:
        formed("keys.json", item, CROSS_SIGNATURE)
        signatures[item["by"]] = exact_base64(item["signature"]) or b""
    if len(signatures) != len(entry["crossSignatures"]):
        raise Broken("keys.json", "malformed", f"one key signed {entry['keyId']} twice")
    return LogKey(entry["name"], entry["keyId"], raw, entry["version"], signatures)


def read_keys(raw: bytes) -> tuple[list[LogKey], list[Witness]]:
    """The log's keys, each followed by the one that it cross-signed, and the witnesses. Raises Broken."""
    return keys_of(json_file("keys.json", raw))


def keys_of(value: Any) -> tuple[list[LogKey], list[Witness]]:
    found = formed("keys.json", value, KEYS)
    keys = [_log_key(entry) for entry in found["keys"]]
    if len({key.key_id for key in keys}) != len(keys):
        raise Broken("keys.json", "malformed", "two keys have the same id")
    for before, after in zip(keys, keys[1:]):
        if after.version != before.version + 1:
            raise Broken("keys.json", "malformed", f"version {after.version} follows version {before.version}")
        statement = f"kaireon key rotation v1\n{before.verifier_key}\n{after.verifier_key}\n".encode()
        signatures = after.cross_signatures
        if signatures.keys() != {before.key_id, after.key_id} or not (
            verifies(before.raw, statement, signatures[before.key_id])
            and verifies(after.raw, statement, signatures[after.key_id])
        ):
            raise Broken(
                "keys.json",
                "signature_invalid",
                f"key {after.key_id} is not cross-signed by {before.key_id} and itself",
            )
    witnesses = []
    for entry in found["witnesses"]:
        witness, public_key = _entry(entry, WITNESS, COSIGNS)
        witnesses.append(Witness(witness["name"], public_key))
    return keys, witnesses


@dataclass(frozen=True)
class Checkpoint:
    """A signed note with a tree's size and root in it."""

    text: bytes
    origin: str
    size: int
    root: bytes
    # Name, key id in hex, what follows the key id.
    signatures: tuple[tuple[str, str, bytes], ...]

    @classmethod
    def parse(cls, raw: bytes) -> Checkpoint:
        """Raises Broken."""
        try:
            note = raw.decode()
        except UnicodeDecodeError:
            raise _bad_note("it is not UTF-8") from None
        text, parted, rest = note.rpartition("\n\n")
        lines = text.split("\n")
        if not parted or not rest.endswith("\n") or len(lines) != 3:
            raise _bad_note("it is not three lines, an empty one and signatures")
        root = exact_base64(lines[2])
        if not _NAME.fullmatch(lines[0]) or not _SIZE.fullmatch(lines[1]) or root is None or len(root) != 32:
            raise _bad_note("its three lines are not an origin, a size and a root")
        signatures = tuple(map(_signature_line, rest[:-1].split("\n")))
        if len(signatures) > MOST_SIGNATURES:
            raise _bad_note(f"it has more than {MOST_SIGNATURES} signatures")
        return cls((text + "\n").encode(), lines[0], int(lines[1]), root, signatures)

    def is_signed_by(self, key: LogKey) -> bool:
        """Raises Broken when a signature stands there in the key's name and is not the key's."""
        found = [value for name, key_id, value in self.signatures if (name, key_id) == (key.name, key.key_id)]
        for value in found:
            if not verifies(key.raw, self.text, value):
                raise Broken("checkpoint.txt", "signature_invalid", f"key {key.key_id} did not sign this")
        return bool(found)

    def cosigned_at(self, raw: bytes, name: str | None) -> tuple[str, int] | None:
        """Under what name, and when, this witness cosigned, in seconds since 1970. Raises Broken as above."""
        latest = None
        for line_name, key_id, value in self.signatures:
            if name not in (None, line_name) or key_id_of(line_name, COSIGNS, raw) != key_id:
                continue
            seconds = int.from_bytes(value[:8], "big")
            message = b"cosignature/v1\ntime %d\n" % seconds + self.text
            if len(value) != 72 or not verifies(raw, message, value[8:]):
                raise Broken("checkpoint.txt", "signature_invalid", f"witness {shown(line_name)} did not cosign this")
            latest = (line_name, max(seconds, latest[1] if latest else 0))
        return latest


def _bad_note(message: str) -> Broken:
    return Broken("checkpoint.txt", "malformed", message)


def _signature_line(line: str) -> tuple[str, str, bytes]:
    match = _SIGNATURE_LINE.fullmatch(line)
    raw = exact_base64(match[2]) if match else None
    if match is None or raw is None or len(raw) <= 4:
        raise _bad_note("a signature line is not a dash, a name and base64")
    return match[1], raw[:4].hex(), raw[4:]


# --- The zip: read strictly, so that no other reader can see other files in it ----------------------------------------

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF
_STORED, _DEFLATED = 0, 8
# Compression options, sizes after the data, names in UTF-8.
_DESCRIPTOR, _KNOWN_FLAGS = 0x0008, 0x080E
_ZIP64_EXTRA, _UNICODE_PATH_EXTRA = 0x0001, 0x7075
_ZIP64_VERSION = 45
MOST_CENTRAL = 64 * 1024


@dataclass
class Member:
    name: str
    needs: int
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    offset: int
    start: int = 0


class Archive:
    """The files of a bundle. Raises NothingToSay for what is no whole zip, Broken for one that hides something."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        length = file.seek(0, io.SEEK_END)
        count, size, offset = self._end(length)
        members = self._central(count, size, offset)
        if all(member.name != "manifest.json" for member in members):
            raise NothingToSay("not an evidence bundle: the zip has no manifest.json")
        for member in members:
            _refuse_unsafe(member)
        self._members: dict[str, Member] = {}
        for member in sorted(members, key=lambda member: member.offset):
            if member.name in self._members:
                raise Broken(member.name, "unsafe_zip", "it is in the zip twice")
            self._members[member.name] = member
        for name in FILES:
            if name not in self._members:
                raise Broken(name, "unsafe_zip", "it is missing in the zip")
        self._check_layout(offset)

    def size(self, name: str) -> int:
        return self._members[name].size

    def read(self, name: str, most: int = MOST_SMALL_FILE) -> bytes:
        """A small file, whole. Raises Broken."""
        if self._members[name].size > most:
            raise Broken(name, "unsafe_zip", f"it is larger than {most} bytes")
        return b"".join(self.chunks(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        """A file, piece by piece; at its end its size and checksum have been compared. Raises Broken."""
        member = self._members[name]
        size = crc = 0
        for chunk in self._unpacked(member):
            size += len(chunk)
            if size > member.size:
                break
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if size != member.size:
            raise Broken(name, "unsafe_zip", "it does not unpack to the size that the zip declares")
        if crc != member.crc:
            raise Broken(name, "file_mismatch", "its checksum in the zip is another one: the file is damaged")

    def _unpacked(self, member: Member) -> Iterator[bytes]:
        inflater = zlib.decompressobj(-15)
        self._file.seek(member.start)
        left = member.packed
        while left:
            packed = self._file.read(min(left, 64 * 1024))
            if not packed:
                raise Broken(member.name, "file_mismatch", "the zip breaks off inside it")
            left -= len(packed)
            if member.method == _STORED:
                yield packed
                continue
            while packed:
                try:
                    yield inflater.decompress(packed, MIB)
                except zlib.error:
                    raise Broken(member.name, "file_mismatch", "it cannot be unpacked: the file is damaged") from None
                packed = inflater.unconsumed_tail
            if inflater.eof and (left or inflater.unused_data):
                raise Broken(member.name, "unsafe_zip", "something is hidden behind its end")
        if member.method == _DEFLATED:
            # What little is still inside when all input is read.
            yield inflater.flush()
            if not inflater.eof:
                raise Broken(member.name, "file_mismatch", "it breaks off")

    def _read_struct(self, form: struct.Struct, offset: int, signature: bytes) -> tuple[Any, ...]:
        if offset < 0:
            raise _no_zip()
        self._file.seek(offset)
        raw = self._file.read(form.size)
        if len(raw) != form.size or raw[:4] != signature:
            raise _no_zip()
        return form.unpack(raw)

    def _end(self, length: int) -> tuple[int, int, int]:
        """How many files, and where their directory is: its size and offset."""
        at = length - _END.size
        _, disk, start_disk, here, count, size, offset, comment = self._read_struct(_END, at, b"PK\x05\x06")
        if disk or start_disk or here != count or comment:
            raise _no_zip()
        if offset + size != at or count == _FULL_16:
            at -= _LOCATOR_64.size
            _, disk, at_64, disks = self._read_struct(_LOCATOR_64, at, b"PK\x06\x07")
            wide = self._read_struct(_END_64, at_64, b"PK\x06\x06")
            _, rest, _, _, disk_64, start_disk, here, count_64, size_64, offset_64 = wide
            if disk or disks != 1 or disk_64 or start_disk or here != count_64 or at_64 + _END_64.size != at:
                raise _no_zip()
            narrow_enough = (
                count in (_FULL_16, count_64) and size in (_FULL_32, size_64) and offset in (_FULL_32, offset_64)
            )
            if rest != _END_64.size - 12 or offset_64 + size_64 != at_64 or not narrow_enough:
                raise _no_zip()
            count, size, offset = count_64, size_64, offset_64
        return count, size, offset

    def _central(self, count: int, size: int, offset: int) -> list[Member]:
        if size > MOST_CENTRAL:
            raise NothingToSay("not an evidence bundle: the zip has too many files")
        self._file.seek(offset)
        raw = self._file.read(size)
        members, at = [], 0
        while at < len(raw):
            if len(raw) - at < _CENTRAL.size:
                raise _no_zip()
            fields = _CENTRAL.unpack_from(raw, at)
            signature, _, needs, flags, method, _, _, crc, packed, unpacked, *lengths, disk, _, attributes, start = (
                fields
            )
            name_end = at + _CENTRAL.size + lengths[0]
            end = name_end + lengths[1] + lengths[2]
            if signature != b"PK\x01\x02" or end > len(raw) or disk:
                raise _no_zip()
            name = raw[at + _CENTRAL.size : name_end].decode("utf-8", "backslashreplace")
            if lengths[2]:
                raise Broken(shown(name), "unsafe_zip", "it has a comment")
            extra = raw[name_end:end]
            unpacked, packed, start = _widened(name, extra, [unpacked, packed, start])
            members.append(Member(name, needs, flags, method, crc, packed, unpacked, attributes >> 16, start))
            at = end
        if len(members) != count:
            raise _no_zip()
        return members

    def _check_layout(self, end: int) -> None:
        """One file right after the other, from the first byte to the directory, each as the directory says."""
        members = list(self._members.values())
        at = 0
        for member, next_offset in zip(members, [*(m.offset for m in members[1:]), end]):
            if member.offset != at:
                raise Broken(member.name, "unsafe_zip", "something stands before it, or it overlaps another file")
            at = self._local_end(member, next_offset)
        if at != end:
            raise Broken(members[-1].name, "unsafe_zip", "something stands behind it, or it overlaps the directory")

    def _local_end(self, member: Member, next_offset: int) -> int:
        fields = self._read_struct(_LOCAL, member.offset, b"PK\x03\x04")
        _, needs, flags, method, _, _, crc, packed, size, name_length, extra_length = fields
        raw = self._file.read(name_length + extra_length)
        size, packed = _widened(member.name, raw[name_length:], [size, packed])
        declared = (crc, packed, size)
        expected = (member.crc, member.packed, member.size)
        # A descriptor after the data brings the sizes, when they were not known before it.
        has_descriptor = bool(flags & _DESCRIPTOR)
        if (
            raw[:name_length] != member.name.encode()
            or needs > _ZIP64_VERSION
            or (flags, method) != (member.flags, member.method)
            or (declared != expected and not (has_descriptor and declared == (0, 0, 0)))
        ):
            raise Broken(member.name, "unsafe_zip", "its header is not what the directory of the zip says")
        member.start = member.offset + _LOCAL.size + len(raw)
        end = member.start + member.packed
        if not has_descriptor:
            return end
        forms = {form.size: form for form in (struct.Struct("<3L"), struct.Struct("<L2Q"))}
        length = next_offset - end
        self._file.seek(end)
        descriptor = self._file.read(max(0, min(length, 24)))
        if length - 4 in forms and descriptor[:4] == b"PK\x07\x08":
            descriptor = descriptor[4:]
        form = forms.get(len(descriptor))
        if form is None or form.unpack(descriptor) != expected:
            raise Broken(member.name, "unsafe_zip", "the sizes behind it are not what the directory of the zip says")
        return next_offset


def _no_zip() -> NothingToSay:
    return NothingToSay("not a whole zip: its end or its directory is missing, damaged, or followed by something")


def _widened(name: str, extra: bytes, values: list[int]) -> list[int]:
    """The values, those that do not fit into 32 bits from the ZIP64 field."""
    wide: bytes | None = None
    at = 0
    while at < len(extra):
        if len(extra) - at < 4:
            raise _no_zip()
        kind, length = struct.unpack_from("<2H", extra, at)
        at += 4 + length
        if at > len(extra) or (kind == _ZIP64_EXTRA and wide is not None):
            raise _no_zip()
        if kind == _UNICODE_PATH_EXTRA:
            raise Broken(shown(name), "unsafe_zip", "it has a second name")
        if kind == _ZIP64_EXTRA:
            wide = extra[at - length : at]
    numbers = iter(struct.unpack(f"<{len(wide) // 8}Q", wide[: len(wide) // 8 * 8]) if wide else ())
    widened = [next(numbers, -1) if value == _FULL_32 else value for value in values]
    if -1 in widened:
        raise _no_zip()
    return widened


def _refuse_unsafe(member: Member) -> None:
    name = shown(member.name)
    if member.name not in FILES:
        outside = member.name.startswith(("/", "\\")) or ".." in member.name or ":" in member.name
        raise Broken(name, "unsafe_zip", "it leads out of the bundle" if outside else "it does not belong in a bundle")
    if member.flags & ~_KNOWN_FLAGS:
        raise Broken(name, "unsafe_zip", "it is encrypted, or packed in a way that a bundle does not use")
    known = member.method in (_STORED, _DEFLATED) and member.needs <= _ZIP64_VERSION
    if not known or (member.method == _STORED and member.packed != member.size):
        raise Broken(name, "unsafe_zip", "it is packed in a way that a bundle does not use")
    if stat.S_IFMT(member.mode) not in (0, stat.S_IFREG):
        raise Broken(name, "unsafe_zip", "it is a link or another special file")
    if member.size > MOST_FREELY and member.size > MOST_RATIO * member.packed:
        raise Broken(name, "unsafe_zip", f"it would unpack to more than {MOST_RATIO} times its packed size")


# --- Records ----------------------------------------------------------------------------------------------------------

# Where a record of the usual kind can be cut without reading all of it as JSON. Its keys stand in one order only, so
# what is between the cuts is one value each; whether these are canonical, Shapes says.
_HEAD = re.compile(r'\{"action":"([^"\\\x00-\x1f]*)","actorType":"[^"\\\x00-\x1f]*","after":')
_NULLABLE = r'(?:null|"([^"\\\x00-\x1f]*)")'
_TAIL = re.compile(
    rf',"entityId":{_NULLABLE},"entityName":{_NULLABLE},"entityType":"([^"\\\x00-\x1f]*)"'
    r',"entityVersion":(?:null|0|-?[1-9][0-9]{0,14}),"id":"([^"\\\x00-\x1f]*)"'
    r',"integrityHash":"([0-9a-f]{64})","prevHash":"([0-9a-f]{64}|genesis)"'
    rf',"requestId":{_NULLABLE},"seq":([1-9][0-9]{{0,14}}),"tenantId":"([^"\\\x00-\x1f]*)"'
    rf',"timestamp":"({_MOMENT})","userId":{_NULLABLE},"userName":{_NULLABLE}\}}'
)


@dataclass
class Record:
    """What the checks need of a record."""

    seq: int
    record_id: str
    tenant: str
    timestamp: str
    integrity_hash: str
    prev_hash: str
    # The text whose hash integrityHash is.
    hashed: str


def _joined(record: dict[str, Any]) -> str:
    changes = record["changes"]
    texts = (
        record["action"],
        record["entityType"],
        record["entityId"],
        record["entityName"],
        None if changes is None else canonical(changes).decode(),
        record["userId"],
        record["userName"],
        record["tenantId"],
        record["requestId"],
        record["prevHash"],
    )
    return "".join(text for text in texts if text is not None)


class Records:
    """Checks records.ndjson line by line, and extends a tree by their leaves."""

    FILE = "records.ndjson"

    def __init__(self, *, tenant: str | None = None, first: int | None = None, marks: bytes | None = None) -> None:
        self.tree = Tree()
        self.tenant = tenant
        self.first = first
        self.count = 0
        self.sha256 = hashlib.sha256()
        # Moments need not rise with seq.
        self.earliest, self.latest = "9", "0"
        self.first_moment = self.last_moment = ""
        self.starts_the_log = False
        self._marks = marks
        self._before: Record | None = None
        self._rows, self._changes = Shapes(), Shapes()

    @property
    def last(self) -> int:
        return self._before.seq if self._before else 0

    def read(self, chunks: Iterable[bytes], *, most: int | None = None) -> None:
        """Raises Broken at the first record that does not hold."""
        rest = b""
        for chunk in chunks:
            self.sha256.update(chunk)
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            for line in lines:
                if self.count == most:
                    raise Broken(
                        self.FILE, "file_mismatch", f"it has more records than the {most} that the manifest names"
                    )
                self._add(line)
            if len(rest) > MOST_LINE:
                raise self._broken("malformed", f"a record is larger than {MOST_LINE} bytes")
        if rest:
            raise self._broken("truncated", "the last line is cut off")

    def _add(self, line: bytes) -> None:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise self._broken("not_canonical", "not UTF-8") from None
        record = self._recognised(text) or self._examined(text)
        self._check_link(record)
        if hashlib.sha256(record.hashed.encode()).hexdigest() != record.integrity_hash:
            raise self._broken("hash_mismatch", "integrityHash is not the hash of its contents", record)
        leaf = leaf_hash(line)
        if self._marks is not None and leaf[:2] != self._marks[2 * self.count : 2 * self.count + 2]:
            raise self._broken("hash_mismatch", "it is not the record that was put into the tree", record)
        self.tree.append(leaf)
        self.last_moment = moment = record.timestamp
        if not self.earliest <= moment <= self.latest:
            self._widen(moment)
        self.count += 1
        self._before = record

    def _widen(self, moment: str) -> None:
        if not self.count:
            self.first_moment = self.earliest = self.latest = moment
        self.earliest, self.latest = min(self.earliest, moment), max(self.latest, moment)

    def _check_link(self, record: Record) -> None:
        before = self._before
        if before is None:
            self._begin(record)
        elif record.prev_hash != before.integrity_hash:
            raise self._broken(
                "chain_link_mismatch",
                "prevHash is not the hash of the record before it: something came or went",
                record,
            )
        elif record.seq != before.seq + 1:
            raise self._broken("sequence_gap", f"seq {before.seq + 1} should stand here", record)
        if record.tenant != self.tenant:
            raise self._broken("malformed", "it belongs to another tenant", record)

    def _begin(self, record: Record) -> None:
        if self.first is None:
            self.first = record.seq
        if self.tenant is None:
            self.tenant = record.tenant
        if record.seq != self.first:
            raise self._broken("sequence_gap", f"seq {self.first} should stand here", record)
        self.starts_the_log = record.seq == 1
        if self.starts_the_log is not (record.prev_hash == "genesis"):
            raise self._broken("chain_link_mismatch", "genesis belongs before the first record, and only there", record)

    def _recognised(self, text: str) -> Record | None:
        """A canonical record of the usual kind; None says nothing, it must be examined."""
        head = _HEAD.match(text)
        if head is None:
            return None
        after = head.end()
        before = text.find(',"before":', after)
        changes = text.find(',"changes":', before)
        entity = text.find(',"entityId":', changes)
        # A cut in the wrong place, inside a value, leaves pieces that are no JSON.
        tail = _TAIL.fullmatch(text, entity) if 0 < before < changes < entity else None
        if tail is None:
            return None
        kind = tail[3]
        after_text, before_text, changes_text = (
            text[after:before],
            text[before + 10 : changes],
            text[changes + 11 : entity],
        )
        if after_text != "null" and not self._rows.hold(kind, after_text):
            return None
        if before_text != "null" and not self._rows.hold(kind, before_text):
            return None
        if changes_text == "null":
            changes_text = ""
        elif changes_text != after_text and not self._changes.hold(kind, changes_text):
            return None
        entity_id, name, _, record_id, own, prev, request, seq, tenant, timestamp, user_id, user = tail.groups("")
        hashed = f"{head[1]}{kind}{entity_id}{name}{changes_text}{user_id}{user}{tenant}{request}{prev}"
        return Record(int(seq), record_id, tenant, timestamp, own, prev, hashed)

    def _examined(self, text: str) -> Record:
        """Any record, read as JSON. Raises Broken."""
        value = json.loads(text) if is_surely_canonical(text) else self._exactly(text)
        try:
            record = formed(self.FILE, value, RECORD)
        except Broken as e:
            raise self._broken(e.reason, e.message) from None
        return Record(
            record["seq"],
            record["id"],
            record["tenantId"],
            record["timestamp"],
            record["integrityHash"],
            record["prevHash"],
            _joined(record),
        )

    def _exactly(self, text: str) -> Any:
        try:
            value = read_json(text)
        except NotCanonical as e:
            raise self._broken("not_canonical", f"not canonical JSON: {e}") from None
        if canonical(value) != text.encode():
            raise self._broken(
                "not_canonical", "not canonical JSON: keys, spaces or a value are written in another way"
            )
        return value

    def _broken(self, reason: str, message: str, record: Record | None = None) -> Broken:
        if record is not None:
            return Broken(self.FILE, reason, message, seq=record.seq, record_id=record.record_id)
        # It could not be read, but it is known which one should stand here.
        seq = self._before.seq + 1 if self._before else self.first
        return Broken(self.FILE, reason, f"line {self.count + 1}: {message}", seq=seq)


# --- The verdict ------------------------------------------------------------------------------------------------------


@dataclass
class Verdict:
    """Everything holds."""

    level: str
    tenant: str
    first: int
    last: int
    records: int
    earliest: str
    latest: str
    origin: str | None = None
    asked_from: str | None = None
    asked_to: str | None = None
    tree_size: int | None = None
    root: str | None = None
    key_id: str | None = None
    rotations: int | None = None
    witnesses: tuple[tuple[str, str], ...] = ()
    # What the certificate of an erasure says.
    certificate: dict[str, Any] | None = None


def check(file: BinaryIO, *, pinned: PinnedKey | None = None, witnesses: Sequence[PinnedKey] = ()) -> Verdict:
    """Check a bundle, records alone, or a certificate. Raises Broken, or NothingToSay when it is none of them."""
    file.seek(0)
    start = file.read(64)
    if start.startswith(b"PK\x03\x04"):
        return check_bundle(Archive(file), pinned=pinned, witnesses=witnesses)
    if not start.startswith(b"{"):
        raise NothingToSay("neither a zip nor records of an audit log nor a certificate")
    file.seek(0)
    if _CERTIFICATE_STARTS.match(start):
        return check_certificate(file.read(MOST_SMALL_FILE + 1), pinned=pinned, witnesses=witnesses)
    return check_records_alone(iter(lambda: file.read(MIB), b""))


def check_records_alone(chunks: Iterable[bytes]) -> Verdict:
    records = Records()
    records.read(chunks)
    return _verdict("chain" if records.starts_the_log else "window", records)


def _verdict(level: str, records: Records) -> Verdict:
    return Verdict(
        level=level,
        tenant=records.tenant or "",
        first=records.first or 0,
        last=records.last,
        records=records.count,
        earliest=records.earliest,
        latest=records.latest,
    )


def check_bundle(archive: Archive, *, pinned: PinnedKey | None, witnesses: Sequence[PinnedKey]) -> Verdict:
    raw_manifest = archive.read("manifest.json")
    manifest = read_manifest(raw_manifest)
    # A record has eighteen names and two hashes in it, so there cannot be more of them than this.
    if manifest["records"] > archive.size("records.ndjson") // 256:
        raise Broken("manifest.json", "truncated", "it names more records than the bundle has room for")
    files = {}
    for name in FILES[2:-1]:
        files[name] = archive.read(name, MOST_SMALL_FILE + (4 * manifest["records"] if name == "proofs.json" else 0))
        if hashlib.sha256(files[name]).hexdigest() != manifest["files"][name]:
            raise Broken(name, "file_mismatch", "it is not the file that the manifest names")
    checkpoint = Checkpoint.parse(files["checkpoint.txt"])
    _compare(manifest, "checkpoint.txt", (checkpoint.origin, checkpoint.size, checkpoint.root.hex()))
    keys, listed = read_keys(files["keys.json"])
    signer = _signer(archive.read("manifest.sig"), raw_manifest, keys, checkpoint)
    level, rotations = _trust(signer, keys, pinned)
    cosigners = _cosigners(checkpoint, listed, witnesses)
    if cosigners and level == "pinned":
        level = "pinned-witnessed"
    records = _check_records(archive, manifest, read_proofs(files["proofs.json"], manifest))
    verdict = _verdict(level, records)
    verdict.origin, verdict.asked_from, verdict.asked_to = manifest["origin"], manifest["from"], manifest["to"]
    verdict.tree_size, verdict.root = manifest["treeSize"], manifest["rootHash"]
    verdict.key_id, verdict.rotations, verdict.witnesses = signer.key_id, rotations, cosigners
    return verdict


def read_manifest(raw: bytes) -> dict[str, Any]:
    """Raises NothingToSay when it is the manifest of something else, Broken when it contradicts itself."""
    try:
        value = read_json(raw.decode())
    except ValueError:
        value = None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise NothingToSay(f"not an evidence bundle that this verifier knows: its manifest is not of {FORMAT}")
    manifest = formed("manifest.json", value, MANIFEST)
    if canonical(value) != raw:
        raise Broken("manifest.json", "not_canonical", "it is not canonical JSON")
    first, last = manifest["firstSeq"], manifest["lastSeq"]
    if not 1 <= first <= last <= manifest["treeSize"] or manifest["records"] != last - first + 1:
        raise Broken("manifest.json", "malformed", "its numbers of records contradict each other")
    if not manifest["origin"].endswith("/" + manifest["tenantId"]):
        raise Broken("manifest.json", "malformed", "its origin is not that of its tenant")
    return manifest


def read_proofs(raw: bytes, manifest: dict[str, Any]) -> dict[str, Any]:
    """Raises Broken."""
    proofs = formed("proofs.json", json_file("proofs.json", raw), PROOFS, optional="marks")
    for name in ("treeSize", "rootHash", "firstSeq", "lastSeq"):
        if proofs[name] != manifest[name]:
            raise Broken("proofs.json", "checkpoint_mismatch", f"its {name} is not the one of the manifest")
    if "marks" in proofs:
        proofs["marks"] = exact_base64(proofs["marks"])
        if len(proofs["marks"]) != 2 * manifest["records"]:
            raise Broken("proofs.json", "malformed", "it does not have one mark for each record")
    return proofs


def _compare(manifest: dict[str, Any], file: str, found: tuple[str, int, str]) -> None:
    if found != (manifest["origin"], manifest["treeSize"], manifest["rootHash"]):
        raise Broken(file, "checkpoint_mismatch", "its origin, size or root is not the one of the manifest")


_MANIFEST_SIGNATURE = re.compile(r"([0-9a-f]{8}) ([A-Za-z0-9+/]{86}==)\n")


def _signer(raw: bytes, manifest: bytes, keys: Sequence[LogKey], checkpoint: Checkpoint) -> LogKey:
    """The key that signed both the manifest and the checkpoint. Raises Broken."""
    match = _MANIFEST_SIGNATURE.fullmatch(raw.decode("ascii", "replace"))
    signature = exact_base64(match[2]) if match else None
    if match is None or signature is None:
        raise Broken("manifest.sig", "malformed", "it is not one line with a key's id and a signature")
    signer = next((key for key in keys if key.key_id == match[1]), None)
    if signer is None:
        raise Broken("manifest.sig", "signature_invalid", f"key {match[1]} is not in keys.json")
    if not verifies(signer.raw, b"kaireon manifest v1\n" + manifest, signature):
        raise Broken("manifest.sig", "signature_invalid", f"key {signer.key_id} did not sign this manifest.json")
    signed = [key for key in keys if checkpoint.is_signed_by(key)]
    if signer not in signed or signer.name != checkpoint.origin:
        raise Broken("checkpoint.txt", "signature_invalid", "the key that signed the manifest did not sign it")
    return signer


def _trust(signer: LogKey, keys: Sequence[LogKey], pinned: PinnedKey | None) -> tuple[str, int | None]:
    """The level, and how many rotations lead from the pinned key to the one that signed. Raises Broken."""
    if pinned is None:
        return "embedded", None
    # Each key has been cross-signed by the one before it: see read_keys.
    for n, key in enumerate(keys):
        if key.raw == pinned.raw and pinned.name in (None, key.name):
            rotations = keys.index(signer) - n
            if rotations >= 0:
                return "pinned", rotations
            raise Broken(
                "checkpoint.txt", "key_not_trusted", f"it is signed by key {signer.key_id}, older than the pinned one"
            )
    raise Broken(
        "keys.json",
        "key_not_trusted",
        f"the pinned key is not in it: it does not lead to key {signer.key_id} that signed",
    )


def _cosigners(
    checkpoint: Checkpoint, listed: Sequence[Witness], pinned: Sequence[PinnedKey]
) -> tuple[tuple[str, str], ...]:
    """The pinned witnesses that cosigned, and when. Raises Broken when a cosignature of a known witness is not its."""
    for witness in listed:
        checkpoint.cosigned_at(witness.raw, witness.name)
    found = (checkpoint.cosigned_at(key.raw, key.name) for key in pinned)
    return tuple((name, _moment_of(seconds)) for name, seconds in dict(filter(None, found)).items())


def _moment_of(seconds: int) -> str:
    try:
        return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} seconds after 1970"


def _check_records(archive: Archive, manifest: dict[str, Any], proofs: dict[str, Any]) -> Records:
    """Every record, and that they are those of the tree. Raises Broken."""
    first, size = manifest["firstSeq"], manifest["treeSize"]
    records = Records(tenant=manifest["tenantId"], first=first, marks=proofs.get("marks"))
    _extend(records.tree, cover(0, first - 1), proofs["left"], "left")
    records.read(archive.chunks(Records.FILE), most=manifest["records"])
    if records.count != manifest["records"]:
        raise Broken(
            Records.FILE, "truncated", f"seq {records.last + 1} to {manifest['lastSeq']} are missing", seq=records.last
        )
    _extend(records.tree, cover(manifest["lastSeq"], size), proofs["right"], "right")
    if records.tree.root().hex() != manifest["rootHash"]:
        raise Broken(Records.FILE, "checkpoint_mismatch", "these are not the records that the checkpoint commits to")
    if records.sha256.hexdigest() != manifest["files"][Records.FILE]:
        raise Broken(Records.FILE, "file_mismatch", "it is not the file that the manifest names")
    since, until = manifest["from"] or "", manifest["to"] or "9999-12-31T23:59:59.999999Z"
    for moment, seq in ((records.first_moment, first), (records.last_moment, manifest["lastSeq"])):
        if not since <= moment <= until:
            raise Broken(Records.FILE, "malformed", "it lies outside the range that the manifest names", seq=seq)
    return records


def _extend(tree: Tree, levels: Sequence[int], hashes: Sequence[str], side: str) -> None:
    if len(hashes) != len(levels):
        raise Broken("proofs.json", "checkpoint_mismatch", f"{side} has {len(hashes)} hashes and needs {len(levels)}")
    for level, hashed in zip(levels, hashes):
        tree.append(bytes.fromhex(hashed), level)


# --- The certificate of an erasure ------------------------------------------------------------------------------------

# No record has a field of this name, and in canonical JSON it comes first.
_CERTIFICATE_STARTS = re.compile(rb'\{\s*"certificate"\s*:')
_CERTIFICATE_FILE = "certificate"
_COMPLETED = "dsar.erasure.completed"
# What the parts of a certificate are called where they are files of a bundle.
_PART_OF = {"keys.json": "keys", "checkpoint.txt": "checkpoint", "records.ndjson": "record"}
# Where the record of the erasure says the same: field of the statement, column of the record.
_SAID_TWICE = (
    ("counts", "counts"),
    ("retained", "retained"),
    ("outcome", "outcome"),
    ("regulation", "regulation"),
)
_MOMENTS_SAID_TWICE = (
    ("closedAt", "closed_at"),
    ("erasedAt", "erased_at"),
    ("receivedAt", "received_at"),
    ("requestedAt", "requested_at"),
    ("startedAt", "started_at"),
)
_STORED_MOMENT = re.compile(r"([0-9-]{10}T[0-9:]{8})(?:\.([0-9]{1,6}))?\+00:00")


def _list(value: object) -> bool:
    return isinstance(value, list)


def _dict(value: object) -> bool:
    return isinstance(value, dict)


CERTIFICATE = {
    "certificate": _dict,
    "checkpoint": _text,
    "format": _text,
    "keys": _dict,
    "proof": _dict,
    "record": _dict,
    "signature": _dict,
}
STATEMENT = {
    "articles": _list,
    "catalogue": _dict,
    "counts": _dict,
    "issuedAt": _moment,
    "keysDestroyed": _list,
    "kind": lambda value: value == "erasure",
    "outcome": _text,
    "passes": _list,
    "product": _dict,
    "regulation": _text,
    "requestId": _text,
    "retained": _list,
    "scope": _list,
    "subject": _text,
    "tenantId": _text,
    "times": _dict,
}
RECIPIENT = {
    "article": _text,
    "at": _or_null(_moment),
    "effort": _text,
    "kind": _text,
    "madeAt": _moment,
    "outcome": lambda value: value in ("failed", "not_told", "told"),
    "recipient": _text,
    "recordId": _or_null(_text),
    "sections": _list,
}
TIMES = {
    "closedAt": _moment,
    "dueOn": _text,
    "erasedAt": _or_null(_moment),
    "receivedAt": _moment,
    "requestedAt": _moment,
    "startedAt": _or_null(_moment),
}
PROOF = {"hashes": _hashes, "leafIndex": _count, "treeSize": _count}
CERTIFICATE_SIGNATURE = {"keyId": _key_id, "value": _signature}


def check_certificate(raw: bytes, *, pinned: PinnedKey | None, witnesses: Sequence[PinnedKey]) -> Verdict:
    """Raises NothingToSay when it is a certificate of another format, Broken when it does not hold."""
    if len(raw) > MOST_SMALL_FILE:
        raise _bad_certificate("malformed", f"it is larger than {MOST_SMALL_FILE} bytes")
    value = json_file(_CERTIFICATE_FILE, raw)
    first, newest = CERTIFICATE_FORMATS
    if value.get("format", newest) not in CERTIFICATE_FORMATS:
        raise NothingToSay(
            f"not a certificate that this verifier knows: it is of none of {', '.join(CERTIFICATE_FORMATS)}"
        )
    if canonical(value) != raw:
        raise _bad_certificate("not_canonical", "it is not canonical JSON")
    formed(_CERTIFICATE_FILE, value, CERTIFICATE)
    statement = STATEMENT if value["format"] == first else STATEMENT | {"recipients": _list}
    said = formed(_CERTIFICATE_FILE, value["certificate"], statement)
    for recipient in said.get("recipients", []):
        formed(_CERTIFICATE_FILE, recipient, RECIPIENT)
    formed(_CERTIFICATE_FILE, said["times"], TIMES)
    proof = formed(_CERTIFICATE_FILE, value["proof"], PROOF)
    try:
        checkpoint = Checkpoint.parse(value["checkpoint"].encode())
        keys, listed = keys_of(value["keys"])
        record = formed(Records.FILE, value["record"], RECORD)
        signer = _certificate_signer(value, keys, checkpoint)
        level, rotations = _trust(signer, keys, pinned)
        cosigners = _cosigners(checkpoint, listed, witnesses)
    except Broken as e:
        part = _PART_OF.get(e.file)
        raise _bad_certificate(e.reason, f"{part}: {e.message}" if part else e.message) from None
    if cosigners and level == "pinned":
        level = "pinned-witnessed"
    _check_in_tree(record, proof, checkpoint)
    _check_says_the_same(said, record, checkpoint)
    return Verdict(
        level=level,
        tenant=said["tenantId"],
        first=record["seq"],
        last=record["seq"],
        records=1,
        earliest=record["timestamp"],
        latest=record["timestamp"],
        origin=checkpoint.origin,
        tree_size=checkpoint.size,
        root=checkpoint.root.hex(),
        key_id=signer.key_id,
        rotations=rotations,
        witnesses=cosigners,
        certificate=said,
    )


def _bad_certificate(reason: str, message: str) -> Broken:
    return Broken(_CERTIFICATE_FILE, reason, message)


def _certificate_signer(value: dict[str, Any], keys: Sequence[LogKey], checkpoint: Checkpoint) -> LogKey:
    """The key that signed both the certificate and its checkpoint. Raises Broken."""
    signature = formed(_CERTIFICATE_FILE, value["signature"], CERTIFICATE_SIGNATURE)
    signer = next((key for key in keys if key.key_id == signature["keyId"]), None)
    if signer is None:
        raise _bad_certificate("signature_invalid", f"key {signature['keyId']} is not among its keys")
    signed = canonical({name: item for name, item in value.items() if name != "signature"})
    if not verifies(signer.raw, b"kaireon certificate v1\n" + signed, exact_base64(signature["value"]) or b""):
        raise _bad_certificate("signature_invalid", f"key {signer.key_id} did not sign this certificate")
    if signer.name != checkpoint.origin or not checkpoint.is_signed_by(signer):
        raise _bad_certificate("signature_invalid", "the key that signed it did not sign the checkpoint in it")
    return signer


def _check_in_tree(record: dict[str, Any], proof: dict[str, Any], checkpoint: Checkpoint) -> None:
    """That the proof starts from the record and leads to the root (RFC 6962, section 2.1.1). Raises Broken."""
    if hashlib.sha256(_joined(record).encode()).hexdigest() != record["integrityHash"]:
        raise _bad_certificate("hash_mismatch", "record: integrityHash is not the hash of its contents")
    index, size = proof["leafIndex"], proof["treeSize"]
    if size != checkpoint.size or index != record["seq"] - 1 or index >= size:
        raise _bad_certificate("checkpoint_mismatch", "proof: it is not of this record and this checkpoint")
    if root_over(leaf_hash(canonical(record)), index, size, proof["hashes"]) != checkpoint.root:
        raise _bad_certificate("checkpoint_mismatch", "proof: it does not lead from the record to the checkpoint")


def root_over(hashed: bytes, index: int, size: int, hashes: Sequence[str]) -> bytes | None:
    """The root that a proof leads to from leaf `index` of `size`; None when it is too short or too long."""
    last = size - 1
    for text in hashes:
        if not last:
            return None
        sibling = bytes.fromhex(text)
        if index & 1 or index == last:
            hashed = node_hash(sibling, hashed)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            hashed = node_hash(hashed, sibling)
        index, last = index >> 1, last >> 1
    return None if last else hashed


def _check_says_the_same(said: dict[str, Any], record: dict[str, Any], checkpoint: Checkpoint) -> None:
    """That the statement is what the log says: nobody who has the key alone can certify what was not recorded."""
    if not checkpoint.origin.endswith("/" + said["tenantId"]) or record["tenantId"] != said["tenantId"]:
        raise _bad_certificate("checkpoint_mismatch", "the checkpoint or the record is of another tenant's log")
    about = (record["action"], record["entityType"], record["entityId"])
    after = record["after"]
    if about != (_COMPLETED, "DsarRequest", said["requestId"]) or not isinstance(after, dict):
        raise _bad_certificate("record_mismatch", "the record is not that this erasure was completed")
    for name, column in _SAID_TWICE:
        if canonical(said[name]) != canonical(after.get(column)):
            raise _bad_certificate("record_mismatch", f"{name} is not what the record in the log says")
    for name, column in _MOMENTS_SAID_TWICE:
        if said["times"][name] != _stored_moment(after.get(column)):
            raise _bad_certificate("record_mismatch", f"{name} is not what the record in the log says")


def _stored_moment(text: object) -> str | None:
    match = _STORED_MOMENT.fullmatch(text) if isinstance(text, str) else None
    return f"{match[1]}.{(match[2] or '').ljust(6, '0')}Z" if match else None


# --- The program ------------------------------------------------------------------------------------------------------


@dataclass
class Answer:
    """What is said in the end, as the fields of --json."""

    exit: int
    message: str
    required: str | None = None
    broken: Broken | None = None
    verdict: Verdict | None = None

    def as_json(self) -> str:
        broken, verdict = self.broken, self.verdict
        said: dict[str, Any] = {
            "intact": None if self.exit == 2 else broken is None,
            "exit": self.exit,
            "level": verdict and verdict.level,
            "required": self.required,
            "message": self.message,
            "brokenFile": broken and broken.file,
            "brokenReason": broken and broken.reason,
            "brokenAtSeq": broken and broken.seq,
            "brokenAtId": broken and broken.record_id,
            "tenantId": verdict and verdict.tenant,
            "origin": verdict and verdict.origin,
            "from": verdict and verdict.asked_from,
            "to": verdict and verdict.asked_to,
            "firstSeq": verdict and verdict.first,
            "lastSeq": verdict and verdict.last,
            "records": verdict and verdict.records,
            "treeSize": verdict and verdict.tree_size,
            "rootHash": verdict and verdict.root,
            "keyId": verdict and verdict.key_id,
            "rotations": verdict and verdict.rotations,
            "witnesses": [{"name": name, "at": at} for name, at in verdict.witnesses] if verdict else None,
            "requestId": verdict and verdict.certificate and verdict.certificate["requestId"],
        }
        return json.dumps(said)

    def as_text(self) -> str:
        verdict = self.verdict
        if verdict is None:
            return self.message
        lines = [self.message, *(_certified(verdict) if verdict.certificate else _read(verdict))]
        if verdict.origin is not None:
            asked = f"{verdict.asked_from or 'the beginning'} to {verdict.asked_to or 'the end'}"
            by = f"key {verdict.key_id}"
            if verdict.rotations is not None:
                turns = {0: "the pinned one", 1: "one rotation after the pinned one"}
                by += ", " + turns.get(verdict.rotations, f"{verdict.rotations} rotations after the pinned one")
            else:
                by += (
                    f", which came with the {'certificate' if verdict.certificate else 'bundle'}: pin it with --pubkey"
                )
            if verdict.certificate is None:
                lines.append(f"  Asked for   {asked}")
            lines += [
                f"  Tree        {verdict.tree_size} records of {shown(verdict.origin)}, root {verdict.root}",
                f"  Signed by   {by}",
                *(f"  Witness     {shown(name)} at {at}" for name, at in verdict.witnesses),
            ]
        lines.append(f"  Holds against {LEVELS[verdict.level]}.")
        return "\n".join(lines)


def _read(verdict: Verdict) -> list[str]:
    return [
        f"  Records     {verdict.records}, seq {verdict.first} to {verdict.last} of tenant {shown(verdict.tenant)}",
        f"  Moments     {verdict.earliest} to {verdict.latest}",
    ]


def _certified(verdict: Verdict) -> list[str]:
    said = verdict.certificate or {}
    return [
        f"  Erasure     request {shown(said['requestId'])} of tenant {shown(verdict.tenant)}, {shown(said['outcome'])}",
        f"  Subject     {shown(said['subject']) or 'not named any more'}",
        f"  Closed      {said['times']['closedAt']}, received {said['times']['receivedAt']}",
        f"  Retained    {len(said['retained']) or 'nothing'}; keys destroyed: {len(said['keysDestroyed'])}",
        *_told(said.get("recipients", [])),
        f"  Record      seq {verdict.first}",
    ]


def _told(recipients: Sequence[dict[str, Any]]) -> list[str]:
    """Who was told of the erasure, each by its last notice."""
    last = {each["recipient"]: each["outcome"].replace("_", " ") for each in recipients}
    return [f"  Recipient   {shown(name)}: {outcome}" for name, outcome in last.items()]


def answer(verdict: Verdict, required: str | None) -> Answer:
    levels = list(LEVELS)
    if required is not None and levels.index(verdict.level) < levels.index(required):
        message = f"TOO LITTLE: everything holds, but only at level {verdict.level}, and {required} is required."
        return Answer(3, message, required, verdict=verdict)
    return Answer(0, f"INTACT at level {verdict.level}.", required, verdict=verdict)


def answer_broken(broken: Broken, required: str | None) -> Answer:
    where = shown(broken.file)
    if broken.seq is not None:
        where += f", seq {broken.seq}"
    if broken.record_id is not None:
        where += f", id {shown(broken.record_id)}"
    return Answer(1, f"BROKEN: {where}: {broken.reason}: {broken.message}.", required, broken=broken)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise NothingToSay(f"{message} (see --help)")


class _Once(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option_string: Any = None) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{option_string} stands there twice")
        setattr(namespace, self.dest, values)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="kaireon_verify.py",
        description="Check evidence taken from an audit log, offline.",
        epilog="Exit 0: it holds. 1: it does not. 2: nothing can be said. 3: it holds at a lower level than required.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="the zip, a records.ndjson by itself, or a certificate")
    parser.add_argument(
        "--pubkey",
        metavar="KEY",
        action=_Once,
        help="the log's key, from elsewhere: a verifier key, 32 bytes in hex or base64, or a file with one of them",
    )
    parser.add_argument("--witness", metavar="KEY", action="append", default=[], help="a witness's key, likewise")
    parser.add_argument(
        "--require",
        metavar="LEVEL",
        action=_Once,
        choices=tuple(LEVELS),
        help=f"exit 3 below this level: {', '.join(LEVELS)} (a key requires the level that it is for)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser.parse_args(arguments)


def _given_key(text: str, kind: int, option: str) -> PinnedKey:
    try:
        return PinnedKey.parse(text, kind)
    except NothingToSay as e:
        problem = e
    try:
        with Path(text).open("rb") as file:
            return PinnedKey.parse(file.read(4096).decode().strip(), kind)
    except NothingToSay as e:
        problem = e
    except (OSError, ValueError):
        # No such file: what was wrong with the key itself is what helps.
        pass
    raise NothingToSay(f"{option}: {problem}")


def run(options: argparse.Namespace) -> Answer:
    """Raises NothingToSay, and OSError when the bundle cannot be read."""
    pinned = None if options.pubkey is None else _given_key(options.pubkey, SIGNS, "--pubkey")
    witnesses = [_given_key(text, COSIGNS, "--witness") for text in options.witness]
    required = options.require or ("pinned-witnessed" if witnesses else "pinned" if pinned else None)
    with Path(options.bundle).open("rb") as file:
        if not file.seekable():
            raise NothingToSay("BUNDLE must be a file that can be read more than once")
        try:
            return answer(check(file, pinned=pinned, witnesses=witnesses), required)
        except Broken as e:
            return answer_broken(e, required)


def main(arguments: Sequence[str]) -> int:
    try:
        said = run(_options(arguments))
    except NothingToSay as e:
        said = Answer(2, f"NOT CHECKED: {shown(str(e))}.")
    except OSError as e:
        said = Answer(2, f"NOT CHECKED: BUNDLE cannot be read: {e.strerror}.")
    except Exception as e:  # noqa: BLE001 - whatever happens, the exit code must not be one that says something
        said = Answer(2, f"NOT CHECKED: this verifier failed ({type(e).__name__}).")
    stream = sys.stderr if said.exit == 2 and "--json" not in arguments else sys.stdout
    try:
        stream.write((said.as_json() if "--json" in arguments else said.as_text()) + "\n")
        stream.flush()
    except OSError:
        # Nobody heard it. Else the interpreter would try again, and end in another exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return 2
    return said.exit


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
