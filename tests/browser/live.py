"""The product as processes of its own on the test's database: a web server, and a worker for requests."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
STARTUP_SECONDS = 30


class NotServing(RuntimeError):
    """A process of the test ended or stayed silent; the message is the end of its log."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A web server on a free port; yields its address. Database and Redis come from the environment."""
    port, ops = _free_port(), _free_port()
    command = ["gunicorn", "--config", "deploy/gunicorn.conf.py", "kaireon.wsgi"]
    environment = {"PORT": str(port), "OPS_PORT": str(ops), "OPS_HOST": "127.0.0.1", "WEB_CONCURRENCY": "1"}
    url = f"http://127.0.0.1:{port}"
    with _running(command, folder / "web.log", environment) as process:
        _wait(process, folder / "web.log", lambda: _answers(f"{url}/admin/login/"))
        yield url


@contextmanager
def working(folder: Path, *queues: str) -> Iterator[None]:
    """A Celery worker of these queues."""
    log = folder / "worker.log"
    command = ["celery", "-A", "kaireon", "worker", "-P", "solo", "-c", "1", "-Q", ",".join(queues), "-l", "INFO"]
    with _running([*command, "--without-mingle", "--without-gossip"], log, {}) as process:
        _wait(process, log, lambda: " ready" in log.read_text(errors="replace"))
        yield


@contextmanager
def _running(command: list[str], log: Path, environment: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    with ExitStack() as stack:
        out = stack.enter_context(log.open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=PROJECT, stdout=out, stderr=out, env=os.environ | environment
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: "subprocess.Popen[bytes]", log: Path, ready: object) -> None:
    until = time.monotonic() + STARTUP_SECONDS
    while not ready():  # type: ignore[operator]
        if process.poll() is not None or time.monotonic() > until:
            raise NotServing(log.read_text(errors="replace")[-3000:])
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
