"""Many requests at once, answered by real workers; and a worker that is killed in the middle of it."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kaireon.local.server import spawn
from tests.bench.dossier.worker import most_memory
from tests.bench.jobs.workers import Worker
from tests.bench.rounds import Turn
from tests.bench.servers import Servers
from tests.bench.talker import Talker

QUEUE = "dsar-jobs"
_LOOK_SECONDS = 0.1
_PATIENCE_SECONDS = 180.0


class NotAnswered(RuntimeError):
    """Requests were left without an answer, or have more than one dossier."""


class Burst:
    """`numbers` are customers that nobody asked about yet, as many as are asked about at once."""

    def __init__(self, running: Servers, asker: Talker, *, numbers: Iterator[list[str]]) -> None:
        self._asker = asker
        self._numbers = numbers
        self._folder = running.folder
        self._environment: Mapping[str, str] = {**asker.environment, "LOG_LEVEL": "WARNING"}
        self._started = 0
        self.mib = 0.0

    def turn(self, processes: int) -> Turn:
        """How many a second, from the beginning of the first to the end of the last; they wait before it starts."""
        requests = self._filed()
        with self._worker(processes) as worker:
            done = self._until(requests, lambda found: found["done"] == len(requests))
            self._weigh(worker)
        if done["dossiers"] != len(requests):
            raise NotAnswered(f"{done['dossiers']} dossiers of {len(requests)} requests.")
        return Turn(rate=len(requests) / (done["last"] - done["first"]))

    def killed(self) -> dict[str, float]:
        """Kill a worker with all its processes; how long after the restart everything was begun again, and done.

        As in `make run`, the schedule's process lives on.
        """
        requests = self._filed()
        with self._process("beat", "-A", "kaireon", "beat", "--pidfile=", celery=True):
            with self._worker(2):
                self._until(requests, lambda found: found["done"] >= len(requests) // 10 and len(found["running"]) > 1)
                # Leaving the block kills parent and children alike, as `kill -9` does.
            interrupted = set(self._asked(requests)["running"])
            restarted = time.monotonic()
            with self._worker(2):
                self._until(requests, lambda found: interrupted <= set(found["begunAgain"]))
                begun = time.monotonic() - restarted
                done = self._until(requests, lambda found: found["done"] == len(requests))
                ended = time.monotonic() - restarted
        if done["dossiers"] != len(requests):
            raise NotAnswered(f"{done['dossiers']} dossiers of {len(requests)} requests.")
        return {"interrupted": float(len(interrupted)), "begun": begun, "ended": ended}

    @contextmanager
    def sequencing(self) -> Iterator[None]:
        """The process that puts records into the log, as the product has it."""
        with self._process("sequencer", "manage.py", "audit_sequencer"):
            yield

    def _filed(self) -> list[str]:
        return list(self._asker.ask({"file": next(self._numbers)})["requests"])

    def _asked(self, requests: list[str]) -> dict[str, Any]:
        return self._asker.ask({"asked": requests})

    def _until(self, requests: list[str], met: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + _PATIENCE_SECONDS
        while not met(found := self._asked(requests)):
            if time.monotonic() > end:
                raise NotAnswered(f"{found['done']} of {len(requests)} requests are answered after a long time.")
            time.sleep(_LOOK_SECONDS)
        return found

    @contextmanager
    def _worker(self, processes: int) -> Iterator[Worker]:
        self._started += 1
        log = self._folder / f"worker-{self._started}.log"
        worker = Worker("kaireon", queue=QUEUE, processes=processes, environment=self._environment, log=log)
        try:
            yield worker
        finally:
            worker.stop()

    @contextmanager
    def _process(self, name: str, *arguments: str, celery: bool = False) -> Iterator[None]:
        command = [sys.executable, *(("-m", "celery") if celery else ()), *arguments]
        process = spawn(command, log=self._folder / f"{name}.log", leashed=True, env=self._environment)
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _weigh(self, worker: Worker) -> None:
        """The most that any process of a worker ever had."""
        for at in Path("/proc").iterdir():
            if at.name.isdigit() and _session(at) == worker.pid:
                self.mib = max(self.mib, most_memory(at.name))


def _session(process: Path) -> int:
    try:
        return int((process / "stat").read_text(errors="replace").rpartition(")")[2].split()[3])
    except OSError:
        return 0
