"""What gunicorn refuses by itself: the one error shape, nothing of the request in answer or log, counted and logged."""

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import pytest
from gunicorn.workers.gthread import ThreadWorker

from kaireon.local.folder import free_port
from tests.live import PROJECT
from tests.ops.stage import Site, lines

MARK = "carla-4711"
GOOD = f"GET /api/v1/auth/me?{MARK} HTTP/1.1\r\nHost: localhost\r\n"
POST = f"POST /api/v1/auth/login?{MARK} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

REFUSED = {
    "NUL in a header": (f"{GOOD}X-Note: {MARK}\0\r\n\r\n", 400),
    "no name of a header": (f"{GOOD}{MARK} note: x\r\n\r\n", 400),
    "a folded header": (f"{GOOD}X-Note: a\r\n {MARK}\r\n\r\n", 400),
    "a length that is none": (f"{POST}Content-Length: {MARK}\r\n\r\n", 400),
    "a negative length": (f"{POST}Content-Length: -1\r\n\r\n", 400),
    "two lengths": (f"{POST}Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "length and chunks": (f"{POST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a coding we do not know": (f"{POST}Transfer-Encoding: {MARK}\r\n\r\n", 501),
    "a chunk without a size": (f"{POST}Transfer-Encoding: chunked\r\n\r\n{MARK}\r\n\r\n", 400),
    "a line of one word": (f"{MARK}\r\n\r\n", 400),
    "a method that is none": (f"G@T /{MARK} HTTP/1.1\r\n\r\n", 400),
    "a version that is none": (f"GET /{MARK} HTTP/9.9\r\n\r\n", 400),
    "an expectation": (f"{POST}Expect: {MARK}\r\nContent-Length: 2\r\n\r\n", 417),
    "a line that is too long": (f"GET /{MARK}{'x' * 9000} HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
    "a header that is too long": (f"{GOOD}X-Note: {MARK}{'x' * 20_000}\r\n\r\n", 431),
    "too many headers": (GOOD + "".join(f"X-{n}: {MARK}\r\n" for n in range(150)) + "\r\n", 431),
}


def sent(port: int, raw: str) -> tuple[int, dict[str, str], bytes]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(raw.encode("latin-1"))
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), {k.lower(): v for k, _, v in (line.partition(": ") for line in rest)}, body


def test_every_refusal_has_the_one_shape_and_quotes_nothing(tmp_path: Path, db: str) -> None:
    log = tmp_path / "web.log"
    with Site(log, WEB_CONCURRENCY="2") as site:
        for port in (site.port, site.ops_port):
            for what, (raw, status) in REFUSED.items():
                if port == site.ops_port and "chunk without" in what:
                    continue  # who answers there reads no body
                answered, headers, body = sent(port, raw)
                assert answered == status, (what, body)
                assert headers["content-type"] == "application/json", what
                assert int(headers["content-length"]) == len(body), what
                error = json.loads(body)["error"]
                assert set(error) == {"code", "message", "status", "requestId"}, what
                assert error["status"] == status, what
                assert error["requestId"] == headers["x-request-id"], what
                assert re.fullmatch(r"[a-z_]+", error["code"]), what
                assert MARK.encode() not in body, what
        # And whoever comes next is served.
        assert site.get("/auth/me").status == 401
        seen = site.figures()
    ours = [status for _, status in REFUSED.values()] * 2
    ours.remove(400)
    for status in (400, 414, 417, 431, 501):
        assert seen[f'http_responses_total{{route="unread",status="{status}"}}'] == ours.count(status)
    said = [line for line in lines(log, "request") if line["route"] == "unread"]
    assert sorted(line["status"] for line in said) == sorted(ours)
    assert all(line["requestId"] and line["error_type"] for line in said)
    text = log.read_text()
    assert MARK not in text
    assert "127.0.0.1" not in "".join(json.dumps(line) for line in said)


def test_gunicorn_speaks_json_too(tmp_path: Path, db: str) -> None:
    with Site(tmp_path / "web.log") as site:
        pass
    text = site.log.read_text().splitlines()
    assert [line for line in text if not line.startswith("{")] == []
    assert any(json.loads(line)["event"].startswith("Booting worker") for line in text)


def test_a_server_that_cannot_load_the_product_says_why(tmp_path: Path) -> None:
    environment = {**os.environ, "ENVIRONMENT": "development", "DJANGO_SETTINGS_MODULE": "kaireon.no_settings"}
    environment |= {"PORT": str(free_port()), "OPS_PORT": str(free_port()), "WEB_CONCURRENCY": "1"}
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "kaireon.wsgi"]
    ended = subprocess.run(command, cwd=PROJECT, env=environment, check=False, capture_output=True, timeout=60)
    assert ended.returncode != 0
    said = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith(b"{")]
    assert any("ModuleNotFoundError: No module named 'kaireon.no_settings'" in line["event"] for line in said)


def test_a_gunicorn_that_moved_its_errors_is_refused_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(self: Any, request: Any, error: Exception) -> None: ...

    configuration()
    monkeypatch.setattr(ThreadWorker, "handle_error", moved)
    with pytest.raises(RuntimeError, match="handle_error"):
        configuration()


def configuration() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gunicorn_conf", PROJECT / "deploy" / "gunicorn.conf.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        # Where there is no such folder it names one for all that it starts: here that would be every test to come.
        patch.setenv("PROMETHEUS_MULTIPROC_DIR", folder)
        spec.loader.exec_module(module)
    return module
