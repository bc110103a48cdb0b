"""The embedded PostgreSQL, on clusters of its own."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from kaireon.local.postgres import THROWAWAY, EmbeddedPostgres
from kaireon.local.server import ServerDidNotStart


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(
        # Longer than a socket's path may be.
        tmp_path / ("deep" * 30) / "postgres",
        password="a password with ' and @ and /",
        log=tmp_path / "log",
        settings=THROWAWAY,
    )
    yield server
    server.stop()


def test_it_keeps_data_over_a_restart_and_takes_over_a_running_server(cluster: EmbeddedPostgres) -> None:
    cluster.start()
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    twin = EmbeddedPostgres(cluster.data, password=cluster.password, log=cluster.log)
    twin.start()
    assert twin.port == cluster.port
    assert twin.running_pid() == cluster.running_pid()

    cluster.stop()
    assert cluster.running_pid() is None
    cluster.start()
    with psycopg.connect(cluster.url()) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (1,)


def test_it_asks_for_a_password_and_listens_on_loopback_only(cluster: EmbeddedPostgres) -> None:
    cluster.start()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(cluster.url(password="wrong"))
    with psycopg.connect(cluster.url()) as connection:
        shown = connection.execute(
            "SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories'),"
            " (SELECT bool_and(rolpassword LIKE 'SCRAM-SHA-256$%') FROM pg_authid WHERE rolcanlogin)"
        ).fetchone()
    assert shown == ("127.0.0.1", "", True)
    assert cluster.data.stat().st_mode & 0o077 == 0


def test_it_starts_again_after_a_kill(cluster: EmbeddedPostgres) -> None:
    cluster.start()
    pid = cluster.running_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while cluster.running_pid() is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    cluster.start()
    assert cluster.running_pid() not in {None, pid}


def test_a_pid_that_is_somebody_elses_by_now_does_not_keep_it_from_starting(cluster: EmbeddedPostgres) -> None:
    cluster.start()
    cluster.stop()
    (cluster.data / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster.data}\n0\n{cluster.port}\n\n127.0.0.1\n")
    cluster.start()
    assert cluster.running_pid() != os.getpid()


def test_it_moves_when_its_port_is_taken(cluster: EmbeddedPostgres) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        cluster.port = squatter.getsockname()[1]
        cluster.start()
        assert cluster.port != squatter.getsockname()[1]


def test_an_interrupted_initdb_is_not_mistaken_for_data(cluster: EmbeddedPostgres) -> None:
    leftover = cluster.data.with_name("postgres.new")
    leftover.mkdir(parents=True)
    (leftover / "PG_VERSION").write_text("18")
    cluster.start()
    assert not leftover.exists()


def test_a_forgotten_password_is_said_plainly(cluster: EmbeddedPostgres) -> None:
    cluster.start()
    cluster.stop()
    stranger = EmbeddedPostgres(cluster.data, password="another", log=cluster.log)
    try:
        with pytest.raises(ServerDidNotStart, match=r"make reset"):
            stranger.start()
    finally:
        stranger.stop()
