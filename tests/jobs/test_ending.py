"""A worker's main process that hangs after its pool is gone is ended; one whose pool still works is let work."""

import subprocess
import sys
import textwrap
from pathlib import Path

HANGS = """
import subprocess, sys, threading
from kaireon.jobs import ending

if len(sys.argv) > 1:
    subprocess.Popen([sys.executable, "-c", "import pathlib, sys, time; time.sleep(2);"
                      " pathlib.Path(sys.argv[1]).write_text('done')", sys.argv[1]])
ending.watch(patience=0.6)
ending.watch(patience=0.6)
lock = threading.Lock()
lock.acquire()
lock.acquire(timeout=6)
print("by itself")
"""


def hang(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(HANGS), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_hangs_once_its_children_are_gone_is_ended(tmp_path: Path) -> None:
    done = tmp_path / "done"
    ended = hang(str(done))
    assert ended.returncode == 1
    assert "worker_did_not_end" in ended.stderr
    assert done.read_text() == "done", "their work is finished first"


def test_who_works_without_children_is_let_work() -> None:
    ended = hang()
    assert (ended.returncode, ended.stdout) == (0, "by itself\n")
