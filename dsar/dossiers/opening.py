"""Opening an encrypted dossier again, however large: from a file, and without holding it."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import IO

from dsar.dossiers.dossier import FORMAT
from kaireon.lib import long_json, sealed_stream
from kaireon.lib.sealing import WRAPPED_KEY_BYTES, is_wrapped_key, open_sealed, unwrap_key
from kaireon.tenancy.keyring import keyring


class NotAnEnvelope(ValueError):
    """The file holds no encrypted dossier."""


class Envelope:
    """The envelope in a file, or in a request's answer that carries one in `exportedData`.

    Raises NotAnEnvelope, long_json.CutShort and what json.loads raises. The file has to be one that can be read twice.
    """

    def __init__(self, file: IO[bytes]) -> None:
        try:
            outline = long_json.Outline(file)
        except long_json.NotSmall as e:
            raise NotAnEnvelope("this is not an encrypted dossier.") from e
        document = outline.document
        if isinstance(document, Mapping) and "exportedData" in document:
            document = document["exportedData"]
        data = document.get("data") if isinstance(document, Mapping) and document.get("encrypted") is True else None
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise NotAnEnvelope("this is not an encrypted dossier.")
        ciphertext, context = data.get("ciphertext"), data.get("context")
        if not isinstance(ciphertext, str) or not isinstance(context, str):
            raise NotAnEnvelope("the envelope lacks its ciphertext or its context.")
        self._text = outline.long(ciphertext) or ciphertext
        self._context = context

    def opened(self) -> Iterator[bytes]:
        """The portable JSON, chunk by chunk; that all of it is there is known at its end. May be asked for again.

        Raises NotAnEnvelope and what kaireon.lib.sealing raises, UnknownKeyVersion for a key that is not on the
        keyring.
        """
        pieces = iter([self._text.encode()]) if isinstance(self._text, str) else self._text.pieces()
        sealed = _Reader(_decoded(pieces))
        start = sealed.read(WRAPPED_KEY_BYTES)
        if not is_wrapped_key(start):
            # Of an earlier version, sealed in one piece.
            yield open_sealed(start + sealed.read(), context=self._context, keyring=keyring())
            return
        key = unwrap_key(start, keyring=keyring())
        yield from sealed_stream.opened(sealed.read, key=key, context=self._context)


class _Reader:
    """Pieces of any size, read by the size that is wanted."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int | None = None) -> bytes:
        """Fewer only at the end; all that is left without a size."""
        while (size is None or len(self._rest) < size) and (more := next(self._pieces, b"")):
            self._rest += more
        found, self._rest = self._rest[:size], self._rest[size:] if size is not None else b""
        return found


def _decoded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest, is_over = b"", False
    try:
        for piece in pieces:
            text = rest + piece
            whole = len(text) // 4 * 4
            text, rest = text[:whole], text[whole:]
            if text and is_over:
                raise NotAnEnvelope("the ciphertext is not base64.")
            if text:
                # Padding ends it.
                is_over = text.endswith(b"=")
                yield base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:
        raise NotAnEnvelope("the ciphertext is not base64.") from e
    if rest:
        raise NotAnEnvelope("the ciphertext is not base64.")
