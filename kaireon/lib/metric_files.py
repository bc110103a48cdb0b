"""The files through which processes share their counters: the directory PROMETHEUS_MULTIPROC_DIR, a file a process.

Without the variable a process keeps its counters to itself. A file outlives its process, as the count must; a process
that ends in good order folds its own into one kept for all that ended, so that a scrape reads as many files as
processes live and not as many as ever lived.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import mmap_dict

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# In the place where a file's name says the process.
ENDED = "ended"
# What only ever grows can be added up. Gauges are worked out when they are asked for and have no files.
KINDS = ("counter", "histogram")

# The library leaves its file format without types.
_VALUES: Any = mmap_dict.MmapedDict


def directory() -> Path | None:
    """Where this process writes its counters; None when it keeps them to itself."""
    named = os.environ.get(VARIABLE, "")
    return Path(named) if named and Path(named).is_dir() else None


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Let no process fold its files while they are read: its counts would be seen twice, or not at all."""
    with _locked(folder, fcntl.LOCK_SH):
        yield


def fold(folder: Path, pid: int) -> None:
    """Add the files of an ended process to those of the ended, and remove them. It must not count any more."""
    with _locked(folder, fcntl.LOCK_EX):
        for kind in KINDS:
            leaving = folder / f"{kind}_{pid}.db"
            if not leaving.exists():
                continue
            kept = _VALUES(str(folder / f"{kind}_{ENDED}.db"))
            try:
                for key, value, _, _ in _VALUES.read_all_values_from_file(str(leaving)):
                    kept.write_value(key, kept.read_value(key)[0] + value, 0.0)
            finally:
                kept.close()
            leaving.unlink()


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, how)
        yield
