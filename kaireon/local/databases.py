"""Which database, as whom: creates the roles where we are allowed to and says under which addresses they log in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from kaireon.local.folder import PROJECT

LOGINS = ("kaireon_owner", "kaireon_app", "kaireon_sequencer", "kaireon_backup")

_ROLES = PROJECT / "deploy" / "postgres" / "roles.sql"
_GRANTS = PROJECT / "deploy" / "postgres" / "grants.sql"


class DatabaseNotReady(Exception):
    """The given database cannot be used as it is; the message says what to set or to run."""


@dataclass(frozen=True, kw_only=True)
class DatabaseUrls:
    """libpq addresses of one database, one per role. `superuser` is None where we were not given one."""

    app: str
    owner: str
    sequencer: str
    backup: str | None
    superuser: str | None

    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.app,
            "OWNER_DATABASE_URL": self.owner,
            "SEQUENCER_DATABASE_URL": self.sequencer,
        }


def with_login(url: str, user: str, password: str) -> str:
    """The same address for another user."""
    parts = urlsplit(url)
    location = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{location}"))


def with_database(url: str, database: str) -> str:
    """The same address for another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def create_database(superuser_url: str, name: str) -> None:
    """Make the database unless it is there."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def bootstrap(superuser_url: str, *, password: Callable[[str], str]) -> DatabaseUrls:
    """Create or repair our roles on that server and their rights in that database.

    `password(role)` gives each role's password; it reaches the server as a SCRAM verifier, so neither the statement
    nor the server's log shows it.
    """
    passwords = {role: password(role) for role in LOGINS}
    with psycopg.connect(superuser_url) as connection:
        _run(connection, _ROLES)
        for role, secret in passwords.items():
            verifier = connection.pgconn.encrypt_password(secret.encode(), role.encode(), b"scram-sha-256").decode()
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier)))
        _run(connection, _GRANTS)
    urls = {role: with_login(superuser_url, role, secret) for role, secret in passwords.items()}
    return DatabaseUrls(
        app=urls["kaireon_app"],
        owner=urls["kaireon_owner"],
        sequencer=urls["kaireon_sequencer"],
        backup=urls["kaireon_backup"],
        superuser=superuser_url,
    )


def grant(superuser_url: str) -> None:
    """Apply grants.sql to that database: rights on a database are not copied from its template."""
    with psycopg.connect(superuser_url) as connection:
        _run(connection, _GRANTS)


def given(
    database_url: str,
    *,
    owner_url: str | None,
    sequencer_url: str | None,
    password: Callable[[str], str],
) -> DatabaseUrls:
    """The addresses for a database that the environment names.

    A superuser's address is enough: the roles are created there. An ordinary one has to come with the owner's and
    the sequencer's. Raises DatabaseNotReady when something is missing or does not connect.
    """
    if _is_superuser("DATABASE_URL", database_url):
        return bootstrap(database_url, password=password)
    if not owner_url or not sequencer_url:
        missing = [
            name
            for name, url in (("OWNER_DATABASE_URL", owner_url), ("SEQUENCER_DATABASE_URL", sequencer_url))
            if not url
        ]
        raise DatabaseNotReady(
            f"DATABASE_URL names an ordinary role, so {' and '.join(missing)} must be set too. Create the roles with "
            "deploy/postgres/roles.sql and grants.sql, or let DATABASE_URL name a superuser once."
        )
    _is_superuser("OWNER_DATABASE_URL", owner_url)
    _is_superuser("SEQUENCER_DATABASE_URL", sequencer_url)
    return DatabaseUrls(app=database_url, owner=owner_url, sequencer=sequencer_url, backup=None, superuser=None)


def _is_superuser(variable: str, url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    except psycopg.Error as e:
        raise DatabaseNotReady(f"{variable} does not connect: {e}") from e
    return bool(row and row[0])


def _run(connection: psycopg.Connection, file: Path) -> None:
    # Bytes, because psycopg takes only literal strings for SQL: this one is a file of ours, without parameters.
    connection.execute(file.read_bytes())
