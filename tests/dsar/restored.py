"""Dumps and restores of the test's database, and what is published of it before and after."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from audit import services as audit_log
from audit.restoring import gate
from audit.tree import checkpoints, publication
from kaireon.local import databases
from kaireon.local.postgres import binaries
from kaireon.tenancy.context import PLATFORM, in_transaction, scope
from tests.cast import ACME, GLOBEX, SETUP
from tests.servers import SUITE

LOGS = (ACME, GLOBEX, PLATFORM)


def publish() -> None:
    """What a minute does: every log is sequenced, signed and published."""
    assert not in_transaction()
    for tenant in LOGS:
        audit_log.drain(tenant)
        checkpoints.make(tenant)
        with scope(tenant_id=tenant, actor=SETUP):
            publication.publish()


def dump(database: str, folder: Path) -> Path:
    """As an operator does it, with the role that reads everything."""
    path = folder / "kaireon.dump"
    password = json.loads((SUITE.folder / "passwords.json").read_text())["kaireon_backup"]
    url = databases.with_login(SUITE.superuser_url(database), "kaireon_backup", password)
    _run("pg_dump", "--format=custom", f"--file={path}", url)
    return path


def restore(database: str, path: Path) -> None:
    _empty(database)
    url = SUITE.superuser_url(database)
    _run("pg_restore", "--exit-on-error", f"--dbname={url}", str(path))
    databases.grant(url)
    gate.gate.forget()


@contextmanager
def snapshot(database: str) -> Iterator[str]:
    """The files of the database as they are now, to go back to."""
    copy = f"{database}_copy"
    SUITE.leave(database)
    _superuser(sql.SQL("CREATE DATABASE {} TEMPLATE {}"), copy, database)
    try:
        yield copy
    finally:
        _superuser(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)"), copy)


def go_back(database: str, copy: str) -> None:
    SUITE.leave(database)
    _superuser(sql.SQL("DROP DATABASE {} WITH (FORCE)"), database)
    _superuser(sql.SQL("CREATE DATABASE {} TEMPLATE {}"), database, copy)
    databases.grant(SUITE.superuser_url(database))
    gate.gate.forget()


def _empty(database: str) -> None:
    SUITE.leave(database)
    _superuser(sql.SQL("DROP DATABASE {} WITH (FORCE)"), database)
    _superuser(sql.SQL("CREATE DATABASE {} TEMPLATE template0"), database)


def _superuser(statement: sql.SQL, *names: str) -> None:
    with psycopg.connect(SUITE.start_postgres(), autocommit=True) as connection:
        connection.execute(statement.format(*map(sql.Identifier, names)))


def _run(program: str, *arguments: str) -> None:
    # The server's own version; a server that is not ours comes with programs of its own.
    path = binaries() / program
    done = subprocess.run([path, *arguments], capture_output=True, text=True, env={**os.environ}, check=False)
    assert done.returncode == 0, done.stderr
