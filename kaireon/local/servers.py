"""The two servers of a local installation: ours from wheels, or the ones the environment names."""

import os
from dataclasses import dataclass
from urllib.parse import quote

from kaireon.local import databases
from kaireon.local.databases import DatabaseUrls
from kaireon.local.folder import LocalFolder, write_private
from kaireon.local.postgres import EmbeddedPostgres
from kaireon.local.progress import step
from kaireon.local.redis import EmbeddedRedis, ping_error

DATABASE = "kaireon"


class RedisNotReady(Exception):
    """REDIS_URL does not answer."""


@dataclass(kw_only=True)
class Servers:
    """What runs now: their addresses, and the embedded ones to stop. An outside server is never stopped."""

    urls: DatabaseUrls
    redis_url: str
    embedded: list[EmbeddedPostgres | EmbeddedRedis]

    def stop(self) -> None:
        for server in self.embedded:
            server.stop()


def embedded_postgres(local: LocalFolder, *, leashed: bool) -> EmbeddedPostgres:
    return EmbeddedPostgres(
        local.path / "postgres",
        password=local.secret("postgres"),
        log=local.log("postgres"),
        port=_configured_port("EMBEDDED_POSTGRES_PORT") or local.port("postgres"),
        leashed=leashed,
    )


def embedded_redis(local: LocalFolder, *, leashed: bool) -> EmbeddedRedis:
    return EmbeddedRedis(
        local.path / "redis",
        password=local.secret("redis"),
        log=local.log("redis"),
        port=_configured_port("EMBEDDED_REDIS_PORT") or local.port("redis"),
        leashed=leashed,
    )


def start(local: LocalFolder, *, leashed: bool) -> Servers:
    """Start what the environment does not name, and make the roles.

    Raises DatabaseNotReady, RedisNotReady or ServerDidNotStart with a message for the terminal.
    """
    servers: list[EmbeddedPostgres | EmbeddedRedis] = []
    try:
        if outside := os.environ.get("DATABASE_URL"):
            with step("PostgreSQL from DATABASE_URL"):
                urls = databases.given(
                    outside,
                    owner_url=os.environ.get("OWNER_DATABASE_URL"),
                    sequencer_url=os.environ.get("SEQUENCER_DATABASE_URL"),
                    password=local.secret,
                )
        else:
            postgres = embedded_postgres(local, leashed=leashed)
            servers.append(postgres)
            with step("PostgreSQL, embedded"):
                postgres.start()
                local.keep_port("postgres", postgres.port)
                databases.create_database(postgres.url(), DATABASE)
                urls = databases.bootstrap(postgres.url(DATABASE), password=local.secret)
        if redis_url := os.environ.get("REDIS_URL"):
            with step("Redis from REDIS_URL"):
                _require(redis_url)
        else:
            embedded = embedded_redis(local, leashed=leashed)
            servers.append(embedded)
            with step("Redis, embedded"):
                embedded.start()
                local.keep_port("redis", embedded.port)
                redis_url = embedded.url()
    except BaseException:
        for server in servers:
            server.stop()
        raise
    return Servers(urls=urls, redis_url=redis_url, embedded=servers)


def stop(local: LocalFolder) -> None:
    """Stop the embedded servers of this folder, whoever started them."""
    embedded_postgres(local, leashed=False).stop()
    embedded_redis(local, leashed=False).stop()


def environment(local: LocalFolder, servers: Servers) -> dict[str, str]:
    """What the product needs to know to run on these servers; the caller's own environment wins over it."""
    wanted = {
        "ENVIRONMENT": "development",
        "SECRET_KEY": local.secret("SECRET_KEY"),
        "API_KEY_PEPPER": local.secret("API_KEY_PEPPER"),
        "SEALING_KEYS": local.sealing_keys(),
        "CRON_SECRET": local.secret("CRON_SECRET"),
        **{
            name: local.secret(name)
            for name in (
                "SCHEDULER_SERVICE_API_KEY",
                "MCP_SERVICE_API_KEY",
                "EVENTS_SERVICE_API_KEY",
                "HUB_SERVICE_API_KEY",
            )
        },
        "OBJECT_ROOT": str(local.path / "objects"),
        "AUDIT_SPOOL_DIR": str(local.path / "spool"),
        # Mail to the demo's invented customers is a file each, to be looked at.
        "EMAIL_URL": f"filemail:///{quote(str(local.mail))}",
        # The demo's first tenant operates the installation: its admins may change schedules.
        "OPERATOR_TENANT": "acme",
        # Whoever tries out what a shorter period does shall not wait a day for it.
        "RETENTION_COOLING_OFF_HOURS": "0",
    }
    wanted = {name: os.environ.get(name) or value for name, value in wanted.items()}
    # These are derived: the environment's DATABASE_URL may be the superuser's.
    return wanted | servers.urls.environment() | {"REDIS_URL": servers.redis_url}


def write_env_file(local: LocalFolder, values: dict[str, str]) -> None:
    """`.local/env`: read by manage.py by itself, or by a shell with `. .local/env`."""
    lines = [f"export {name}='{value}'" for name, value in sorted(values.items())]
    write_private(local.path / "env", "\n".join(lines) + "\n")


def _configured_port(variable: str) -> int | None:
    text = os.environ.get(variable)
    return int(text) if text else None


def _require(redis_url: str) -> None:
    if error := ping_error(redis_url):
        raise RedisNotReady(f"REDIS_URL does not answer: {error}") from error
