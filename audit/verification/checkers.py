"""Who checks the spans of a log: this process on its own connection, or several with one each."""

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from multiprocessing import connection as pipes
from multiprocessing import get_context, parent_process
from typing import Any

import psycopg
from django.db import connections

from audit.verification import spans
from audit.verification.spans import Found, Link, Span

# More processes than this would wait for PostgreSQL.
MOST_JOBS = 16
# Below this many records, starting a process takes longer than reading them.
WORTH_A_PROCESS = 4 * spans.LENGTH


def default_jobs() -> int:
    """One for each core that this process may use, up to four."""
    return min(4, len(os.sched_getaffinity(0)))


@dataclass(frozen=True, kw_only=True)
class Log:
    """What all spans of one verification have in common; see spans.check."""

    tenant_id: str
    beginning: int
    committed: int

    def check(self, connection: Any, span: Span, before: Link | None) -> Found:
        return spans.check(
            connection, self.tenant_id, span, before=before, beginning=self.beginning, committed=self.committed
        )


def checked(
    log: Log,
    wanted: Iterable[Span],
    start: Link,
    *,
    jobs: int = 1,
    within: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Generator[Found, None, None]:
    """The spans one after the other, the first of which follows `start`. Close the iterator to stop.

    With `jobs` above 1 other processes check them. Else each is checked here, `within` a transaction that the caller
    has open (the default) or that is opened for it.
    """
    yield from (_by_others(log, wanted, start, jobs) if jobs > 1 else _here(log, wanted, start, within))


def _here(
    log: Log, wanted: Iterable[Span], link: Link, within: Callable[[], AbstractContextManager[None]]
) -> Generator[Found, None, None]:
    for span in wanted:
        with within():
            found = log.check(connections["default"].connection, span, link)
        link = found.last
        yield found


def _by_others(log: Log, wanted: Iterable[Span], start: Link, jobs: int) -> Generator[Found, None, None]:
    opened = connections["default"]
    opened.ensure_connection()
    info = opened.connection.info
    named = {"client_encoding": "UTF8", "application_name": "kaireon-verify", "password": info.password}
    address = {**info.get_parameters(), **named}
    # A copy of this process is at work at once. Where threads run it could inherit what they hold: there, a fresh one.
    context = get_context("fork" if threading.active_count() == 1 else "spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(address, log))
    try:
        waiting: deque[Future[Found]] = deque()
        link: Link | None = start
        for span in wanted:
            waiting.append(pool.submit(_check, span, link))
            # Only the first knows what comes before it.
            link = None
            # Enough in hand that nobody waits for work, and no more: a log may have a million spans.
            if len(waiting) > 2 * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


# In each of the other processes: its connection, and what is checked.
_at: tuple[psycopg.Connection, Log] | None = None


def _begin(address: dict[str, str], log: Log) -> None:
    global _at  # noqa: PLW0603 - what an initializer is for
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _at = psycopg.connect(**address, prepare_threshold=None), log  # type: ignore[arg-type]


def _end_with_parent() -> None:
    """A parent that is killed leaves nobody behind who reads the log for no one."""
    if parent := parent_process():
        pipes.wait([parent.sentinel])
        os._exit(1)


def _check(span: Span, before: Link | None) -> Found:
    assert _at is not None  # noqa: S101 - the initializer ran
    connection, log = _at
    with connection.transaction():
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [log.tenant_id])
        return log.check(connection, span, before)
