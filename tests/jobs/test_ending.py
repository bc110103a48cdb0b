"""A worker's main process that hangs with nothing left to finish is ended; one whose pool still works is let work."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

HANGS = """
import subprocess, sys, threading
from celery.worker import state
from kaireon.jobs import ending

class Request:
    pass

kind, *rest = sys.argv[1:]
request = Request()
if kind == "busy":
    state.active_requests.add(request)
if kind != "alone":
    subprocess.Popen([sys.executable, "-c", "import pathlib, sys, time; time.sleep(float(sys.argv[2]));"
                      " pathlib.Path(sys.argv[1]).write_text('done')", *rest])
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
    ended = hang("busy", str(done), "2")
    assert ended.returncode == 1
    assert "worker_did_not_end" in ended.stderr
    assert done.read_text() == "done", "their work is finished first"


def test_what_hangs_before_its_children_were_given_anything_is_ended_with_them(tmp_path: Path) -> None:
    """As where the broker goes while a worker that has just started looks for it."""
    done = tmp_path / "done"
    ended = hang("idle", str(done), "50")
    assert ended.returncode == 1
    assert "worker_did_not_end" in ended.stderr
    until = time.monotonic() + 10
    while children_with(str(done)):
        assert time.monotonic() < until
    assert not done.exists()


def children_with(argument: str) -> list[str]:
    found = subprocess.run(["pgrep", "-f", argument], capture_output=True, text=True, check=False)
    return found.stdout.split()


def test_who_works_without_children_is_let_work() -> None:
    ended = hang("alone")
    assert (ended.returncode, ended.stdout) == (0, "by itself\n")
