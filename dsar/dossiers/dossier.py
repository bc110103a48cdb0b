"""What a dossier is: everything about one customer, read at one moment, as JSON; sealed at rest, or in an envelope.

Portable: `{customerId, exportedAt, encrypted: false, data: {section: rows}, counts: {section: number}}`, `profile`
being one object or null. Envelope: `{encrypted: true, data: {format, keyVersion, context, ciphertext}}`, whose
ciphertext is the base64 of the sealed portable dossier: in one piece (kaireon/lib/sealing.py), or the wrapped key and
the chunks behind it (kaireon/lib/sealed_stream.py).
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

from dsar.dossiers import keeping
from dsar.models import Dossier
from kaireon.lib.sealing import key_version

FORMAT = "encrypted-aes-256-gcm"


def opened(dossier: Dossier) -> bytes:
    """The portable JSON of a small dossier, all at once. Raises what keeping.opened raises."""
    return b"".join(keeping.opened(dossier))


def envelope(dossier: Dossier) -> dict[str, Any]:
    """A small dossier in its envelope, made of the sealed bytes as they lie in the database."""
    ciphertext = base64.b64encode(b"".join(keeping.sealed(dossier))).decode()
    return {"encrypted": True, "data": {**_label(dossier), "ciphertext": ciphertext}}


def envelope_parts(dossier: Dossier) -> Iterator[bytes]:
    """The same as JSON, bit by bit. Raises DossierMissing before the first."""
    label = json.dumps({"encrypted": True, "data": _label(dossier)}).encode()
    sealed = keeping.sealed(dossier)
    first = next(sealed)
    yield label[:-2] + b', "ciphertext": "' + base64.b64encode(first)
    for piece in sealed:
        yield base64.b64encode(piece)
    yield b'"}}'


def envelope_size(dossier: Dossier) -> int:
    """Bytes of the whole of `envelope_parts`."""
    size = len(bytes(dossier.key_wrapped or b"")) + keeping.sealed_size(dossier)
    label = json.dumps({"encrypted": True, "data": {**_label(dossier), "ciphertext": ""}}).encode()
    return len(label) + (size + 2) // 3 * 4


def _label(dossier: Dossier) -> dict[str, Any]:
    token = bytes(dossier.sealed if dossier.key_wrapped is None else dossier.key_wrapped)
    return {"format": FORMAT, "keyVersion": key_version(token), "context": dossier.sealing_context}
