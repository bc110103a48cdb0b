"""Authenticated encryption of what is too long to be held in memory: AES-256-GCM in chunks, in the STREAM construction.

A sealed stream is a random prefix of 7 bytes and then the chunks, each 64 KiB of plaintext and a tag of 16 bytes; the
last one may be shorter, and is empty only where there is nothing to seal. The nonce of a chunk is the prefix, its
number in 4 bytes, and one byte that is 1 for the last chunk alone (Hoang, Reyhanitabar, Rogaway and Vizár, CRYPTO
2015). So a chunk that was altered, left out, moved, repeated or brought in from elsewhere does not open, nor does a
stream that ends early or goes on behind its end. What was given out before a fault is what was sealed; that all of it
is there is known only at the end.

One key seals one stream: `kaireon.lib.sealing.new_key` makes it. Up to 2^32 chunks, 256 TiB.
"""

import os
from collections.abc import Callable, Iterator
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kaireon.lib.sealing import NotSealed, SealBroken

CHUNK_BYTES = 64 * 1024

_FORMAT = b"KS\x02"
_PREFIX_BYTES = 7
_TAG_BYTES = 16
_SEALED_CHUNK_BYTES = CHUNK_BYTES + _TAG_BYTES


class Sink(Protocol):
    """Anything that takes bytes: an open file."""

    def write(self, data: bytes, /) -> object: ...


class StreamSealer:
    """Seals what is written to it, chunk by chunk, into a sink. Without `close` the stream does not open."""

    def __init__(self, sink: Sink, *, key: bytes, context: str) -> None:
        self._sink = sink
        self._cipher = AESGCM(key)
        self._aad = _aad(context)
        self._prefix = os.urandom(_PREFIX_BYTES)
        self._number = 0
        self._waiting = bytearray()
        sink.write(self._prefix)

    def write(self, data: bytes) -> None:
        self._waiting += data
        # A full chunk waits too: only what comes after it says that it is not the last.
        if len(self._waiting) <= CHUNK_BYTES:
            return
        last = (len(self._waiting) - 1) // CHUNK_BYTES * CHUNK_BYTES
        with memoryview(self._waiting) as waiting:
            for start in range(0, last, CHUNK_BYTES):
                self._seal(waiting[start : start + CHUNK_BYTES], is_last=False)
        del self._waiting[:last]

    def close(self) -> None:
        self._seal(self._waiting, is_last=True)
        self._waiting.clear()

    def _seal(self, chunk: memoryview | bytearray, *, is_last: bool) -> None:
        self._sink.write(self._cipher.encrypt(_nonce(self._prefix, self._number, is_last), chunk, self._aad))
        self._number += 1


def opened(read: Callable[[int], bytes], *, key: bytes, context: str) -> Iterator[bytes]:
    """The plaintext, chunk by chunk. `read` gives the next so many bytes, fewer only at the end, as a file's does.

    Raises NotSealed when not even one chunk is there, and SealBroken at the first that does not open.
    """
    cipher, aad = AESGCM(key), _aad(context)
    prefix = _exactly(read, _PREFIX_BYTES)
    chunk = _exactly(read, _SEALED_CHUNK_BYTES)
    if len(chunk) < _TAG_BYTES:
        raise NotSealed("not a sealed stream, or one that was cut short")
    number = 0
    while chunk:
        following = _exactly(read, _SEALED_CHUNK_BYTES) if len(chunk) == _SEALED_CHUNK_BYTES else b""
        try:
            yield cipher.decrypt(_nonce(prefix, number, not following), chunk, aad)
        except InvalidTag as e:
            raise SealBroken(f"chunk {number + 1} of a sealed stream was altered, or the stream was cut short") from e
        chunk, number = following, number + 1


def sealed_size(size: int) -> int:
    """Bytes of the sealed stream of so many bytes of plaintext."""
    chunks = max(1, (size + CHUNK_BYTES - 1) // CHUNK_BYTES)
    return _PREFIX_BYTES + size + chunks * _TAG_BYTES


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    """So many bytes, fewer only at the end: a response's body gives less at a time than it has."""
    found = read(size)
    while found and len(found) < size and (more := read(size - len(found))):
        found += more
    return found


def _nonce(prefix: bytes, number: int, is_last: bool) -> bytes:
    return prefix + number.to_bytes(4) + (b"\x01" if is_last else b"\x00")


def _aad(context: str) -> bytes:
    return _FORMAT + context.encode()
