"""The process group: restarts what ends, leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kaireon.local import processes
from kaireon.local.folder import PROJECT, LocalFolder
from kaireon.local.processes import Process, ProcessGroup, ProcessKeepsFailing
from kaireon.local.server import command_line

# A parent with a child, like a worker with its pool.
FAMILY = "import subprocess, sys; subprocess.Popen(['sleep', '317']); subprocess.run(['sleep', '317'])"


def eventually(happens: Callable[[], bool], *, within: float = 8.0) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if happens():
            return True
        time.sleep(0.05)
    return False


def living_in_session(sid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, NotADirectoryError):
            continue
        if fields and fields[0] != "Z" and int(fields[3]) == sid:
            found.append(int(entry.name))
    return found


@pytest.fixture
def group(tmp_path: Path) -> Iterator[ProcessGroup]:
    made = ProcessGroup(
        local=LocalFolder(tmp_path / "local"),
        environment=dict(os.environ),
        processes=[Process(name="family", command=[sys.executable, "-c", FAMILY])],
    )
    yield made
    made.stop()


def leader(group: ProcessGroup) -> int:
    running = group.processes[0].running
    assert running is not None
    return running.pid


def test_it_starts_a_killed_process_again_and_ends_its_orphans(group: ProcessGroup) -> None:
    group.start()
    first = leader(group)
    assert eventually(lambda: len(living_in_session(first)) == 3)
    os.kill(first, signal.SIGKILL)

    def is_back() -> bool:
        group.supervise()
        running = group.processes[0].running
        return running is not None and running.pid != first

    assert eventually(is_back)
    assert eventually(lambda: living_in_session(first) == [], within=2)


def test_it_stops_children_too(group: ProcessGroup) -> None:
    group.start()
    first = leader(group)
    assert eventually(lambda: len(living_in_session(first)) == 3)
    group.stop()
    # A kill is asked for at once and takes its moment.
    assert eventually(lambda: living_in_session(first) == [], within=2)


def test_what_fails_again_and_again_at_the_start_is_said_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_FIRST_DELAY", 0.05)
    group = ProcessGroup(
        local=LocalFolder(tmp_path / "local"),
        environment=dict(os.environ),
        processes=[Process(name="broken", command=[sys.executable, "-c", "raise SystemExit('no configuration')"])],
    )
    group.start()

    def gives_up() -> bool:
        group.supervise(starting=True)
        return False

    with pytest.raises(ProcessKeepsFailing, match="no configuration"):
        eventually(gives_up, within=15)


def test_a_killed_launcher_takes_everything_along(tmp_path: Path) -> None:
    script = (
        "import os, sys, time\nfrom pathlib import Path\n"
        "from kaireon.local.folder import LocalFolder\nfrom kaireon.local.processes import Process, ProcessGroup\n"
        f"g = ProcessGroup(local=LocalFolder(Path({str(tmp_path / 'local')!r})), environment=dict(os.environ),\n"
        "  processes=[Process(name='sleeper', command=['sleep', '317'])])\n"
        "g.start()\nprint(g.processes[0].running.pid, flush=True)\ntime.sleep(317)\n"
    )
    launcher = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    assert launcher.stdout is not None
    pid = int(launcher.stdout.readline())
    assert eventually(lambda: "sleep 317" in command_line(pid))
    launcher.kill()
    launcher.wait()
    launcher.stdout.close()
    assert eventually(lambda: command_line(pid) == "")
