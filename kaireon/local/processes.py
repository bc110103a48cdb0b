"""The product's processes as one group: started together, restarted one by one, stopped together."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kaireon.local.folder import PROJECT, LocalFolder, write_private
from kaireon.local.progress import complain, say
from kaireon.local.server import command_line, spawn, tail

_FIRST_DELAY = 1.0
_LONGEST_DELAY = 30.0
# Having run this long, a process that ends counts as crashed for the first time.
_SETTLED_SECONDS = 60.0
_STOP_SECONDS = 12.0
_STARTUP_CRASHES = 3
_LOG_BYTES = 20 * 1024 * 1024


class ProcessKeepsFailing(Exception):
    """A process ended again and again before the product was ready; the message carries the end of its log."""


@dataclass(kw_only=True)
class Process:
    """One process of the product, with what is known about its present life."""

    name: str
    command: Sequence[str]
    running: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    crashes: int = 0
    restart_at: float = 0.0


@dataclass(kw_only=True)
class ProcessGroup:
    """Every process leads a session of its own, so that ending it ends its children too.

    `supervise()` wants to be called a few times a second, from the main thread (see server.spawn).
    """

    local: LocalFolder
    environment: Mapping[str, str]
    processes: Sequence[Process] = field(default_factory=list)

    def start(self) -> None:
        self._end_leftovers()
        for process in self.processes:
            self._rotate(self.local.log(process.name))
            self._start(process)
        self._remember()

    def supervise(self, *, starting: bool = False) -> None:
        """Start again what ended. While `starting`, raises ProcessKeepsFailing when that does not help."""
        for process in self.processes:
            if process.running is None:
                if time.monotonic() >= process.restart_at:
                    self._start(process)
                    self._remember()
                continue
            code = process.running.poll()
            if code is None:
                continue
            self._end_group(process.running.pid)
            process.running = None
            if time.monotonic() - process.started_at > _SETTLED_SECONDS:
                process.crashes = 0
            process.crashes += 1
            if starting and process.crashes >= _STARTUP_CRASHES:
                raise ProcessKeepsFailing(f"{process.name} does not start:\n{tail(self.local.log(process.name), 25)}")
            delay = min(_FIRST_DELAY * 2 ** (process.crashes - 1), _LONGEST_DELAY)
            process.restart_at = time.monotonic() + delay
            ending = f"by signal {-code}" if code < 0 else f"with code {code}"
            complain(f"{process.name} ended {ending}; starting it again in {delay:.0f} s. Log: log/{process.name}.log")

    def stop(self) -> None:
        """Ask all of them at once, wait, then insist. A worker's unfinished jobs are resumed at the next start."""
        living = [process for process in self.processes if process.running is not None]
        for process in living:
            self._signal(process, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        said = False
        while any(process.running.poll() is None for process in living if process.running):
            if time.monotonic() > deadline:
                break
            if not said and time.monotonic() > deadline - _STOP_SECONDS + 2:
                waiting = ", ".join(p.name for p in living if p.running and p.running.poll() is None)
                say(f"  waiting for {waiting} to finish")
                said = True
            time.sleep(0.05)
        for process in living:
            if process.running is not None:
                self._end_group(process.running.pid)
                process.running.wait()
                process.running = None
        (self.local.path / "processes.json").unlink(missing_ok=True)

    def _start(self, process: Process) -> None:
        process.running = spawn(
            process.command,
            log=self.local.log(process.name),
            leashed=True,
            env=self.environment,
            cwd=PROJECT,
        )
        process.started_at = time.monotonic()

    def _signal(self, process: Process, number: signal.Signals) -> None:
        if process.running is not None and process.running.poll() is None:
            process.running.send_signal(number)

    def _end_group(self, pid: int) -> None:
        """Kill what is left of a process's session: pool children survive the kill of their parent."""
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _remember(self) -> None:
        """Write down who runs, for the next start after a `kill -9` of this one."""
        known = {str(p.running.pid): p.name for p in self.processes if p.running is not None}
        write_private(self.local.path / "processes.json", json.dumps(known))

    def _end_leftovers(self) -> None:
        """End the processes of an earlier launcher that could not end them itself."""
        file = self.local.path / "processes.json"
        if not file.exists():
            return
        for pid in json.loads(file.read_text()):
            # The pid may be anybody's by now; ours run this project's interpreter.
            if str(Path(self.processes[0].command[0]).parent) in command_line(int(pid)):
                self._end_group(int(pid))
        file.unlink()

    def _rotate(self, log: Path) -> None:
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
