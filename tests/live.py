"""The product in processes of its own on the test's database: the web server, and workers that get killed."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from kaireon.local.folder import free_port

PROJECT = Path(__file__).resolve().parent.parent
PATIENCE = 90.0
# The API has an /admin of its own.
API_ADMIN = ("/admin/retention-configs", "/admin/legal-holds", "/admin/jobs")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Live:
    """One process of the product; its log is a file, its settings are the suite's."""

    def __init__(self, log: Path, *command: str, **environment: str) -> None:
        self.log = log
        self.command = command
        self.environment = {**os.environ, "ENVIRONMENT": "development", **environment}
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("ab") as file:
            # A session of its own: a kill reaches the children of the pool too.
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.command],
                cwd=PROJECT,
                env=self.environment,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        wait_until(self._is_up, or_show=self.log)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """kill -9, the whole session."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _is_up(self) -> bool:
        """Raises as soon as it has ended: nobody waits for what will not come."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-4000:]
        return self.is_ready()

    def is_ready(self) -> bool:
        raise TypeError("say when it is ready")


class Web(Live):
    """gunicorn, as `deploy/gunicorn.conf.py` has it but for the number of processes."""

    def __init__(self, log: Path, **environment: str) -> None:
        self.port = free_port()
        super().__init__(
            log,
            *("gunicorn", "-c", "deploy/gunicorn.conf.py", "kaireon.wsgi"),
            **{"PORT": str(self.port), "OPS_PORT": str(free_port()), "WEB_CONCURRENCY": "1", **environment},
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        try:
            return self.get("/auth/me").status == 401
        except (ConnectionError, http.client.HTTPException):
            return False

    def request(self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Answer:
        """`path` is below /api/v1 unless it starts with /admin."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(
                method,
                path if path.startswith("/admin/") and not path.startswith(API_ADMIN) else f"/api/v1{path}",
                None if body is None else json.dumps(body),
                {"Content-Type": "application/json", **(headers or {})},
            )
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, *, headers: dict[str, str] | None = None) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Answer:
        return self.request("POST", path, body, headers=headers)


class Worker(Live):
    """A Celery worker of these queues."""

    def __init__(self, log: Path, *queues: str, **environment: str) -> None:
        options = ["--concurrency", "1", "--without-mingle", "--without-gossip", "--loglevel", "INFO"]
        super().__init__(log, "celery", "-A", "kaireon", "worker", "-Q", ",".join(queues), *options, **environment)
        self._ready_before = 0

    def __enter__(self) -> Self:
        # The log of a worker that was killed says ready too.
        self._ready_before = self._said_ready()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        """How one ends that is told to is shown in tests/jobs: it takes its seconds, and nothing here depends on it."""
        assert self.process is not None
        if self.process.poll() is None:
            self.kill()

    def is_ready(self) -> bool:
        return self._said_ready() > self._ready_before

    def _said_ready(self) -> int:
        return self.log.read_text(errors="replace").count(" ready.") if self.log.exists() else 0


class Beat(Live):
    """Celery's beat, with the product's scheduler."""

    def __init__(self, log: Path, **environment: str) -> None:
        super().__init__(log, "celery", "-A", "kaireon", "beat", "--pidfile=", "--loglevel", "INFO", **environment)

    def is_ready(self) -> bool:
        return self.log.exists() and "beat: Starting..." in self.log.read_text(errors="replace")


@contextmanager
def together(*processes: Live) -> Iterator[None]:
    """Start them all at once: most of a start is imports."""
    with ThreadPoolExecutor(len(processes)) as pool:
        started = [pool.submit(process.__enter__) for process in processes]
    try:
        for each in started:
            each.result()
        yield
    finally:
        for process in processes:
            if process.process is not None:
                process.__exit__()


def wait_until(condition: Callable[[], object], *, or_show: Path | None = None, patience: float = PATIENCE) -> Any:
    """Ask again and again until the answer is truthy; gives it back. Shows the log when it takes too long."""
    deadline = time.monotonic() + patience
    while True:
        if answer := condition():
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(or_show.read_text(errors="replace")[-4000:] if or_show else "waited in vain")
        time.sleep(0.05)
