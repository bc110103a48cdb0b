"""`make run` before it starts anything: refusals with a message for whoever typed it."""

import os
import socket
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import environ
import pytest

from kaireon.local import servers
from kaireon.local.databases import DatabaseUrls
from kaireon.local.folder import PROJECT, AlreadyRunning, LocalFolder


def launch(command: str, local: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
    return subprocess.run(
        [sys.executable, "-m", "kaireon.local", command],
        env={**environment, "LOCAL_DIR": str(local), **variables},
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("variable", ["PORT", "OPS_PORT"])
def test_a_taken_port_is_named(tmp_path: Path, variable: str) -> None:
    with socket.socket() as squatter, socket.socket() as free:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        free.bind(("127.0.0.1", 0))
        other = {"PORT": str(free.getsockname()[1])}
        free.close()
        port = squatter.getsockname()[1]
        result = launch("run", tmp_path, **{**other, variable: str(port)})
    assert result.returncode == 1
    assert f"{variable} {port} is taken" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_that_is_no_number_is_named(tmp_path: Path) -> None:
    result = launch("run", tmp_path, PORT="eighty")
    assert result.returncode == 1
    assert "PORT must be a number" in result.stderr


def test_a_database_that_does_not_answer_is_named_and_nothing_is_left_running(tmp_path: Path) -> None:
    result = launch("servers", tmp_path, DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert result.returncode == 1
    assert "DATABASE_URL does not connect" in result.stderr
    assert not (tmp_path / "redis").exists()


def test_a_second_launcher_is_turned_away(tmp_path: Path) -> None:
    LocalFolder(tmp_path).lock()
    result = launch("run", tmp_path)
    assert result.returncode == 1
    assert f"pid {os.getpid()}" in result.stderr
    with pytest.raises(AlreadyRunning):
        LocalFolder(tmp_path).lock()


def test_reset_asks_first(tmp_path: Path) -> None:
    local = tmp_path / "local"
    LocalFolder(local).secret("postgres")
    assert launch("reset", local, YES="").returncode == 1
    assert local.exists()
    assert launch("reset", local, YES="1").returncode == 0
    assert not local.exists()


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    local = LocalFolder(tmp_path)
    assert local.secret("a") == LocalFolder(tmp_path).secret("a") != local.secret("b")
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_mail_goes_to_files_wherever_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMAIL_URL", raising=False)
    local = LocalFolder(tmp_path / "with a space & 100 %")
    roles = dict.fromkeys((field.name for field in fields(DatabaseUrls)), "postgres://x@localhost/x")
    given = servers.environment(
        local, servers.Servers(urls=DatabaseUrls(**roles), redis_url="redis://localhost", embedded=[])
    )
    assert environ.Env.email_url_config(given["EMAIL_URL"])["EMAIL_FILE_PATH"] == str(local.mail)
    monkeypatch.setenv("EMAIL_URL", "smtp://mail.example:25")
    given = servers.environment(
        local, servers.Servers(urls=DatabaseUrls(**roles), redis_url="redis://localhost", embedded=[])
    )
    assert given["EMAIL_URL"] == "smtp://mail.example:25"
