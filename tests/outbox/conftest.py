"""Receivers to deliver to: real ones, on loopback."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.outbox import delivery, destinations, services, streams, topics, webhooks
from kaireon.outbox.delivery import Delivered
from kaireon.outbox.models import DeadLetter, Message
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA
from tests.s3 import s3, s3_url

__all__ = ["s3", "s3_url"]

SECRET = "shared-secret-0123456789"

topics.register(
    "test.event",
    schema={
        "type": "object",
        "properties": {"n": {"type": "integer"}, "who": {"type": "string"}},
        "required": ["n"],
        "additionalProperties": False,
    },
)

Answer = Callable[[BaseHTTPRequestHandler], None]


def say(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hang(handler: BaseHTTPRequestHandler) -> None:
    handler.server.ended.wait(20)  # type: ignore[attr-defined]
    handler.close_connection = True


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte at a time, for ever: no single wait is long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    try:
        while not handler.server.ended.wait(0.1):  # type: ignore[attr-defined]
            handler.wfile.write(b".")
            handler.wfile.flush()
    except OSError:
        handler.close_connection = True


def half(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"half of it")
    handler.close_connection = True


@dataclass
class Got:
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["Kaireon-Id"]

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data


@dataclass
class Receiver:
    url: str
    got: list[Got] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    always: Answer = field(default=say(204))


@contextmanager
def receiver_on(host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            here.got.append(Got(self.path, dict(self.headers), body, time.monotonic()))
            (here.answers.pop(0) if here.answers else here.always)(self)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            return None

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    server.ended = threading.Event()  # type: ignore[attr-defined]
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    here = Receiver(f"http{'s' if tls else ''}://{host}:{server.server_address[1]}/hook")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield here
    finally:
        server.ended.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiver_on() as here:
        yield here


@pytest.fixture
def acme(db: str, settings: Any) -> Iterator[str]:
    """The test runs as Ada in Acme, on an installation that may call its own machine."""
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    webhooks._pool.cache_clear()
    streams.client.cache_clear()
    with ADA.here(request_id="req-1"):
        yield ACME


@pytest.fixture
def hook(acme: str, receiver: Receiver) -> Receiver:
    """The destination `hook` leads to the receiver."""
    destination("hook", "webhook", {"url": receiver.url}, SECRET)
    return receiver


def destination(name: str, kind: str, given: dict[str, Any], secret: str | None = None) -> None:
    with transaction():
        destinations.save(name=name, kind=kind, given=given, secret=secret, now=clock.now())


def publish(n: int = 1, *, to: str = "hook", topic: str = "test.event", **more: Any) -> Message:
    payload = more.pop("payload", {"n": n})
    with transaction():
        return services.publish(topic=topic, destination=to, payload=payload, now=clock.now(), **more)


def deliver(most: int | None = None) -> Delivered:
    return delivery.deliver_due(budget=Budget(60), most=most)


def again(message: Message) -> Message:
    with transaction():
        return Message.objects.get(pk=message.pk)


def make_due() -> None:
    with transaction():
        Message.objects.filter(state="pending").update(due_at=clock.now())


def deliver_until_settled() -> None:
    """Past every pause between tries."""
    for _ in range(services.TRIES):
        make_due()
        deliver()


def letters() -> list[DeadLetter]:
    with transaction():
        return list(DeadLetter.objects.order_by("died_at"))
