"""Asking a dependency with a time limit, however it hangs."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from threading import Lock
from typing import Generic, TypeVar

from django.db import connections

T = TypeVar("T")


class TookTooLong(Exception):
    """No answer within the limit. The question may still be under way; nobody waits for it."""


class Asked(Generic[T]):
    """A question that is under way since this was made."""

    def __init__(self, name: str, pending: Future[T], *, seconds: float) -> None:
        self.name = name
        self._pending = pending
        self._until = time.monotonic() + seconds

    def answer(self) -> T:
        """Raises TookTooLong, and whatever the question raises."""
        try:
            return self._pending.result(timeout=max(0.0, self._until - time.monotonic()))
        except FutureTimeout as error:
            raise TookTooLong(self.name) from error


class Question(Generic[T]):
    """A question to a dependency, answered within `seconds` of being asked or not at all.

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

    def asked(self) -> Asked[T]:
        """Ask, and do something else meanwhile."""
        with self._lock:
            if self._pool is None:
                # Made when first needed: threads do not survive the fork of a server's workers.
                self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"ops-{self.name}")
            if self._pending is None or self._pending.done():
                self._pending = self._pool.submit(self._in_its_thread)
            return Asked(self.name, self._pending, seconds=self._seconds)

    def _in_its_thread(self) -> T:
        try:
            return self._ask()
        finally:
            connections.close_all()


def all_at_once(questions: Iterable[Question[T]]) -> list[Asked[T]]:
    """Ask all of them: together they take as long as the slowest, also when one dependency of most of them hangs."""
    return [question.asked() for question in questions]
