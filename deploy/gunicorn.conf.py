"""gunicorn's settings, for `make run` and for production: both ports, worker recycling, no access log of its own.

And what gunicorn says by itself, to clients and to the log, in the product's shapes and without quoting a request.
"""

import inspect
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import traceback
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

_HOST = os.environ.get("HOST", "127.0.0.1")

# Two ports, one process: OpsPortMiddleware tells them apart by the socket the request came in on.
bind = [
    f"{_HOST}:{os.environ.get('PORT', '8000')}",
    f"{os.environ.get('OPS_HOST', _HOST)}:{os.environ.get('OPS_PORT', '9090')}",
]
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
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


def post_worker_init(worker: Any) -> None:
    """In each worker, once the product is loaded: what it spooled while the database was away goes to the log."""
    from audit import events

    events.keep_replaying()


def worker_exit(server: Any, worker: Any) -> None:
    """In the worker, when it has answered its last request: leave its counts with those of all that ended."""
    from kaireon.lib import metric_files

    if folder := metric_files.directory():
        metric_files.fold(folder, worker.pid)


def on_exit(server: Any) -> None:
    """In the master, last of all."""
    if _own_metrics:
        shutil.rmtree(_own_metrics, ignore_errors=True)


# What gunicorn refuses before the product sees it: status, reason, code, what to do. The first that fits counts.
_INTERNAL = (500, "Internal Server Error", "internal_error", "Something went wrong on our side; it has been noted.")
_REFUSALS: tuple[tuple[type[Exception], tuple[int, str, str, str]], ...] = (
    (errors.InvalidResponseHeader, _INTERNAL),
    (errors.InvalidResponseHeaderName, _INTERNAL),
    (errors.ConfigurationProblem, _INTERNAL),
    (errors.LimitRequestLine, (414, "URI Too Long", "uri_too_long", "The address is too long: send less in it.")),
    (
        errors.LimitRequestHeaders,
        (431, "Request Header Fields Too Large", "headers_too_large", "The headers are too large or too many."),
    ),
    (
        errors.UnsupportedTransferCoding,
        (501, "Not Implemented", "transfer_coding_unknown", "Send the body with a Content-Length, or chunked."),
    ),
    (errors.ExpectationFailed, (417, "Expectation Failed", "expectation_failed", "Expect takes 100-continue only.")),
    (errors.ForbiddenProxyRequest, (403, "Forbidden", "forbidden", "You may not do this.")),
    (errors.ParseException, (400, "Bad Request", "malformed_request", "The request is not well-formed HTTP.")),
)


class RefusalsMoved(RuntimeError):
    """This gunicorn hands errors over in another way. Fit Worker.handle_error below to it, then upgrade."""


if [*inspect.signature(ThreadWorker.handle_error).parameters] != ["self", "req", "client", "addr", "exc"]:
    raise RefusalsMoved(
        "gunicorn's ThreadWorker.handle_error takes other parameters: fit deploy/gunicorn.conf.py to it."
    )


class Worker(ThreadWorker):  # type: ignore[misc]
    """Answers in the product's error shape where gunicorn would send a page that quotes the request."""

    def load_wsgi(self) -> None:
        try:
            super().load_wsgi()
        except Exception as error:
            # Nothing of anybody's was read yet, and whoever starts the product wants to know why it does not.
            # Of an exception our lines tell its kind and the places only.
            self.log.exception("The product could not be loaded: %s: %s", type(error).__name__, error)  # noqa: TRY401
            raise

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        status, reason, code, message = next((row for kind, row in _REFUSALS if isinstance(exc, kind)), _INTERNAL)
        request_id = uuid.uuid4().hex
        self._note(status, request_id, exc)
        error = {"code": code, "message": message, "status": status, "requestId": request_id}
        body = json.dumps({"error": error}).encode()
        head = (
            f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nX-Request-Id: {request_id}\r\n\r\n"
        )
        try:
            client.settimeout(5)
            client.sendall(head.encode() + body)
        except OSError:
            self.log.debug("The client of a refused request had gone.")

    def _note(self, status: int, request_id: str, exc: Exception) -> None:
        # Loaded by now, in this worker; the master stays without the product.
        from kaireon.api import metrics

        metrics.HTTP_RESPONSES.labels(str(status), "unread").inc()
        facts = {"route": "unread", "status": status, "error_type": type(exc).__name__, "requestId": request_id}
        logging.getLogger("kaireon.http").log(
            logging.ERROR if status >= 500 else logging.INFO,
            "request",
            extra=facts,
            exc_info=exc if status == _INTERNAL[0] else None,
        )


class JsonLines(logging.Formatter):
    """gunicorn's own lines as the product's: JSON, of an exception its type and the places, never its text."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0]:
            line["error_type"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])
            line["where"] = [f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno} {f.name}" for f in frames[-12:]]
        return json.dumps(line, ensure_ascii=False)


class JsonLogger(Logger):  # type: ignore[misc]
    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JsonLines())


worker_class = Worker
logger_class = JsonLogger
