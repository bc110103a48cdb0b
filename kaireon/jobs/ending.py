"""A worker that was told to end, ends.

Told so while it is still looking for its broker, Celery's main process may wait for ever for something that has gone.
Once no process of its pool is left there is nothing to finish, and its rows and messages are found by others.
"""

import logging
import os
import threading
import time
from pathlib import Path

logger = logging.getLogger("kaireon.jobs")

# An ordinary end takes a second or two once the pool is gone.
PATIENCE_SECONDS = 15.0
_LOOK_SECONDS = 0.5
_EXIT = 1

_watching = threading.Event()


def watch(*, patience: float = PATIENCE_SECONDS) -> None:
    """End this process when none of its children has lived for so many seconds, and it has not ended by itself.

    One without children works itself: nothing is watched.
    """
    if not _watching.is_set() and _has_children():
        _watching.set()
        threading.Thread(target=_end_when_alone, args=(patience,), name="ending", daemon=True).start()


def _end_when_alone(patience: float) -> None:
    last = time.monotonic()
    while time.monotonic() - last < patience:
        time.sleep(min(_LOOK_SECONDS, patience))
        if _has_children():
            last = time.monotonic()
    logger.error("worker_did_not_end")
    os._exit(_EXIT)


def _has_children() -> bool:
    """Whether a child is alive; True where the system does not tell, so that nothing is ended by mistake."""
    own = str(os.getpid())
    try:
        return any(_parent_of_living(entry) == own for entry in Path("/proc").iterdir() if entry.name.isdigit())
    except FileNotFoundError:
        return True


def _parent_of_living(process: Path) -> str:
    """Empty for a process that is gone or only waits to be noticed."""
    try:
        # The name in parentheses may hold anything; state and parent stand behind it.
        state, parent = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else parent
