"""A forked process that kills itself with SIGKILL at a chosen point, and the parent that looks at what it left."""

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper

# What leaves something on a disk. A write is cut short in the middle.
CALLS = ("open", "pread", "write", "fsync", "ftruncate", "close", "rename", "unlink", "mkdir")


class _Countdown:
    """Kills this process at its n-th point."""

    def __init__(self, left: int) -> None:
        self.left = left

    def point(self, last_act: Callable[[], object] = lambda: None) -> None:
        self.left -= 1
        if self.left == 0:
            last_act()
            os.kill(os.getpid(), signal.SIGKILL)


def fork(work: Callable[[], object]) -> int:
    """Do it in a forked process, on database connections of its own; gives the pid. It ends with 0, by exception 3."""
    # What the child inherited it would end for both, should it ever let go of it.
    connections.close_all()
    pid = os.fork()
    if pid:
        return pid
    status = 3
    try:
        work()
        connections.close_all()
        status = 0
    except BaseException:  # noqa: BLE001 - the child of a test must not become a second pytest
        traceback.print_exc()
    finally:
        os._exit(status)


def killed(pid: int) -> bool:
    """Wait for it; whether SIGKILL ended it. Any other end but a good one fails the test."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the child failed; its traceback is on standard error"
    return False


def dying(work: Callable[[], object], *, at_statement: int = 0, at_call: int = 0) -> bool:
    """Fork, do `work` there and die at the n-th point: before a statement, or around a commit, or at a system call.

    Whether it died; it did not when it has no such point.
    """

    def until_death() -> None:
        with _statements(at_statement) if at_statement else _calls(at_call):
            work()

    return killed(fork(until_death))


@contextmanager
def _statements(n: int) -> Iterator[None]:
    """A point before each statement on any connection, and three at each commit: before, sent and unanswered, after."""
    countdown = _Countdown(n)
    wrapper: Any = DatabaseWrapper
    commit = wrapper._commit

    def before(execute: Any, *arguments: Any) -> Any:
        countdown.point()
        return execute(*arguments)

    def send(connection: Any) -> None:
        connection.pgconn.send_query(b"COMMIT")
        connection.pgconn.flush()

    def committing(self: Any) -> None:
        if self.connection is not None:
            countdown.point()
            countdown.point(lambda: send(self.connection))
        commit(self)
        countdown.point()

    with ExitStack() as stack:
        for connection in connections.all():
            stack.enter_context(connection.execute_wrapper(before))
        wrapper._commit = committing
        stack.callback(setattr, wrapper, "_commit", commit)
        yield


@contextmanager
def _calls(n: int) -> Iterator[None]:
    countdown = _Countdown(n)
    real = {name: getattr(os, name) for name in CALLS}

    def counted(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            def half() -> None:
                if name == "write":
                    real["write"](arguments[0], arguments[1][: len(arguments[1]) // 2])

            countdown.point(half)
            return real[name](*arguments, **named)

        return call

    for name in CALLS:
        setattr(os, name, counted(name))
    try:
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)
