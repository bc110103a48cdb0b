"""One server process that is not ours: started on a leash, found again by its pid, stopped for good."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_LEASH = Path(__file__).with_name("leash.py")


class ServerDidNotStart(Exception):
    """An embedded server ended or stayed silent; the message carries the last lines of its log."""


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    leashed: bool,
    unprivileged: bool = False,
    death_signal: signal.Signals = signal.SIGTERM,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> "subprocess.Popen[bytes]":
    """Start `command` in a session of its own, its output appended to `log`.

    Leashed, it gets `death_signal` when this process dies (Linux). Start it from the main thread: the kernel
    watches the thread, not the process.
    """
    leash = [
        sys.executable,
        "-I",
        "-S",
        str(_LEASH),
        str(os.getpid() if leashed else 0),
        str(int(death_signal)),
        "unprivileged" if unprivileged else "same",
    ]
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - every command is built by this package
            [*leash, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=None if env is None else dict(env),
            cwd=cwd,
        )


def command_line(pid: int) -> str:
    """The command line of a running process, or "" when there is none (a zombie has none either)."""
    proc = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self/cmdline").exists():
        try:
            return proc.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    shown = subprocess.run(  # noqa: S603 - a number is all that varies
        ["ps", "-o", "command=", "-p", str(pid)],  # noqa: S607 - systems without /proc keep it in different places
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout.strip()


def stop_pid(pid: int, *, signals: Sequence[signal.Signals], patience: float, marker: str) -> None:
    """Send the signals one after the other, `patience` seconds apart, until that process is gone.

    `marker` must stand in its command line: a pid from a file may belong to somebody else by now.
    """
    for number in signals:
        if marker not in command_line(pid):
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            _reap(pid)
            if marker not in command_line(pid):
                return
            time.sleep(0.02)


def tail(log: Path, lines: int = 12) -> str:
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _reap(pid: int) -> None:
    """Collect it when it is our child, so that it does not stay behind as a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
