"""Bundles of Acme's log, and what the offline verifier says of them."""

import io

from audit.offline import kaireon_verify
from audit.tree import signing
from kaireon.tenancy.context import transaction
from tests.caller import with_key
from tests.cast import ACME, ADA


def holds(content: bytes) -> kaireon_verify.Verdict:
    """What the offline verifier says, with the log's first key pinned."""
    with ADA.here(), transaction():
        key = str(signing.public_key(signing.keys(ACME)[0]))
    pinned = kaireon_verify.PinnedKey.parse(key, kaireon_verify.SIGNS)
    return kaireon_verify.check(io.BytesIO(content), pinned=pinned)


def bundled(query: str = "") -> bytes:
    answer = with_key("aud").get(f"/audit-logs/bundle{query}")
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]
