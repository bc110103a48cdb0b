"""Identifiers: UUID version 7 (RFC 9562), so that rows made together lie together in an index."""

import os
import time
from datetime import UTC, datetime
from threading import Lock
from uuid import UUID

_VERSION_AND_VARIANT = (7 << 76) | (2 << 62)
_RANDOM_BITS = (1 << 62) - 1


class _Ticks:
    """Quarters of a microsecond since 1970, each given out once in this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last = 0

    def next(self) -> int:
        ms, rest = divmod(time.time_ns(), 1_000_000)
        tick = (ms << 12) | ((rest << 12) // 1_000_000)
        with self._lock:
            # Also when the clock was set back: the last tick counts on until time has caught up.
            self._last = max(tick, self._last + 1)
            return self._last


_ticks = _Ticks()


def uuid7() -> UUID:
    """A new UUIDv7: 48 bits of milliseconds, 12 bits of the fraction of that millisecond, 62 random bits.

    Rising within a process, also when two fall into the same quarter of a microsecond or the clock is set back
    (RFC 9562 section 6.2, method 3). Between processes the order is that of their clocks.
    """
    tick = _ticks.next()
    random = int.from_bytes(os.urandom(8)) & _RANDOM_BITS
    return UUID(int=(tick >> 12) << 80 | (tick & 0xFFF) << 64 | _VERSION_AND_VARIANT | random)


def uuid7_texts(count: int) -> list[str]:
    """So many new ones as text, rising: for who needs hundreds at once."""
    random = os.urandom(8 * count)
    made = []
    for n in range(0, 8 * count, 8):
        tick = _ticks.next()
        bits = int.from_bytes(random[n : n + 8]) & _RANDOM_BITS
        text = f"{(tick >> 12) << 80 | (tick & 0xFFF) << 64 | _VERSION_AND_VARIANT | bits:032x}"
        made.append(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")
    return made


def lowest_uuid7(moment: datetime) -> UUID:
    """What no version 7 UUID made at this moment or later is below, to the millisecond: for a look by the index."""
    return UUID(int=int(moment.timestamp() * 1000) << 80 | _VERSION_AND_VARIANT)


def moment_of(identifier: UUID) -> datetime:
    """When a UUIDv7 was made, in UTC, to the millisecond. Raises ValueError for another version."""
    if identifier.version != 7:
        raise ValueError("only a version 7 UUID carries its time")
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)
