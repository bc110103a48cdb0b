"""The stage: one durable PostgreSQL server of the project's own kind, a database for each project, the crews on it."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from kaireon.local import databases
from kaireon.local.databases import with_database, with_login
from kaireon.local.folder import PROJECT
from kaireon.local.postgres import EmbeddedPostgres

PEER_ROLE = "bench_peer"
_WAIT_SECONDS = 60.0


class ContestantFailed(Exception):
    """A crew or the sequencer ended in the middle; its own message is on standard error."""


class Stage:
    """Starts the server with the settings of `make run`: fsync and synchronous_commit are on."""

    def __init__(self, folder: Path, *, crew_size: int, tenants: list[str]) -> None:
        self._folder = folder
        self._crew_size = crew_size
        self._tenants = tenants
        self._crews: dict[str, Crew] = {}
        self._sequencer: subprocess.Popen[bytes] | None = None
        self._postgres = EmbeddedPostgres(
            folder / "postgres", password=secrets.token_urlsafe(12), log=folder / "postgres.log"
        )

    def start(self) -> None:
        self._postgres.start()
        with psycopg.connect(self._postgres.url(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(PEER_ROLE), sql.Literal(self._postgres.password)
                )
            )

    def stop(self) -> None:
        if self._sequencer is not None:
            self._signal(signal.SIGKILL)
            self._sequencer.wait(timeout=_WAIT_SECONDS)
        for crew in self._crews.values():
            crew.stop()
        self._postgres.stop()

    def setting(self, name: str) -> str:
        with psycopg.connect(self._postgres.url()) as connection:
            row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
        return str(row[0]) if row else ""

    def crew(self, project: str) -> "Crew":
        """The project's crew, on a migrated database of its own; made at first use."""
        if project not in self._crews:
            environment = os.environ | self._database(project)
            settings = {"DJANGO_SETTINGS_MODULE": f"tests.bench.{project}.settings"}
            database = "owner" if project == "ours" else "default"
            _manage(["migrate", "--database", database, "--verbosity", "0", "--skip-checks"], environment | settings)
            self._crews[project] = Crew(project, self._crew_size, environment)
            self._crews[project].ask({"prepare": self._tenants})
        return self._crews[project]

    def start_sequencer(self) -> None:
        """The product's sequencer process, connected, and held until `sequencing`."""
        environment = self.crew("ours").environment | {"DJANGO_SETTINGS_MODULE": "tests.bench.ours.settings"}
        self._sequencer = subprocess.Popen(
            [sys.executable, "manage.py", "audit_sequencer", "--skip-checks"], cwd=PROJECT, env=environment
        )
        self._wait(self._sequencer, "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'kaireon_sequencer'")
        self._catch_up_and_hold()

    @contextmanager
    def sequencing(self) -> Iterator[None]:
        """Let the sequencer work until the block ends, and the inbox is empty."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._catch_up_and_hold()

    def waiting(self) -> int:
        """Records in the inbox, not yet in the log."""
        return int(self._ask_ours("SELECT count(*) FROM audit_inbox"))

    def catch_up_seconds(self) -> float:
        """How long the running sequencer takes to empty the inbox from now on."""
        start = time.monotonic()
        while self._ask_ours("SELECT EXISTS (SELECT FROM audit_inbox)"):
            if time.monotonic() - start > _WAIT_SECONDS:
                raise ContestantFailed("The sequencer does not empty the inbox.")
            time.sleep(0.005)
        return time.monotonic() - start

    def _catch_up_and_hold(self) -> None:
        # Stopped only while there is nothing to do, so never in the middle of a batch with its locks.
        self.catch_up_seconds()
        self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        if self._sequencer is None or self._sequencer.poll() is not None:
            raise ContestantFailed("The sequencer ended.")
        self._sequencer.send_signal(number)

    def _ask_ours(self, query: str) -> Any:
        with psycopg.connect(self._postgres.url("ours"), autocommit=True) as connection:
            row = connection.execute(query).fetchone()  # type: ignore[arg-type]
        return row[0] if row else None

    def _wait(self, process: "subprocess.Popen[bytes]", query: str) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS
        while not self._ask_ours(query):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ContestantFailed("The sequencer did not start.")
            time.sleep(0.02)

    def _database(self, project: str) -> dict[str, str]:
        """Creates the project's database; the variables that say where it is."""
        databases.create_database(self._postgres.url(), project)
        url = self._postgres.url(project)
        if project == "ours":
            made = databases.bootstrap(url, password=lambda _role: self._postgres.password)
            return _PRODUCT_ENVIRONMENT | made.environment()
        with psycopg.connect(self._postgres.url(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(project), sql.Identifier(PEER_ROLE))
            )
        return {"DATABASE_URL": with_database(with_login(url, PEER_ROLE, self._postgres.password), project)}


# The product's own secrets and neighbours, none of which a write touches.
_PRODUCT_ENVIRONMENT = {
    "KAIREON_ENV_FILE": os.devnull,
    "ENVIRONMENT": "production",
    "DEBUG": "false",
    "SECRET_KEY": "made-up-for-the-bench-" + "0123456789abcdef" * 3,
    "API_KEY_PEPPER": "fedcba9876543210" * 3 + "-made-up-for-the-bench",
    "SEALING_KEYS": "v1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "CRON_SECRET": "made-up-for-the-bench",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}


class Crew:
    """The processes that write for one project. See tests/bench/worker.py."""

    def __init__(self, project: str, size: int, environment: dict[str, str]) -> None:
        self.environment = environment
        self._project = project
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.worker", project, str(size)],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        if self._process.stdin is None or self._process.stdout is None:
            raise ContestantFailed(self._project)
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise ContestantFailed(f"The writers of {self._project} ended.")
        return dict(json.loads(answer))

    def stop(self) -> None:
        # The end of its input ends it in order, and so its writers too.
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=_WAIT_SECONDS)


def _manage(arguments: list[str], environment: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-m", "django", *arguments], cwd=PROJECT, env=environment, check=True)
