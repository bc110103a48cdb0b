"""How a personal value stands in a record: sealed, erased or withheld. Pure.

    {"sealed": "base64 of 0x01 ‖ key id, 16 ‖ nonce, 12 ‖ ciphertext ‖ tag, 16"}    AES-256-GCM under the subject's key
    {"erased": true}      the subject's key was destroyed before this was sequenced
    {"personal": true}    there is a value, and no subject whose key could seal it

The plaintext is the value's JSON, padded with spaces to a multiple of 32 bytes; tenant, subject and column are
authenticated with it. Null stays null: whether there is a value shows. Within one record equal values of a column
have the same ciphertext, so that it shows what changed; no two records share one.
"""

import json
import os
from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kaireon.lib.canonical import loads_exact
from kaireon.lib.sealing import SealBroken

ERASED = {"erased": True}
WITHHELD = {"personal": True}

_FORMAT = b"\x01"
_KEY_ID_BYTES = 16
_NONCE_BYTES = 12
_TAG_BYTES = 16
_NONCE_STARTS = len(_FORMAT) + _KEY_ID_BYTES
_BODY_STARTS = _NONCE_STARTS + _NONCE_BYTES
_PADDED_TO = 32

_dumped = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Sealer:
    """A subject's key, opened. Keep it no longer than a batch takes."""

    tenant_id: str
    subject_id: str
    key_id: UUID
    cipher: AESGCM

    def seal(self, value: Any, *, column: str) -> dict[str, str]:
        """`column` is the entity's with its name, `Customer.email`; `value` is one that loads_exact gave."""
        plain = _dumped(value).encode()
        plain += b" " * (-len(plain) % _PADDED_TO)
        nonce = os.urandom(_NONCE_BYTES)
        body = self.cipher.encrypt(nonce, plain, self._names(column))
        token = b"".join((_FORMAT, self.key_id.bytes, nonce, body))
        return {"sealed": b2a_base64(token, newline=False).decode()}

    def open(self, value: Any, *, column: str) -> Any:
        """What was sealed. Raises SealBroken when it was altered or is of another tenant, subject, column or key."""
        token = _token(value)
        if token is None or key_id_of(value) != self.key_id:
            raise SealBroken("this was not sealed by the subject's key")
        try:
            plain = self.cipher.decrypt(token[_NONCE_STARTS:_BODY_STARTS], token[_BODY_STARTS:], self._names(column))
        except InvalidTag as error:
            raise SealBroken("the sealed value was altered, or is of another tenant, subject or column") from error
        return loads_exact(plain.decode())

    def _names(self, column: str) -> bytes:
        # PostgreSQL's text holds no NUL, so that no two lists of names are the same bytes.
        return f"kaireon audit value\x00{self.tenant_id}\x00{self.subject_id}\x00{column}".encode()


def key_id_of(value: Any) -> UUID | None:
    """The subject key that a sealed value names; None when this is no sealed value."""
    token = _token(value)
    return None if token is None else UUID(bytes=token[len(_FORMAT) : _NONCE_STARTS])


def _token(value: Any) -> bytes | None:
    if not (isinstance(value, dict) and len(value) == 1 and isinstance(text := value.get("sealed"), str)):
        return None
    try:
        token = a2b_base64(text.encode(), strict_mode=True)
    except NotBase64:
        return None
    return token if token.startswith(_FORMAT) and len(token) >= _BODY_STARTS + _TAG_BYTES else None
