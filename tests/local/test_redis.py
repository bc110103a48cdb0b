"""The embedded Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from kaireon.local.redis import EmbeddedRedis, ping_error


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    made = EmbeddedRedis(tmp_path / "with space", password="secret", log=tmp_path / "log")
    yield made
    made.stop()


def test_it_keeps_keys_over_a_restart_and_takes_over_a_running_server(server: EmbeddedRedis) -> None:
    server.start()
    with redis.Redis.from_url(server.url()) as client:
        client.set("kept", "1")
    twin = EmbeddedRedis(server.data, password="secret", log=server.log)
    twin.start()
    assert twin.running_pid() == server.running_pid()

    server.stop()
    assert server.running_pid() is None
    server.start()
    with redis.Redis.from_url(server.url()) as client:
        assert client.get("kept") == b"1"


def test_it_asks_for_a_password_that_stands_in_a_private_file_only(server: EmbeddedRedis) -> None:
    server.start()
    assert isinstance(ping_error(f"redis://127.0.0.1:{server.port}"), redis.AuthenticationError)
    pid = server.running_pid()
    assert b"secret" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert (server.data / "server.conf").stat().st_mode & 0o077 == 0
