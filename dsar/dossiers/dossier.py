"""What a dossier is: everything about one customer, read at one moment, as JSON; sealed at rest, or in an envelope.

Portable: `{customerId, exportedAt, encrypted: false, data: {section: rows}, counts: {section: number}}`, `profile`
being one object or null. Envelope: `{encrypted: true, data: {format, keyVersion, context, ciphertext}}`, whose
ciphertext is the base64 of the sealed portable dossier: in one piece (kaireon/lib/sealing.py), or the wrapped key and
the chunks behind it (kaireon/lib/sealed_stream.py).
"""

import base64
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from dsar.dossiers import keeping
from dsar.models import Dossier
from kaireon.lib import sealed_stream
from kaireon.lib.sealing import WRAPPED_KEY_BYTES, is_wrapped_key, key_version, open_sealed, unwrap_key
from kaireon.tenancy.keyring import keyring

FORMAT = "encrypted-aes-256-gcm"


class NotAnEnvelope(ValueError):
    """The file holds no encrypted dossier."""


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


def open_envelope(document: object) -> Iterator[bytes]:
    """The portable JSON out of an envelope, or out of a request's answer that carries one in `exportedData`.

    Raises NotAnEnvelope and what kaireon.lib.sealing raises, UnknownKeyVersion for a key that is not on the keyring.
    """
    if isinstance(document, Mapping) and "exportedData" in document:
        document = document["exportedData"]
    data = document.get("data") if isinstance(document, Mapping) and document.get("encrypted") is True else None
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise NotAnEnvelope("this is not an encrypted dossier.")
    ciphertext, context = data.get("ciphertext"), data.get("context")
    if not isinstance(ciphertext, str) or not isinstance(context, str):
        raise NotAnEnvelope("the envelope lacks its ciphertext or its context.")
    try:
        sealed = base64.b64decode(ciphertext, validate=True)
    except ValueError as e:
        raise NotAnEnvelope("the ciphertext is not base64.") from e
    if not is_wrapped_key(sealed):
        yield open_sealed(sealed, context=context, keyring=keyring())
        return
    key = unwrap_key(sealed[:WRAPPED_KEY_BYTES], keyring=keyring())
    body = io.BytesIO(sealed)
    body.seek(WRAPPED_KEY_BYTES)
    yield from sealed_stream.opened(body.read, key=key, context=context)


def _label(dossier: Dossier) -> dict[str, Any]:
    token = bytes(dossier.sealed if dossier.key_wrapped is None else dossier.key_wrapped)
    return {"format": FORMAT, "keyVersion": key_version(token), "context": dossier.sealing_context}
