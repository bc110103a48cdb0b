"""The servers the suite runs on, and a fresh database for every test that wants one.

PostgreSQL: one throwaway cluster per run, or the superuser's DATABASE_URL (TEST_DATABASE_URL wins). Redis: one per
process, because settings give the database numbers their meaning; or TEST_REDIS_URL, whose databases 0 to 2 are emptied
between tests. Migrations run once, into a template; every test gets a copy (tests/copies.py), so it really commits.

Under pytest-xdist the controller starts the cluster, before the workers, and stops it after them.
"""

import atexit
import fcntl
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import redis
from psycopg import sql

from kaireon.local import databases
from kaireon.local.databases import DatabaseUrls, with_database, with_login
from kaireon.local.folder import LocalFolder
from kaireon.local.postgres import THROWAWAY, EmbeddedPostgres
from kaireon.local.redis import EmbeddedRedis

if TYPE_CHECKING:
    from tests.copies import Copies

_ALIASES = {"default": "kaireon_app", "owner": "kaireon_owner", "sequencer": "kaireon_sequencer"}
_URL_VARIABLES = {
    "default": "DATABASE_URL",
    "owner": "OWNER_DATABASE_URL",
    "sequencer": "SEQUENCER_DATABASE_URL",
}
# Until a test asks for a database, nothing may connect anywhere by accident.
_ROOM = 4 * 1024**3
_NOWHERE = "postgresql://nobody:nothing@127.0.0.1:1/no-database"


class NotASuperuser(Exception):
    """DATABASE_URL names a role that cannot create ours: give the suite a superuser's, or none at all."""


def _roomy_memory() -> str | None:
    """Where files live in memory, when there is room: each test copies a database of a thousand files."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= _ROOM:
        return str(memory)
    return None


class Suite:
    """What one pytest process knows about the run it belongs to."""

    def __init__(self) -> None:
        joined = os.environ.get("KAIREON_TEST_RUN")
        self.is_first = joined is None
        self.folder = Path(joined or tempfile.mkdtemp(prefix="kaireon-test-", dir=_roomy_memory()))
        self.run = self.folder.name.rpartition("-")[2].lower()
        os.environ["KAIREON_TEST_RUN"] = str(self.folder)
        self._outside_url = os.environ.get("TEST_DATABASE_URL") or os.environ.get("KAIREON_TEST_DATABASE_URL") or ""
        if self.is_first and not self._outside_url:
            self._outside_url = os.environ.get("DATABASE_URL", "")
        os.environ["KAIREON_TEST_DATABASE_URL"] = self._outside_url
        self._postgres: EmbeddedPostgres | None = None
        self._redis: EmbeddedRedis | None = None
        self._superuser_url = ""
        self._copies: Copies | None = None
        self.redis_url = os.environ.get("TEST_REDIS_URL", "")

    @property
    def template(self) -> str:
        return f"kaireon_template_{self.run}"

    @property
    def _objects(self) -> Path:
        """Where this process keeps stored objects; they go with the test that made them."""
        return self.folder / f"objects-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"

    @property
    def _spool(self) -> Path:
        """Where this process keeps audit events while the database is away."""
        return self.folder / f"spool-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"

    @cached_property
    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url)

    def prepare_environment(self) -> None:
        """Start Redis and set the variables that settings read when they are imported."""
        # For a run that ends before pytest could say so, as when an import fails.
        atexit.register(self.stop)
        if not self.redis_url:
            name = os.environ.get("PYTEST_XDIST_WORKER", "main")
            self._redis = EmbeddedRedis(
                self.folder / f"redis-{name}",
                password="test",
                log=self.folder / f"redis-{name}.log",
                throwaway=True,
            )
            self._redis.start()
            self.redis_url = self._redis.url()
        # Some hundred processes start in a run: what one of them has compiled the others need not.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.dont_write_bytecode = False
        os.environ.update(
            {
                "DJANGO_SETTINGS_MODULE": "kaireon.settings",
                # No settings of a developer's own installation.
                "KAIREON_ENV_FILE": "/dev/null",
                "ENVIRONMENT": "test",
                "DEBUG": "false",
                "SECRET_KEY": "test-secret-key-of-more-than-fifty-characters-0123456789",
                "API_KEY_PEPPER": "test-pepper-0123456789-0123456789-0123456789",
                "SEALING_KEYS": "v1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                "CRON_SECRET": "test-cron-secret",
                "SCHEDULER_SERVICE_API_KEY": "test-scheduler-key",
                "MCP_SERVICE_API_KEY": "test-mcp-service-key",
                "EVENTS_SERVICE_API_KEY": "test-events-service-key",
                "HUB_SERVICE_API_KEY": "test-hub-service-key",
                # Ada may change what concerns every tenant, Mallory may not.
                "OPERATOR_TENANT": "acme",
                "OBJECT_ROOT": str(self._objects),
                "AUDIT_SPOOL_DIR": str(self._spool),
                "REDIS_URL": self.redis_url,
                **dict.fromkeys(_URL_VARIABLES.values(), _NOWHERE),
            }
        )

    def start_postgres(self) -> str:
        """The superuser's address of the run's server, started by whoever asks first."""
        if not self._superuser_url:
            with self._locked():
                known = self.folder / "superuser-url"
                if not known.exists():
                    known.write_text(self._outside() if self._outside_url else self._embedded())
                self._superuser_url = known.read_text()
        return self._superuser_url

    @contextmanager
    def database(self) -> Iterator[str]:
        """A database as the template is, with every connection of this process pointed at it; yields its name."""
        self._ensure_template()
        copies = self._copies = self._copies or self._new_copies()
        name = copies.take()
        try:
            with self._pointing_at(name):
                try:
                    yield name
                finally:
                    copies.give_back(name)
        finally:
            shutil.rmtree(self._objects, ignore_errors=True)
            shutil.rmtree(self._spool, ignore_errors=True)

    def leave(self, name: str) -> None:
        """This process has no connection with that database any more, for a test that copies or replaces it."""
        from django.db import connections

        connections.close_all()
        if self._copies is not None:
            self._copies.leave(name)

    def _new_copies(self) -> "Copies":
        # Sessions are Django's, whose settings want the environment prepared.
        from tests.copies import Copies
        from tests.sessions import Sessions

        prefix = f"kaireon_test_{self.run}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
        # Copying files is the faster way where nothing is synced; elsewhere it costs two checkpoints.
        strategy = "wal_log" if self._outside_url else "file_copy"
        sessions = Sessions()
        sessions.install()
        return Copies(self._superuser_url, template=self.template, prefix=prefix, strategy=strategy, sessions=sessions)

    def flush_redis(self) -> None:
        if self._redis is not None:
            self._client.flushall()
            return
        for number in range(3):
            with redis.Redis.from_url(self.redis_url, db=number) as client:
                client.flushdb()

    def stop(self) -> None:
        """Stop what this process started; the first process of the run also removes the rest."""
        if self._redis is not None:
            self._redis.stop()
            self._redis = None
        if self._copies is not None:
            # A server of our own goes with all its databases.
            self._copies.close(drop=bool(self._outside_url))
            self._copies = None
        if self.is_first and self._outside_url and self._superuser_url:
            self._drop(self.template)
            self._superuser_url = ""
        if self._postgres is not None:
            self._postgres.stop()
            self._postgres = None
        if self.is_first:
            shutil.rmtree(self.folder, ignore_errors=True)

    def urls(self, database: str) -> dict[str, str]:
        """The address of that database for each Django alias."""
        passwords = json.loads((self.folder / "passwords.json").read_text())
        url = with_database(self._superuser_url, database)
        return {alias: with_login(url, role, passwords[role]) for alias, role in _ALIASES.items()}

    def superuser_url(self, database: str) -> str:
        """For tests that do what no role of ours may: disable triggers, read the catalogues' secrets."""
        return with_database(self.start_postgres(), database)

    def _outside(self) -> str:
        with psycopg.connect(self._outside_url, connect_timeout=5) as connection:
            row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        if not row or not row[0]:
            raise NotASuperuser(
                "DATABASE_URL must name a superuser for the tests, which create roles and databases. "
                "Unset it to use the embedded PostgreSQL."
            )
        return self._outside_url

    def _embedded(self) -> str:
        self._postgres = EmbeddedPostgres(
            self.folder / "postgres",
            password=secrets.token_urlsafe(12),
            log=self.folder / "postgres.log",
            settings=THROWAWAY,
        )
        self._postgres.start()
        return self._postgres.url()

    def _ensure_template(self) -> None:
        self.start_postgres()
        done = self.folder / "template-ready"
        if done.exists():
            return
        with self._locked():
            if not done.exists():
                self._build_template()
                done.touch()

    def _build_template(self) -> None:
        # What a failed migration left: every test shall say why it failed, not that something is there already.
        self._drop(self.template)
        with psycopg.connect(self._superuser_url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(self.template)))
        # On a server that is not ours the roles may serve an installation too: the passwords stay the ones it knows.
        password = LocalFolder().secret if self._outside_url else _generated
        passwords = {role: password(role) for role in databases.LOGINS}
        (self.folder / "passwords.json").write_text(json.dumps(passwords))
        bootstrapped: DatabaseUrls = databases.bootstrap(
            with_database(self._superuser_url, self.template), password=passwords.__getitem__
        )
        if bootstrapped.superuser is None:
            raise NotASuperuser
        with self._pointing_at(self.template):
            from django.core.management import call_command

            call_command("migrate", database="owner", verbosity=0, interactive=False)
            if find_spec("tests.cast") is not None:
                import_module("tests.cast").create()

    @contextmanager
    def _pointing_at(self, name: str) -> Iterator[None]:
        from django.db import connections

        urls = self.urls(name)
        connections.close_all()
        before = {variable: os.environ[variable] for variable in _URL_VARIABLES.values()}
        for alias, url in urls.items():
            # The same dictionary serves every thread, also those that a test starts.
            connections.settings[alias].update(psycopg_settings(url))
            # For the processes that a test starts.
            os.environ[_URL_VARIABLES[alias]] = url
        try:
            yield
        finally:
            connections.close_all()
            for alias in urls:
                connections.settings[alias].update(psycopg_settings(_NOWHERE))
            os.environ.update(before)

    def _drop(self, name: str) -> None:
        with psycopg.connect(self._superuser_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def psycopg_settings(url: str) -> dict[str, str]:
    """Django's connection settings for a libpq address."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    return {
        "NAME": str(parts["dbname"]),
        "USER": str(parts["user"]),
        "PASSWORD": str(parts["password"]),
        "HOST": str(parts["host"]),
        "PORT": str(parts["port"]),
    }


def _generated(_role: str) -> str:
    return secrets.token_urlsafe(12)


SUITE = Suite()
