"""Servers and processes of one chaos run, in a folder of its own: how they start, and how each of them dies.

The processes are those of `make run`, started again by the same code. Redis keeps nothing on
disk: when it dies, it is wiped.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from kaireon.local import databases
from kaireon.local.databases import DatabaseUrls
from kaireon.local.folder import PROJECT, LocalFolder, port_is_free
from kaireon.local.postgres import EmbeddedPostgres
from kaireon.local.processes import Process, ProcessGroup
from kaireon.local.redis import EmbeddedRedis
from kaireon.local.run import QUEUES
from kaireon.local.server import ServerDidNotStart

DATABASE = "kaireon"
WORK = "tests.chaos.work"  # what the workers can do besides the product's own jobs
# Seconds after which the work of the dead is taken over. About as short as the product allows, so that a run shows it
# often. What failed is tried again soon, and yet not three times while a server is down.
PAUSES = {"JOB_LEASE_SECONDS": "6", "OUTBOX_LEASE_SECONDS": "20", "RETRY_SECONDS": "2"}

_START_SECONDS = 60.0
_SETTLED_SECONDS = 2.0
_INHERITED = ("DATABASE_URL", "OWNER_DATABASE_URL", "SEQUENCER_DATABASE_URL", "REDIS_URL", "PROMETHEUS_MULTIPROC_DIR")


class Stage:
    """Call `tend` a few times a second from the main thread: it starts again what died."""

    def __init__(self, folder: Path, *, workers: int = 1) -> None:
        self.local = LocalFolder(folder)
        self.postgres = EmbeddedPostgres(
            folder / "postgres",
            password=self.local.secret("postgres"),
            log=self.local.log("postgres"),
            port=_quiet_port(),
            # Only the machine's own death would show the difference. What is committed must still be written at once.
            settings={"fsync": "off", "synchronous_commit": "on"},
        )
        self.redis = EmbeddedRedis(
            folder / "redis",
            password=self.local.secret("redis"),
            log=self.local.log("redis"),
            port=_quiet_port(),
            throwaway=True,
        )
        self.urls: DatabaseUrls
        self.environment: dict[str, str] = {}
        self.own_deaths: list[str] = []
        self._group: ProcessGroup
        self._workers = workers
        self._ready: dict[str, int] = {}
        self._seen_ready: dict[str, float] = {}
        self._down: dict[str, float] = {}

    @property
    def objects(self) -> Path:
        return self.local.path / "objects"

    def start_servers(self) -> None:
        """PostgreSQL with migrated tables, and Redis. Sets this process's environment too, for Django."""
        self.postgres.start()
        databases.create_database(self.postgres.url(), DATABASE)
        self.urls = databases.bootstrap(self.postgres.url(DATABASE), password=self.local.secret)
        self.redis.start()
        self.environment = {
            "DJANGO_SETTINGS_MODULE": "kaireon.settings",
            "KAIREON_ENV_FILE": os.devnull,
            "ENVIRONMENT": "development",
            "SECRET_KEY": self.local.secret("SECRET_KEY"),
            "API_KEY_PEPPER": self.local.secret("API_KEY_PEPPER"),
            "SEALING_KEYS": self.local.sealing_keys(),
            "CRON_SECRET": self.local.secret("CRON_SECRET"),
            "OBJECT_ROOT": str(self.objects),
            "AUDIT_SPOOL_DIR": str(self.local.path / "spool"),
            "LOG_LEVEL": "INFO",
            "ALLOW_PRIVATE_DESTINATIONS": "true",
            "REDIS_URL": self.redis.url(),
            "PYTHONUNBUFFERED": "1",
            **PAUSES,
            **self.urls.environment(),
        }
        for name in _INHERITED:
            os.environ.pop(name, None)
        # This process meets every outage too; what it says of them is not the log that anybody wants to read.
        os.environ.update(self.environment | {"LOG_LEVEL": "ERROR"})
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--database", "owner", "--no-input", "--verbosity", "0"],
            cwd=PROJECT,
            check=True,
        )

    def start_processes(self) -> None:
        python = sys.executable
        celery = [python, "-m", "celery", "-A", "kaireon"]
        worker = [*celery, "worker", "--queues", ",".join(QUEUES), "--include", WORK, "--concurrency", "2"]
        self._group = ProcessGroup(
            local=self.local,
            environment=os.environ | self.environment,
            processes=[
                *(
                    Process(name=f"worker-{n}", command=[*worker, "--hostname", f"worker-{n}@chaos", "-l", "INFO"])
                    for n in range(1, self._workers + 1)
                ),
                Process(name="beat", command=[*celery, "beat", "--pidfile=", "-l", "INFO"]),
                Process(name="sequencer", command=[python, "manage.py", "audit_sequencer"]),
            ],
        )
        self._group.start()
        self._until(lambda: all(self._works(name) for name in self.workers))

    def tend(self) -> None:
        """Start again what was killed and has been down for as long as it should; note what ended by itself."""
        now = time.monotonic()
        for name in [name for name, until in self._down.items() if until <= now]:
            server = self.postgres if name == "postgres" else self.redis
            try:
                server.start()
            except ServerDidNotStart:
                # Backends of the dead PostgreSQL still end; its port and memory are theirs until then.
                self._down[name] = time.monotonic() + 0.2
            else:
                del self._down[name]
        for process in self._group.processes:
            if process.running is not None and process.running.poll() is not None:
                self.own_deaths.append(f"{process.name} ended by itself with {process.running.poll()}")
            # The pauses between restarts grow for what keeps crashing; here it is we who do it.
            process.crashes = 0
        self._group.supervise()

    def is_up(self) -> bool:
        return not self._down and all(process.running is not None for process in self._group.processes)

    def stop(self) -> None:
        if hasattr(self, "_group"):
            for process in self._group.processes:
                self.kill_process(process.name, down=0)
            self._group.stop()
        self.redis.stop()
        self.postgres.stop()

    # --- Deaths. `down` is for how many seconds it stays dead. ---

    def kill_process(self, name: str, *, down: float) -> bool:
        """kill -9, children and all. False when it is dead already, or a worker that has not begun to work."""
        process = next(p for p in self._group.processes if p.name == name)
        if process.running is None or not self._works(name):
            return False
        self._ready[name] = self._said_ready(name)
        self._seen_ready.pop(name, None)
        os.killpg(process.running.pid, signal.SIGKILL)
        process.running.wait()
        process.running = None
        process.restart_at = time.monotonic() + down
        return True

    def kill_child(self, name: str, rng: random.Random) -> bool:
        """kill -9 one process of a worker's pool; the worker itself lives and starts another."""
        process = next(p for p in self._group.processes if p.name == name)
        children = [] if process.running is None else _children(process.running.pid)
        if not children or not self._works(name):
            return False
        # A worker that says it is ready looks once more whether its processes have started, and ends when one has not.
        if time.monotonic() - self._seen_ready.setdefault(name, time.monotonic()) < _SETTLED_SECONDS:
            return False
        os.kill(rng.choice(children), signal.SIGKILL)
        return True

    def kill_redis(self, *, down: float) -> bool:
        """kill -9, and everything it knew is gone."""
        if "redis" in self._down or not (pid := self.redis.running_pid()):
            return False
        os.kill(pid, signal.SIGKILL)
        self._down["redis"] = time.monotonic() + down
        return True

    def kill_postgres(self, number: signal.Signals, *, down: float) -> bool:
        """SIGKILL for the postmaster, which leaves its backends to find out; SIGQUIT for an immediate shutdown."""
        if "postgres" in self._down or not (pid := self.postgres.running_pid()):
            return False
        os.kill(pid, number)
        self._down["postgres"] = time.monotonic() + down
        return True

    def superuser(self) -> "psycopg.Connection":
        """A connection that sees every tenant. Raises psycopg.OperationalError while PostgreSQL is down."""
        return psycopg.connect(self.postgres.url(DATABASE), autocommit=True, connect_timeout=3)

    @property
    def workers(self) -> list[str]:
        return [p.name for p in self._group.processes if p.name.startswith("worker")]

    def log_of(self, name: str) -> str:
        return self.local.log(name).read_text(errors="replace")

    def _works(self, name: str) -> bool:
        """Whether it came as far as to work since it was started. Killed before, a worker would never do anything."""
        return name not in self.workers or self._said_ready(name) > self._ready.get(name, 0)

    def _said_ready(self, name: str) -> int:
        return self.log_of(name).count(" ready.") if self.local.log(name).exists() else 0

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not condition():
            self._group.supervise(starting=True)
            if time.monotonic() > deadline:
                raise AssertionError("The processes do not start; see their logs.")
            time.sleep(0.1)


def _children(pid: int) -> list[int]:
    """The direct children of a process."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def _quiet_port() -> int:
    """A free port that no outgoing connection gets by chance: it stays free while its server is dead."""
    for port in random.SystemRandom().sample(range(15000, 30000), 200):
        if port_is_free(port):
            return port
    raise AssertionError("No free port.")
