"""A worker that was told to end, ends.

Told so while it is still looking for its broker, Celery's main process may wait for ever for something that has gone.
Once no process of its pool is left, or none of them was given anything to do, there is nothing to finish, and its rows
and messages are found by others.
"""

import logging
import os
import signal
import threading
import time
from pathlib import Path

from celery.worker import state

logger = logging.getLogger("kaireon.jobs")

# An ordinary end takes a second or two once the pool has nothing to do.
PATIENCE_SECONDS = 15.0
_LOOK_SECONDS = 0.5
_EXIT = 1

_watching = threading.Event()


def watch(*, patience: float = PATIENCE_SECONDS) -> None:
    """End this process when for so many seconds it had nothing to finish, and it has not ended by itself.

    One without children works itself: nothing is watched.
    """
    if not _watching.is_set() and _children():
        _watching.set()
        threading.Thread(target=_end_when_idle, args=(patience,), name="ending", daemon=True).start()


def _end_when_idle(patience: float) -> None:
    last = time.monotonic()
    while time.monotonic() - last < patience:
        time.sleep(min(_LOOK_SECONDS, patience))
        # Reserved ones are forgotten with the connection; those that a child works on are not.
        if (state.active_requests or state.reserved_requests) and _children():
            last = time.monotonic()
    logger.error("worker_did_not_end")
    for child in _children():
        _tell(child)
    os._exit(_EXIT)


def _children() -> list[int]:
    """Those that are alive."""
    own = str(os.getpid())
    return [int(at.name) for at in Path("/proc").iterdir() if at.name.isdigit() and _parent_of_living(at) == own]


def _tell(child: int) -> None:
    try:
        os.kill(child, signal.SIGTERM)
    except ProcessLookupError:
        # It went between the two looks.
        return


def _parent_of_living(process: Path) -> str:
    """Empty for a process that is gone or only waits to be noticed."""
    try:
        # The name in parentheses may hold anything; state and parent stand behind it.
        state, parent = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else parent
