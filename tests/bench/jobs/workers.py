"""A Celery worker of one contestant: held while others are measured, let go for a turn."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kaireon.local.server import spawn, tail
from tests.bench.talker import ContestantFailed

_WAIT_SECONDS = 30.0


class Worker:
    """`celery worker` with so many processes, as `make run` starts it, on a queue of its own."""

    def __init__(self, app: str, *, queue: str, processes: int, environment: Mapping[str, str], log: Path) -> None:
        command = [sys.executable, "-m", "celery", "--app", app, "worker", "--queues", queue]
        command += ["--concurrency", str(processes), "--hostname", f"{queue}@bench"]
        # Of those that are held the others would think that they are gone.
        command += ["--without-gossip", "--without-mingle"]
        self._log = log
        self._process: subprocess.Popen[bytes] = spawn(command, log=log, leashed=True, env=environment)

    @property
    def pid(self) -> int:
        """Of its first process, and of the session that all of them are in."""
        return self._process.pid

    @contextmanager
    def working(self) -> Iterator[None]:
        """Until the block ends. Held otherwise: what is asked for meanwhile waits in the queue."""
        self.let_go()
        try:
            yield
        finally:
            self.hold()

    def hold(self) -> None:
        self._signal(signal.SIGSTOP)

    def let_go(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process.poll() is None:
            # Its pool's processes are in its session. What it has not done, nobody waits for.
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=_WAIT_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is not None:
            raise ContestantFailed(f"A worker ended:\n{tail(self._log)}")
        os.killpg(self._process.pid, number)
