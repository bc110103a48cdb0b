"""The signature of a webhook: `t=<unix seconds>,v1=<hex HMAC-SHA256 of "id.t.body">`."""

import hashlib
import hmac
import re

ID_HEADER = "Kaireon-Id"
SIGNATURE_HEADER = "Kaireon-Signature"
TOLERANCE = 300  # seconds

_SIGNATURE = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")


def sign(*, secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of the header Kaireon-Signature."""
    return f"t={timestamp},v1={_digest(secret, message_id, timestamp, body)}"


def is_genuine(*, secret: bytes, message_id: str, signature: str, body: bytes, now: int) -> bool:
    """What a receiver asks: made with the shared secret, over exactly this, at most five minutes from `now`."""
    match = _SIGNATURE.fullmatch(signature)
    if match is None or abs(now - int(match[1])) > TOLERANCE:
        return False
    return hmac.compare_digest(match[2], _digest(secret, message_id, int(match[1]), body))


def _digest(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return hmac.new(secret, signed, hashlib.sha256).hexdigest()
