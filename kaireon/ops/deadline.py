"""Asking a dependency with a time limit, however it hangs."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from threading import Lock
from typing import Generic, TypeVar

from django.db import connections

T = TypeVar("T")


class TookTooLong(Exception):
    """No answer within the limit. The question may still be under way; nobody waits for it."""


class Question(Generic[T]):
    """A question to a dependency, answered within `seconds` or not at all.

    It is asked in a thread of its own, on database connections of its own. While an earlier asker's thread still
    hangs, there is no second one: the next asker waits for the same answer, so a dependency that never answers costs
    one thread.
    """

    def __init__(self, name: str, ask: Callable[[], T], *, seconds: float) -> None:
        self.name = name
        self._ask = ask
        self._seconds = seconds
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._pending: Future[T] | None = None

    def answer(self) -> T:
        """Raises TookTooLong, and whatever the question raises."""
        with self._lock:
            if self._pool is None:
                # Made when first needed: threads do not survive the fork of a server's workers.
                self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"ops-{self.name}")
            if self._pending is None or self._pending.done():
                self._pending = self._pool.submit(self._asked)
            pending = self._pending
        try:
            return pending.result(timeout=self._seconds)
        except FutureTimeout as error:
            raise TookTooLong(self.name) from error

    def _asked(self) -> T:
        try:
            return self._ask()
        finally:
            connections.close_all()
