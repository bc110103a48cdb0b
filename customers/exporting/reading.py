"""Pieces of what is to be exported, read and made ready while the ones before them are being stored.

Two are read at once, each over a connection of its own: to spell them is most of the work, and PostgreSQL does that in
one process for each connection. They are written in their order all the same. Whoever reads ahead is the only writer
until all of it is written or thrown away: an erasure in between would not find what is not in a file yet.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from threading import Barrier
from typing import Self

from django.db import connection

from customers.exporting import arrivals, lines
from customers.exporting.arrivals import Piece
from customers.exporting.formats import Format
from kaireon.tenancy import context
from kaireon.tenancy.context import transaction

CONNECTIONS = 2
# Bytes: beyond it a piece is read alone, so that memory holds one of them.
LARGE = 32 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Ready:
    """What a file will hold, and what is said of it. `first_at` and `last_at` are moments of its lines."""

    content: bytes
    form: Format
    rows: int
    sha256: str
    subjects: bytes
    first_at: str | None
    last_at: str | None

    @classmethod
    def of(cls, read: list[bytes], form: Format) -> Self:
        content = form.pack(read)
        first, last = lines.span(read)
        return cls(
            content=content,
            form=form,
            rows=len(read),
            sha256=sha256(content).hexdigest(),
            subjects=lines.marks(read),
            first_at=first,
            last_at=last,
        )


class Readers:
    """Threads that read pieces, for as long as somebody exports. None is started for a single piece."""

    def __init__(self, form: Format) -> None:
        self.at_once = CONNECTIONS
        self._form = form
        self._here = context.current()
        self._pool: ThreadPoolExecutor | None = None

    def read(self, piece: Piece) -> Ready:
        """Here and now; in a transaction of its own."""
        with transaction():
            arrivals.read_along_the_index()
            read = lines.read(piece)
        ready = Ready.of(read, self._form)
        self.at_once = 1 if len(ready.content) > LARGE else CONNECTIONS
        return ready

    def begin(self, piece: Piece) -> "Future[Ready]":
        if self._pool is None:
            self._pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="export")
        return self._pool.submit(self._read_elsewhere, piece)

    def close(self) -> None:
        if self._pool is None:
            return
        together = Barrier(CONNECTIONS)

        def close() -> None:
            # Each thread has a connection, and only it can close that: none is done before all have one of these calls.
            together.wait()
            connection.close()

        for _ in range(CONNECTIONS):
            self._pool.submit(close)
        self._pool.shutdown()
        self._pool = None

    def _read_elsewhere(self, piece: Piece) -> Ready:
        here = self._here
        with context.scope(tenant_id=here.tenant_id, actor=here.actor, request_id=here.request_id):
            return self.read(piece)


@contextmanager
def readers(form: Format) -> Iterator[Readers]:
    made = Readers(form)
    try:
        yield made
    finally:
        made.close()


class Waiting:
    """Pieces that were begun, in their order. Those that are not taken before the block ends are thrown away."""

    def __init__(self, by: Readers) -> None:
        self._by = by
        self._begun: deque[tuple[Piece, Future[Ready] | None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for _piece, coming in self._begun:
            if coming is not None and not coming.cancel():
                # Nobody reads for an export that is over.
                coming.exception()

    def __len__(self) -> int:
        return len(self._begun)

    @property
    def is_full(self) -> bool:
        """Of pieces that are begun one is written next, the others are read meanwhile."""
        most = self._by.at_once
        return len(self._begun) >= (most + 1 if most > 1 else 1)

    def add(self, piece: Piece, *, is_only: bool) -> None:
        self._begun.append((piece, None if is_only else self._by.begin(piece)))

    def take(self) -> tuple[Piece, Ready]:
        piece, coming = self._begun.popleft()
        return piece, self._by.read(piece) if coming is None else coming.result()
