"""The stage: one server, a database for each project, the crews that write to them, the product's sequencer."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from kaireon.local.folder import PROJECT
from tests.bench.servers import Servers, manage
from tests.bench.talker import ContestantFailed, Talker

PEER_ROLE = "bench_peer"
_WAIT_SECONDS = 60.0


class Stage:
    """On servers that run."""

    def __init__(self, servers: Servers, *, crew_size: int, tenants: list[str]) -> None:
        self._servers = servers
        self._crew_size = crew_size
        self._tenants = tenants
        self._crews: dict[str, Talker] = {}
        self._sequencer: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        if self._sequencer is not None:
            self._signal(signal.SIGKILL)
            self._sequencer.wait(timeout=_WAIT_SECONDS)
        for crew in self._crews.values():
            crew.stop()

    def crew(self, project: str) -> Talker:
        """The project's crew (tests/bench/append/worker.py), on a migrated database of its own; made at first use."""
        if project not in self._crews:
            environment = self._environment(project)
            self._crews[project] = Talker(
                "tests.bench.append.worker", project, str(self._crew_size), environment=environment
            )
            self._crews[project].ask({"prepare": self._tenants})
        return self._crews[project]

    def start_sequencer(self) -> None:
        """The product's sequencer process, connected, and held until `sequencing`."""
        self._sequencer = subprocess.Popen(
            [sys.executable, "manage.py", "audit_sequencer"],
            cwd=PROJECT,
            env=dict(self.crew("ours").environment),
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
        with psycopg.connect(self._servers.postgres.url("ours"), autocommit=True) as connection:
            row = connection.execute(query).fetchone()
        return row[0] if row else None

    def _wait(self, process: "subprocess.Popen[bytes]", query: str) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS
        while not self._ask_ours(query):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ContestantFailed("The sequencer did not start.")
            time.sleep(0.02)

    def _environment(self, project: str) -> dict[str, str]:
        settings = f"tests.bench.append.{project}.settings"
        if project == "ours":
            return self._servers.product(settings=settings)
        url = self._servers.plain(PEER_ROLE, project)
        environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": settings}
        manage(["migrate", "--verbosity", "0", "--skip-checks"], environment)
        return environment
