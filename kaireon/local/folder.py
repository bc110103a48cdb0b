"""The `.local/` folder: what `make run` keeps between two starts. Nobody but its owner can read it."""

import base64
import fcntl
import json
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]

_SECRET_BYTES = 24


class AlreadyRunning(Exception):
    """Another launcher holds this folder; its pid is the message's argument, 0 when it did not say."""


def local_path() -> Path:
    """`.local/` of the project, or the folder that LOCAL_DIR names."""
    return Path(os.environ.get("LOCAL_DIR") or PROJECT / ".local").resolve()


def write_private(path: Path, content: str) -> None:
    """Replace `path` by a file with mode 0600; readers see the old content or the new, never half of it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    fresh.replace(path)


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without it a port whose last connections are in TIME_WAIT would look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port nobody listens on now. Somebody may take it before we do: start, and look again when that fails."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class LocalFolder:
    """`.local/` with its secrets, its logs and its lock."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or local_path()
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # It may have been there before, made with another umask.
        self.path.chmod(0o700)
        self.logs = self.path / "log"
        self.logs.mkdir(exist_ok=True)
        self.mail = self.path / "mail"
        self._lock: int | None = None

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def secret(self, name: str) -> str:
        """The secret of that name: generated when first asked for, the same ever after."""
        known = self._read("secrets.json")
        if name not in known:
            known[name] = secrets.token_urlsafe(_SECRET_BYTES)
            self._write("secrets.json", known)
        return str(known[name])

    def sealing_keys(self) -> str:
        """SEALING_KEYS with one version: generated when first asked for, the same ever after."""
        known = self._read("secrets.json")
        if not known.get("SEALING_KEYS", "").startswith("v"):
            known["SEALING_KEYS"] = "v1:" + base64.b64encode(secrets.token_bytes(32)).decode()
            self._write("secrets.json", known)
        return str(known["SEALING_KEYS"])

    def port(self, name: str) -> int | None:
        """The port that server had last time."""
        port = self._read("ports.json").get(name)
        return int(port) if port else None

    def keep_port(self, name: str, port: int) -> None:
        self._write("ports.json", self._read("ports.json") | {name: port})

    def lock(self) -> None:
        """Hold the folder until this process ends. Raises AlreadyRunning when somebody else does."""
        descriptor = os.open(self.path / "launcher.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            holder = os.read(descriptor, 20).decode() or "0"
            os.close(descriptor)
            raise AlreadyRunning(int(holder)) from e
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._lock = descriptor

    def unlock(self) -> None:
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def _read(self, name: str) -> dict[str, Any]:
        file = self.path / name
        return json.loads(file.read_text()) if file.exists() else {}

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        write_private(self.path / name, json.dumps(content, indent=2) + "\n")
