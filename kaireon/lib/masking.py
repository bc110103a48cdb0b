"""Hiding personal values: masks that keep enough to recognise one's own, hashes that keep equality.

Masks are for showing, not for anonymising: the last four digits of a number remain personal data.
"""

import hashlib
import hmac
import ipaddress
import json
import re
import string
from collections.abc import Callable
from dataclasses import dataclass

from kaireon.lib.sealing import Keyring

_SHOWN = 4

# What gives a value its shape and tells nothing: it stays. Everything else, in any script, is hidden.
_HIDDEN = re.compile(r"[^\s().+/:,-]")


class UnknownFormat(ValueError):
    """No mask has this name."""


class UnknownAlgorithm(ValueError):
    """No hash has this name."""


# --- Masks ------------------------------------------------------------------------------------------------------------


# The same for ASCII, eight times as fast.
_STARS = {code: _HIDDEN.sub("*", chr(code)) for code in range(128)}
_TAIL = "*" * _SHOWN


def _keep_last(value: str) -> str:
    """Stars for all but the last four characters, and never for less than half of them; separators stay."""
    if value.isascii():
        hidden = value.translate(_STARS)
        count = hidden.count("*")
        if count >= 2 * _SHOWN and hidden.endswith(_TAIL):
            return hidden[:-_SHOWN] + value[-_SHOWN:]
    else:
        hidden, count = _HIDDEN.subn("*", value)
    keep = min(_SHOWN, count // 2)
    cut = len(value)
    while keep:
        cut -= 1
        keep -= hidden[cut] == "*"
    return hidden[:cut] + value[cut:]


def _keep_domain(value: str) -> str:
    local, _, domain = value.rpartition("@")
    return f"{local[:1]}***@{domain}"


def _keep_year(value: str) -> str:
    # The four that stay are the year: month and day together with anything else single a person out.
    return re.sub(r"(?<!\d)\d{1,2}(?!\d)", lambda part: "*" * len(part[0]), value)


def _any(_value: str) -> bool:
    return True


def _digits_of(value: str) -> list[int]:
    return [int(character) for character in value if character.isdecimal()]


# Of the codes of ASCII digits: twice the digit, less nine where that has two places.
_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
_SINGLE = bytes.maketrans(b"0123456789", bytes(range(10)))


def _is_card(value: str) -> bool:
    """Luhn, ISO/IEC 7812-1 Annex B."""
    digits = "".join(map(str, _digits_of(value))) if not value.isascii() else value.replace(" ", "").replace("-", "")
    codes = digits.encode()
    total = sum(codes[-1::-2].translate(_SINGLE)) + sum(codes[-2::-2].translate(_DOUBLED))
    return 13 <= len(codes) <= 19 and total % 10 == 0


_IBAN_VALUES = {ord(character): str(int(character, 36)) for character in string.ascii_letters}


def _is_iban(value: str) -> bool:
    """Mod 97, ISO 13616."""
    compact = value.replace(" ", "")
    if not 15 <= len(compact) <= 34:
        return False
    return int((compact[4:] + compact[:4]).translate(_IBAN_VALUES)) % 97 == 1


# The dihedral group D5 and the permutation of Verhoeff (1969), as UIDAI uses them.
_VERHOEFF_MULTIPLY = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_VERHOEFF_PERMUTE = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 5, 7, 6, 2, 8, 3, 0, 9, 4),
    (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7),
    (9, 4, 5, 3, 1, 2, 6, 8, 7, 0),
    (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5),
    (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)


def _is_aadhaar(value: str) -> bool:
    check = 0
    for place, digit in enumerate(reversed(_digits_of(value))):
        check = _VERHOEFF_MULTIPLY[check][_VERHOEFF_PERMUTE[place % 8][digit]]
    return check == 0


def _is_ip(value: str) -> bool:
    if ":" not in value:
        return all(int(part) < 256 and (part[0] != "0" or part == "0") for part in value.split("."))
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_phone(value: str) -> bool:
    return 7 <= sum(map(str.isdecimal, value)) <= 15


@dataclass(frozen=True, slots=True)
class Mask:
    """A format: how it is recognised (the whole value matches and the check says yes) and how it is hidden."""

    name: str
    pattern: re.Pattern[str]
    check: Callable[[str], bool]
    hide: Callable[[str], str]


# The first that recognises a value masks it, so the narrower stand above the wider. The last takes everything.
MASKS: tuple[Mask, ...] = (
    Mask("email", re.compile(r"[^@\s]+@[^@\s]+"), _any, _keep_domain),
    Mask("ssn", re.compile(r"\d{3}-\d{2}-\d{4}"), _any, _keep_last),
    Mask("date", re.compile(r"\d{4}([-/.])\d{1,2}\1\d{1,2}|\d{1,2}([-/.])\d{1,2}\2\d{4}"), _any, _keep_year),
    Mask(
        "ip", re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]{0,40}:[0-9A-Fa-f:.]{0,40}"), _is_ip, _keep_last
    ),
    Mask("aadhaar", re.compile(r"[2-9]\d{3}([ -]?)\d{4}\1\d{4}"), _is_aadhaar, _keep_last),
    Mask("card", re.compile(r"\d(?:[ -]?\d){12,18}"), _is_card, _keep_last),
    Mask("phone", re.compile(r"[+(]?\d[\d\s()./-]{5,24}\d"), _is_phone, _keep_last),
    Mask("pan", re.compile(r"[A-Za-z]{5}[0-9]{4}[A-Za-z]"), _any, _keep_last),
    Mask("iban", re.compile(r"[A-Za-z]{2}[0-9]{2}(?: ?[A-Za-z0-9]){11,30}"), _is_iban, _keep_last),
    Mask("text", re.compile(r".*", re.DOTALL), _any, _keep_last),
)

_BY_NAME = {row.name: row for row in MASKS}
_TEXT = _BY_NAME["text"]

# Which formats a value can have at all, by its plainest marks; the order stays that of MASKS. None but an address like
# `::` goes without a digit, none but an e-mail holds an @, none but an IP address a colon, and those that begin with a
# letter do not look like those that begin with a digit and end with one.
_MAIL = (_BY_NAME["email"],)
_COLON = (_BY_NAME["ip"],)
_LETTER = tuple(row for row in MASKS if row.name in ("pan", "iban"))
_NUMBER = tuple(row for row in MASKS if row.name in ("ssn", "date", "ip", "aadhaar", "card", "phone"))
_LETTERS = frozenset(string.ascii_letters)
_SHORTEST = 7
_LONGEST = 64
_HAS_DIGIT = re.compile(r"\d")


def _candidates(value: str) -> tuple[Mask, ...]:
    if "@" in value:
        return _MAIL
    if ":" in value:
        return _COLON
    if not _SHORTEST <= len(value) <= _LONGEST:
        return ()
    if value[-1].isdecimal():
        return _LETTER if value[0] in _LETTERS else _NUMBER
    return _LETTER if value[0] in _LETTERS and _HAS_DIGIT.search(value) else ()


def detect(value: str) -> str:
    """The name of the format in MASKS that recognises the value; `text` when none other does."""
    return _recognised(value).name


def mask(value: str, *, as_format: str | None = None) -> str:
    """The value with what identifies hidden, by detected format or, where it is known, by the named one.

    `123-45-6789` gives `***-**-6789`, `user@example.com` gives `u***@example.com`, `(555) 123-4567` gives
    `(***) ***-4567`; other formats keep the last four characters, a date its year. Nothing but an e-mail's domain and a
    date's year shows more than half of itself.
    A named format that does not fit the value hides it as text. Raises UnknownFormat.
    """
    if as_format is None:
        return _recognised(value).hide(value)
    try:
        row = _BY_NAME[as_format]
    except KeyError as e:
        raise UnknownFormat(f"a mask is one of {', '.join(_BY_NAME)}") from e
    return (row if row.pattern.fullmatch(value) else _TEXT).hide(value)


def _recognised(value: str) -> Mask:
    for row in _candidates(value):
        if row.pattern.fullmatch(value) and row.check(value):
            return row
    return _TEXT


# --- Hashes -----------------------------------------------------------------------------------------------------------

ALGORITHMS: dict[str, Callable[[bytes], "hashlib._Hash"]] = {
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    # Kept for pipelines that already hold MD5 values; see LEGACY.
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False),
}

# Still computed, never recommended: interfaces warn about these.
LEGACY = frozenset({"md5"})


def hash_value(value: str, algorithm: str = "sha256") -> str:
    """Lowercase hex digest of the UTF-8 text. Raises UnknownAlgorithm.

    Anyone can hash a list of guesses: for e-mails, phone and account numbers this is no pseudonym. Use `KeyedHash`.
    """
    try:
        function = ALGORITHMS[algorithm]
    except KeyError as e:
        raise UnknownAlgorithm(f"an algorithm is one of {', '.join(ALGORITHMS)}") from e
    return function(_utf8(value)).hexdigest()


class KeyedHash:
    """Pseudonyms by HMAC-SHA256, the recommended hash: `v3:` and 64 hex digits, `v3` naming the master key.

    Each tenant and purpose has a key of its own, derived from the master key, so pseudonyms of two tenants or purposes
    cannot be joined. Equal text gives equal pseudonyms: normalise before (case of e-mails, spaces in numbers).
    Build one and reuse it; a call is one HMAC.
    """

    def __init__(self, *, keyring: Keyring, tenant_id: str, purpose: str, version: int | None = None) -> None:
        """`version` picks an older master key, to find what it hashed. Raises sealing.UnknownKeyVersion, ValueError."""
        if not tenant_id or not purpose:
            raise ValueError("a keyed hash needs a tenant and a purpose")
        self.version = keyring.newest if version is None else version
        self._prefix = f"v{self.version}:"
        # JSON keeps the parts apart: ("a", "bc") and ("ab", "c") derive different keys.
        label = json.dumps(["kaireon keyed hash", 1, tenant_id, purpose]).encode()
        self._key = hmac.digest(keyring.key(self.version), label, "sha256")

    def __call__(self, value: str) -> str:
        return self._prefix + hmac.digest(self._key, _utf8(value), "sha256").hex()

    def __repr__(self) -> str:
        return f"<KeyedHash v{self.version}>"


def keyed_hashes(value: str, *, keyring: Keyring, tenant_id: str, purpose: str) -> list[str]:
    """The pseudonym of a value under every master key, newest first: what to look up after a rotation."""
    return [
        KeyedHash(keyring=keyring, tenant_id=tenant_id, purpose=purpose, version=version)(value)
        for version in keyring.versions
    ]


def _utf8(value: str) -> bytes:
    # Half of a surrogate pair must not stop a pipeline; it keeps its own hash.
    return value.encode(errors="surrogatepass")
