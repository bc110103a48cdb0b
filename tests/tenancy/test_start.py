"""In production neither web server nor worker starts on a database whose walls are down."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from kaireon.local.folder import free_port

PROJECT = Path(__file__).resolve().parent.parent.parent
GUNICORN = ["-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "kaireon.wsgi"]
WORKER = ["-m", "celery", "-A", "kaireon", "worker", "--concurrency", "1", "-l", "INFO", "-Q", "dsar-jobs"]
READY = {"gunicorn": "Booting worker", "celery": " ready."}


def output(arguments: list[str], environment: str, log: Path) -> tuple[str, int | None]:
    """Start it, wait until it is ready or has ended; gives what it wrote and how it ended (None: it was ready)."""
    variables = {
        **os.environ,
        "ENVIRONMENT": environment,
        "PORT": str(free_port()),
        "OPS_PORT": str(free_port()),
        "WEB_CONCURRENCY": "1",
    }
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env=variables,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        try:
            while process.poll() is None and READY[arguments[1]] not in log.read_text():
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            return log.read_text(), process.returncode
        finally:
            # Nobody waits for a worker's warm end here; its children go with it.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize("arguments", [GUNICORN, WORKER], ids=["web", "worker"])
def test_it_starts_when_the_walls_stand(arguments: list[str], db: str, tmp_path: Path) -> None:
    written, code = output(arguments, "production", tmp_path / "log")
    assert code is None, written


@pytest.mark.parametrize("arguments", [GUNICORN, WORKER], ids=["web", "worker"])
def test_it_does_not_start_in_production_when_a_wall_is_down(
    arguments: list[str], superuser_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(superuser_url) as connection:
        connection.execute("ALTER TABLE tenancy_membership DISABLE ROW LEVEL SECURITY")

    written, code = output(arguments, "production", tmp_path / "log")
    assert code not in (None, 0), written
    assert "tenancy_membership: row-level security is not enabled" in written


def test_it_does_not_look_in_development(superuser_url: str, tmp_path: Path) -> None:
    with psycopg.connect(superuser_url) as connection:
        connection.execute("ALTER TABLE tenancy_membership DISABLE ROW LEVEL SECURITY")

    written, code = output(GUNICORN, "development", tmp_path / "log")
    assert code is None, written
