"""A PostgreSQL of one's own, to be killed, with a copy of the suite's database in it."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.db import connections

from kaireon.local import databases
from kaireon.local.databases import DatabaseUrls
from kaireon.local.folder import port_is_free
from kaireon.local.postgres import EmbeddedPostgres, binaries
from kaireon.local.server import ServerDidNotStart
from tests.servers import SUITE, psycopg_settings

DATABASE = "kaireon"
PATIENCE = 60.0


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.postgres = EmbeddedPostgres(
            folder / "postgres",
            password="own",
            log=folder / "postgres.log",
            port=_quiet_port(),
            # Only the machine's own death would show the difference. What is committed must be written at once.
            settings={"fsync": "off", "synchronous_commit": "on"},
        )
        self.urls: DatabaseUrls

    def start(self) -> None:
        self.postgres.start()
        databases.create_database(self.postgres.url(), DATABASE)
        self.urls = databases.bootstrap(self.superuser_url, password=lambda role: f"own-{role}")
        with SUITE.database() as source:
            dump = subprocess.run(
                [str(binaries() / "pg_dump"), f"--dbname={SUITE.superuser_url(source)}"],
                stdout=subprocess.PIPE,
                check=True,
            )
        restore = [str(binaries() / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", self.superuser_url]
        subprocess.run(restore, input=dump.stdout, stdout=subprocess.DEVNULL, check=True)
        databases.grant(self.superuser_url)

    @property
    def superuser_url(self) -> str:
        return self.postgres.url(DATABASE)

    def kill(self, number: signal.Signals) -> None:
        """SIGKILL for the postmaster, which leaves its backends to find out; SIGQUIT for an immediate shutdown."""
        pid = self.postgres.running_pid()
        assert pid
        os.kill(pid, number)

    def start_again(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.postgres.start()
            except ServerDidNotStart:
                # Backends of the dead one still end; its port and memory are theirs until then.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    @contextmanager
    def connected(self) -> Iterator[psycopg.Connection]:
        """This process's Django talks to it; gives a connection of the superuser's, for when nobody is killed."""
        before = {alias: dict(connections.settings[alias]) for alias in connections.settings}
        connections.close_all()
        for alias, url in (("default", self.urls.app), ("owner", self.urls.owner), ("sequencer", self.urls.sequencer)):
            connections.settings[alias].update(psycopg_settings(url))
        try:
            with psycopg.connect(self.superuser_url, autocommit=True) as root:
                yield root
        finally:
            connections.close_all()
            for alias, settings in before.items():
                connections.settings[alias].update(settings)


def _quiet_port() -> int:
    """A free port that no outgoing connection gets by chance: it stays free while its server is dead."""
    return next(port for port in random.SystemRandom().sample(range(15000, 30000), 200) if port_is_free(port))
