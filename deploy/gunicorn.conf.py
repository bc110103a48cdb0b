"""gunicorn's settings, for `make run` and for production: both ports, worker recycling, no access log of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_HOST = os.environ.get("HOST", "127.0.0.1")

# Two ports, one process: OpsPortMiddleware tells them apart by the socket the request came in on.
bind = [
    f"{_HOST}:{os.environ.get('PORT', '8000')}",
    f"{os.environ.get('OPS_HOST', _HOST)}:{os.environ.get('OPS_PORT', '9090')}",
]
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = int(os.environ.get("WEB_THREADS", "4"))
timeout = 60
graceful_timeout = 10
keepalive = 5
# Memory that a worker collected over days is given back; jitter keeps them from leaving together.
max_requests = 20_000
max_requests_jitter = 2_000
# Larger requests are refused by the product itself; lines and headers are refused here.
limit_request_line = 8190
limit_request_field_size = 16380
# The product writes one line per request, with route and request id and without personal data.
accesslog = None
errorlog = "-"
# A socket to steer gunicorn from outside is one door more than we need.
control_socket_disable = True

# Where the workers' counters add up. Whoever starts other processes beside this one gives them all the same directory;
# else it is the web workers' own, made here, before anything counts.
_METRICS = "PROMETHEUS_MULTIPROC_DIR"
if os.environ.get(_METRICS):
    Path(os.environ[_METRICS]).mkdir(mode=0o700, parents=True, exist_ok=True)
    _own_metrics = ""
else:
    os.environ[_METRICS] = _own_metrics = tempfile.mkdtemp(prefix="kaireon-metrics-")


def on_starting(server: Any) -> None:
    """In production, do not serve a database whose walls between tenants are down.

    In a process of its own, so that the master holds no connection and none of the product's code when workers fork.
    """
    if os.environ.get("ENVIRONMENT", "production") != "production":
        return
    project = Path(__file__).resolve().parent.parent
    test = subprocess.run(  # noqa: S603  our own interpreter and command
        [sys.executable, str(project / "manage.py"), "tenancy_selftest"], cwd=project, check=False
    )
    if test.returncode:
        server.log.error("tenancy_selftest failed: this server does not start. Run manage.py tenancy_selftest.")
        raise SystemExit(1)


def worker_exit(server: Any, worker: Any) -> None:
    """In the worker, when it has answered its last request: leave its counts with those of all that ended."""
    from kaireon.lib import metric_files

    if folder := metric_files.directory():
        metric_files.fold(folder, worker.pid)


def on_exit(server: Any) -> None:
    """In the master, last of all."""
    if _own_metrics:
        shutil.rmtree(_own_metrics, ignore_errors=True)
