"""`make run`: everything from an empty folder to a product that answers, and back to nothing on Ctrl-C."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from kaireon.local import servers
from kaireon.local.folder import PROJECT, LocalFolder, free_port, port_is_free, write_private
from kaireon.local.processes import Process, ProcessGroup
from kaireon.local.progress import complain, say, step
from kaireon.local.server import ServerDidNotStart, spawn, tail
from kaireon.local.servers import Servers

QUEUES = ("batch-jobs", "pipeline-jobs", "dsar-jobs", "retrain-jobs", "journey-jobs")

_WORKER = "kaireon@local"
_BIN = Path(sys.executable).parent
_READY_SECONDS = 90.0
_TICK_SECONDS = 0.2
# Servers are looked after less often: the product itself survives their absence.
_SERVER_CHECK_SECONDS = 1.0


class PortNotUsable(Exception):
    """We cannot listen there: somebody does, or it is no port. The message names the variable to set."""


class CommandFailed(Exception):
    """A command of the start did not succeed; the message carries the end of its output."""


class NotReady(Exception):
    """The processes run but do not answer."""


class Stopped(BaseException):
    """Ctrl-C, or a polite signal: leave by the same door from wherever we are."""


def run(local: LocalFolder) -> int:
    """Start all of it, stay until told to stop, and leave nothing running."""
    _listen_for_the_end()
    local.lock()
    running: Servers | None = None
    group: ProcessGroup | None = None
    try:
        port, ops_port = _ports()
        say("Kaireon Compliance")
        running = servers.start(local, leashed=True)
        environment = servers.environment(local, running)
        address = os.environ.get("PUBLIC_URL") or f"http://127.0.0.1:{port}"
        environment |= {"PORT": str(port), "OPS_PORT": str(ops_port), "PUBLIC_URL": address}
        servers.write_env_file(local, environment)
        full = {**os.environ, **environment}
        full["DJANGO_SETTINGS_MODULE"] = "kaireon.settings"
        full["PYTHONUNBUFFERED"] = "1"
        full["PROMETHEUS_MULTIPROC_DIR"] = str(_fresh_metrics(local))
        credentials, every = local.path / "credentials.json", os.environ.get("DEMO_EVERY") or "1"
        with step("Tables"):
            _manage(local, full, "migrate", "--database", "owner", "--no-input", "--skip-checks")
        with step("Demo data"):
            _manage(local, full, "load_demo", "--credentials", str(credentials), "--every", every, "--skip-checks")
        check = _spawned(full, local.log("check"), "check")
        group = ProcessGroup(local=local, environment=full, processes=_processes())
        with step("Web, workers, schedule and sequencer"):
            group.start()
            _wait_until_healthy(group, port, ops_port)
            _wait_for_worker(group, full)
        demo = _demo(local, running, credentials, port=port, ops_port=ops_port)
        write_private(local.path / "demo.json", json.dumps(demo, indent=2) + "\n")
        _announce(local, demo)
        if check.wait() != 0:
            say(f"\nNot all of the configuration holds; what it is about does nothing until then:\n{_faults(local)}")
        _stay(group, running)
    except Stopped:
        say("\nStopping …")
    finally:
        # From here on nothing interrupts: what was started is stopped.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if group is not None:
            group.stop()
        if running is not None:
            running.stop()
        local.unlock()
    say("Stopped; the data stays for the next `make run`.")
    return 0


def _fresh_metrics(local: LocalFolder) -> Path:
    """Where all processes put their counters: counting starts anew with us, as Prometheus expects of a restart."""
    folder = local.path / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def _listen_for_the_end() -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    # `make` itself may be killed; then nobody would tell us.
    if os.environ.get("MAKELEVEL") and sys.platform == "linux":
        parent_death_signal = 1
        ctypes.CDLL(None).prctl(parent_death_signal, int(signal.SIGTERM), 0, 0, 0)


def _ports() -> tuple[int, int]:
    port = _port("PORT", 8000)
    if not port_is_free(port):
        raise PortNotUsable(f"PORT {port} is taken. Free it, or choose another: PORT={port + 1} make run")
    ops_port = _port("OPS_PORT", 9090)
    if ops_port == port:
        raise PortNotUsable(f"PORT and OPS_PORT are both {port}. They must differ.")
    if not port_is_free(ops_port):
        if os.environ.get("OPS_PORT"):
            raise PortNotUsable(f"OPS_PORT {ops_port} is taken. Free it, or choose another.")
        ops_port = free_port()
    return port, ops_port


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise PortNotUsable(f"{variable} must be a number from 1 to 65535, not {text!r}.")
    return int(text)


def _processes() -> list[Process]:
    python, celery = str(_BIN / "python"), [str(_BIN / "python"), "-m", "celery", "-A", "kaireon"]
    return [
        Process(name="web", command=[python, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "kaireon.wsgi"]),
        Process(
            name="worker",
            command=[
                *celery,
                "worker",
                "--hostname",
                _WORKER,
                "--queues",
                ",".join(QUEUES),
                "--concurrency",
                "2",
                "--loglevel",
                "INFO",
            ],
        ),
        Process(name="beat", command=[*celery, "beat", "--loglevel", "INFO", "--pidfile="]),
        Process(name="sequencer", command=[python, "manage.py", "audit_sequencer"]),
    ]


def _manage(local: LocalFolder, environment: Mapping[str, str], *arguments: str) -> None:
    log = local.log("manage")
    process = _spawned(environment, log, *arguments)
    try:
        code = process.wait()
    except Stopped:
        process.terminate()
        process.wait()
        raise
    if code != 0:
        raise CommandFailed(f"manage.py {arguments[0]} failed:\n{tail(log, 25)}")


def _spawned(environment: Mapping[str, str], log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [str(_BIN / "python"), "manage.py", *arguments]
    return spawn(command, log=log, leashed=True, env=environment, cwd=PROJECT)


def _faults(local: LocalFolder) -> str:
    return tail(local.log("check"), 25)


def _wait_until_healthy(group: ProcessGroup, port: int, ops_port: int) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    wanted: Sequence[Callable[[], bool]] = (
        lambda: _answers(f"http://127.0.0.1:{ops_port}/readyz"),
        lambda: _answers(f"http://127.0.0.1:{port}/admin/login/"),
    )
    for is_there in wanted:
        while not is_there():
            group.supervise(starting=True)
            if time.monotonic() > deadline:
                raise NotReady(f"The web server does not answer:\n{tail(group.local.log('web'), 25)}")
            time.sleep(_TICK_SECONDS)


def _wait_for_worker(group: ProcessGroup, environment: Mapping[str, str]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    command = [str(_BIN / "python"), "-m", "celery", "-A", "kaireon", "inspect", "ping"]
    # Naming the worker lets the command return with its answer instead of waiting for others.
    command += ["--destination", _WORKER, "--timeout", "5"]
    while True:
        group.supervise(starting=True)
        answer = subprocess.run(  # noqa: S603 - fixed arguments
            command, env=dict(environment), cwd=PROJECT, capture_output=True, check=False
        )
        if answer.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise NotReady(f"The worker does not answer:\n{tail(group.local.log('worker'), 25)}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own address on loopback
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _demo(local: LocalFolder, running: Servers, credentials: Path, *, port: int, ops_port: int) -> dict[str, Any]:
    """What `.local/demo.json` says, for scripts: addresses, secrets and logins."""
    environment = servers.environment(local, running)
    return {
        "url": f"http://127.0.0.1:{port}",
        "opsUrl": f"http://127.0.0.1:{ops_port}",
        "databaseUrl": running.urls.app,
        "ownerDatabaseUrl": running.urls.owner,
        "superuserDatabaseUrl": running.urls.superuser,
        "redisUrl": running.redis_url,
        "cronSecret": environment["CRON_SECRET"],
        "schedulerServiceKey": environment["SCHEDULER_SERVICE_API_KEY"],
        "tenants": json.loads(credentials.read_text())["tenants"],
    }


def _announce(local: LocalFolder, demo: Mapping[str, Any]) -> None:
    url = demo["url"]
    say()
    say(f"Ready: {url}/admin/    API documentation: {url}/api/v1/docs/    health: {demo['opsUrl']}/readyz")
    say()
    for tenant in demo["tenants"]:
        say(f"  {tenant['name']} ({tenant['id']})   API key {tenant['apiKey']}")
        width = max(len(user["email"]) for user in tenant["users"])
        for user in tenant["users"]:
            say(f"    {user['email']:<{width}}  {user['password']}  {user['role']}")
    say()
    say("Next:")
    say(f"  sign in at {url}/admin/ as one of the above")
    say(f"  curl -H 'Authorization: Bearer {demo['tenants'][0]['apiKey']}' {url}/api/v1/customers?limit=3")
    if not os.environ.get("EMAIL_URL"):
        say(f"  letters and codes to the demo's customers are files in {local.mail}")
    say(f"  the same for scripts: {local.path / 'demo.json'}; logs: {local.logs}")
    say("Ctrl-C stops all of it.")


def _stay(group: ProcessGroup, running: Servers) -> None:
    checked = time.monotonic()
    while True:
        group.supervise()
        if time.monotonic() - checked > _SERVER_CHECK_SECONDS:
            checked = time.monotonic()
            for server in running.embedded:
                if server.running_pid() is None:
                    complain(f"{type(server).__name__} ended; starting it again.")
                    try:
                        server.start()
                    except ServerDidNotStart as e:
                        complain(str(e))
        time.sleep(_TICK_SECONDS)
