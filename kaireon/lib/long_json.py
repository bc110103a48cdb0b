"""Reading a small JSON document some of whose texts are too long to be held in memory: those stay where they lie.

It is read once for its outline, in which a mark stands for each long text; then the text itself, piece by piece.
"""

import json
import re
import secrets
from collections.abc import Iterator
from typing import IO, Any

# A text that is longer is left in the file.
MOST_KEPT = 1024
# All the rest together.
MOST_AROUND = 1024 * 1024

_BLOCK_BYTES = 256 * 1024
_QUOTE, _BACKSLASH = b'"', b"\\"
_STOPS = re.compile(rb'["\\]')
# The longest escape is \u002f; one that a piece would cut in two goes with the next.
_ESCAPE_BYTES = 6


class NotSmall(ValueError):
    """Without its long texts the document is still too large: it is not what was looked for."""


class CutShort(ValueError):
    """The document ends in the middle of a text."""


class LongText:
    """A text of ASCII characters, base64 for one, by the bytes between its quotes in the file."""

    def __init__(self, file: IO[bytes], start: int, end: int) -> None:
        self._file, self._start, self._end = file, start, end

    def pieces(self) -> Iterator[bytes]:
        """The text itself, without JSON's escapes. Raises ValueError where these are none of ASCII."""
        self._file.seek(self._start)
        left, rest = self._end - self._start, b""
        while left and (block := self._file.read(min(_BLOCK_BYTES, left))):
            left -= len(block)
            piece = rest + block
            cut = piece.rfind(_BACKSLASH, max(0, len(piece) - _ESCAPE_BYTES)) if left else -1
            # Of several in a row the first begins an escape.
            while cut > 0 and piece[cut - 1 : cut] == _BACKSLASH:
                cut -= 1
            piece, rest = (piece, b"") if cut < 0 else (piece[:cut], piece[cut:])
            yield _plain(piece)


class Outline:
    """The document, with a mark in the place of each long text. Raises NotSmall, CutShort, and what json.loads does.

    The file has to be one that can be read twice.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        # Nobody can write such a mark into the document beforehand.
        self._name = secrets.token_hex(16)
        self._long: dict[str, LongText] = {}
        self._around = bytearray()
        self._read()
        self.document: Any = json.loads(self._around.decode())

    def long(self, text: str) -> LongText | None:
        """What a mark stands for; None for a text that is none."""
        return self._long.get(text)

    def _read(self) -> None:
        inside = escaped = False
        start, base, kept = 0, 0, bytearray()
        while block := self._file.read(_BLOCK_BYTES):
            at = 0
            while at < len(block):
                if not inside:
                    found = block.find(_QUOTE, at)
                    end = len(block) if found < 0 else found + 1
                    self._keep(block[at:end])
                    inside, start, kept = found >= 0, base + end, bytearray()
                    at = end
                    continue
                stop = None if escaped else _STOPS.search(block, at)
                end = at + 1 if escaped else (stop.start() if stop else len(block))
                kept += block[at : min(end, at + MOST_KEPT + 1 - len(kept))]
                escaped, at = False, end
                if stop is not None and stop[0] == _QUOTE:
                    self._keep(self._told(kept, start, base + end) + _QUOTE)
                    inside, at = False, end + 1
                elif stop is not None:
                    if len(kept) <= MOST_KEPT:
                        kept += _BACKSLASH
                    escaped, at = True, end + 1
            base += len(block)
        if inside:
            raise CutShort("it ends in the middle of a text: the file was cut short")

    def _keep(self, piece: bytes) -> None:
        self._around += piece
        if len(self._around) > MOST_AROUND:
            raise NotSmall("it is not of the kind that was expected")

    def _told(self, kept: bytearray, start: int, end: int) -> bytes:
        if end - start <= MOST_KEPT:
            return bytes(kept)
        mark = f"{self._name}-{len(self._long)}"
        self._long[mark] = LongText(self._file, start, end)
        return mark.encode()


def _plain(piece: bytes) -> bytes:
    if _BACKSLASH not in piece:
        return piece
    return str(json.loads(_QUOTE + piece + _QUOTE)).encode("ascii")
