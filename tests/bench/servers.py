"""The servers a bench measures on: a durable PostgreSQL of the project's own kind and, where it is wanted, a Redis."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from kaireon.local import databases
from kaireon.local.folder import PROJECT
from kaireon.local.postgres import EmbeddedPostgres
from kaireon.local.redis import EmbeddedRedis
from tests.bench.facts import SERVER_SETTINGS


class Servers:
    """Starts them with the settings of `make run`: fsync and synchronous_commit are on."""

    def __init__(self, folder: Path, *, redis: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.postgres = EmbeddedPostgres(
            folder / "postgres", password=secrets.token_urlsafe(12), log=folder / "postgres.log", settings=settings
        )
        self.redis = (
            EmbeddedRedis(folder / "redis", password=secrets.token_urlsafe(12), log=folder / "redis.log")
            if redis
            else None
        )

    def start(self) -> None:
        self.postgres.start()
        if self.redis is not None:
            self.redis.start()

    def stop(self) -> None:
        if self.redis is not None:
            self.redis.stop()
        self.postgres.stop()

    def product(self, *, settings: str, database: str = "ours") -> dict[str, str]:
        """A migrated database of the product; the environment that leads to it, under these settings."""
        databases.create_database(self.postgres.url(), database)
        made = databases.bootstrap(self.postgres.url(database), password=lambda _role: self.postgres.password)
        environment = {
            **os.environ,
            **_INVENTED,
            "OBJECT_ROOT": str(self.folder / "objects"),
            "REDIS_URL": self.redis.url() if self.redis is not None else _NO_REDIS,
            **made.environment(),
            "DJANGO_SETTINGS_MODULE": settings,
        }
        manage(["migrate", "--database", "owner", "--verbosity", "0", "--skip-checks"], environment)
        return environment

    def plain(self, role: str, database: str) -> str:
        """The address of an empty database that belongs to this ordinary role."""
        databases.create_database(self.postgres.url(), database)
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            names = {"role": sql.Identifier(role), "database": sql.Identifier(database)}
            password = sql.Literal(self.postgres.password)
            connection.execute(
                sql.SQL("CREATE ROLE {role} LOGIN PASSWORD {password}").format(**names, password=password)
            )
            connection.execute(sql.SQL("ALTER DATABASE {database} OWNER TO {role}").format(**names))
        return databases.with_login(self.postgres.url(database), role, self.postgres.password)

    def setting(self, name: str) -> str:
        with psycopg.connect(self.postgres.url()) as connection:
            row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
        return str(row[0]) if row else ""

    def facts(self) -> dict[str, str]:
        said = ", ".join(f"{name} {self.setting(name)}" for name in SERVER_SETTINGS)
        return {"PostgreSQL": f"{self.setting('server_version')}; {said}"}


@contextmanager
def servers(*, redis: bool = False, settings: Mapping[str, str] | None = None) -> Iterator[Servers]:
    """Running until the block ends, and gone afterwards. `settings` are PostgreSQL's, beyond those of `make run`."""
    folder = Path(tempfile.mkdtemp(prefix="kaireon-bench-"))
    made = Servers(folder, redis=redis, settings=settings)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def manage(arguments: list[str], environment: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-m", "django", *arguments], cwd=PROJECT, env=environment, check=True)


_NO_REDIS = "redis://127.0.0.1:1/0"

# The product's own secrets, for nobody but this run.
_INVENTED = {
    "KAIREON_ENV_FILE": os.devnull,
    "ENVIRONMENT": "production",
    "DEBUG": "false",
    "SECRET_KEY": "made-up-for-the-bench-" + "0123456789abcdef" * 3,
    "API_KEY_PEPPER": "fedcba9876543210" * 3 + "-made-up-for-the-bench",
    "SEALING_KEYS": "v1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "CRON_SECRET": "made-up-for-the-bench",
}
