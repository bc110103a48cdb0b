"""Receivers as the vendors document them, over real HTTP on loopback: their authentication, limits, answers and faults.

Made from the documentation alone, without a line of the product. Each keeps every event it took, in the order in which
they came, and can be told to misbehave: see Faults.
"""

import gzip
import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

TOKEN = "11111111-2222-3333-4444-555555555555"
SEARCH_TOKEN = "search-token-of-the-test"

Json = dict[str, Any]


class ProtocolBroken(AssertionError):
    """The client did what the vendor's documentation forbids."""


@dataclass
class Faults:
    """What goes wrong, each until it is used up or taken back."""

    # Whole answers before any other look at the request: (status, headers, body).
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    # Events the receiver can never take, by event id's part, and what it says of them.
    refuses: Callable[[Json], bool] = lambda event: False
    # Events it takes only at the second try.
    throttles: Callable[[Json], bool] = lambda event: False
    # It answers as if all were well, and keeps nothing of what this says.
    loses: Callable[[Json], bool] = lambda event: False
    # Connections that are dropped: before the body is read, or after it was taken.
    drops_before: int = 0
    drops_after: int = 0
    # Seconds until it answers.
    sleeps: float = 0.0
    # Acknowledgements that never come.
    never_acks: bool = False
    # A proxy in between that takes no gzip: it says so with this status, or nobody reads what is in there.
    refuses_gzip: int = 0
    leaves_gzip: bool = False
    # So many searches find nothing yet of what was taken; so many find a part, and say it as the vendor does.
    unseen: int = 0
    partial: int = 0


class Receiver(ABC):
    """`events` are the event objects in order of arrival, copies too; `stored` what a search would find, by id, and
    `copies` what it would find besides: what came again, and what a test plants."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.events: list[Json] = []
        self.stored: dict[str, Json] = {}
        self.copies: list[Json] = []
        self.requests: list[str] = []
        self.raw: list[bytes] = []
        self.encodings: list[str | None] = []
        self.broken: list[str] = []
        self.throttled: set[str] = set()
        self.lock = threading.RLock()
        self.url = ""

    @abstractmethod
    def handle(self, path: str, query: dict[str, list[str]], headers: Any, body: bytes) -> tuple[int, Json, Any]:
        """What the vendor answers: status, headers, body."""

    def take(self, event: Json) -> None:
        name = event["eventId"]
        self.events.append(event)
        self.keep(name, event)

    def keep(self, name: str, event: Json) -> None:
        """No vendor but Elasticsearch, within an index, knows a second copy for one."""
        if self.faults.loses(event):
            return
        if name in self.stored:
            self.copies.append(event)
        else:
            self.stored[name] = event

    def searched(self) -> tuple[list[Json], bool]:
        """What a search goes through, and whether it fails half way."""
        if self.faults.unseen > 0:
            self.faults.unseen -= 1
            return [], False
        is_partial, self.faults.partial = self.faults.partial > 0, max(0, self.faults.partial - 1)
        return [*self.stored.values(), *self.copies], is_partial

    # -- what tests ask ------------------------------------------------------------------------------------------------

    def records(self, tenant: str | None = None) -> list[Json]:
        """Records in the order in which they first arrived."""
        seen: dict[str, Json] = {}
        for event in self.events:
            if event["kind"] == "record" and tenant in (None, event["tenantId"]):
                seen.setdefault(event["eventId"], event)
        return list(seen.values())

    def seqs(self, tenant: str) -> list[int]:
        return [event["seq"] for event in self.records(tenant)]

    def kept(self, tenant: str) -> list[int]:
        return sorted(e["seq"] for e in self.stored.values() if e["kind"] == "record" and e["tenantId"] == tenant)

    def receipts(self, tenant: str) -> list[Json]:
        return [e for e in self.stored.values() if e["kind"] == "receipt" and e["tenantId"] == tenant]

    def lose(self, seq: int, tenant: str) -> None:
        """Delete a record that was stored."""
        [name] = [n for n, e in self.stored.items() if e.get("seq") == seq and e["tenantId"] == tenant]
        del self.stored[name]


def require(condition: object, what: str) -> None:
    if not condition:
        raise ProtocolBroken(what)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    receiver: ClassVar[Receiver]

    def do_POST(self) -> None:
        faults = self.receiver.faults
        if faults.drops_before > 0:
            faults.drops_before -= 1
            self.close_connection = True
            self.connection.close()
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = urlsplit(self.path)
        with self.receiver.lock:
            self.receiver.requests.append(parts.path)
            self.receiver.raw.append(body)
            self.receiver.encodings.append(self.headers.get("Content-Encoding"))
            if faults.sleeps:
                time.sleep(faults.sleeps)
            if faults.answers:
                status, headers, said = faults.answers.pop(0)
            else:
                status, headers, said = self._handled(parts.path, parse_qs(parts.query), body)
        if faults.drops_after > 0:
            faults.drops_after -= 1
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def _handled(self, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self.headers.get("Content-Encoding") == "gzip":
            if self.receiver.faults.refuses_gzip:
                return self.receiver.faults.refuses_gzip, {}, b""
            if not self.receiver.faults.leaves_gzip:
                body = gzip.decompress(body)
                self.receiver.raw[-1] = body
        try:
            status, headers, said = self.receiver.handle(path, query, self.headers, body)
        except (ProtocolBroken, AssertionError, KeyError, ValueError) as error:
            self.receiver.broken.append(repr(error))
            return 400, {}, b"{}"
        return status, headers, said if isinstance(said, bytes) else json.dumps(said).encode()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class calls it so
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever is dropped, or killed, is no error here."""


R = Any


@contextmanager
def listening(receiver: R) -> Iterator[R]:
    """It listens until the block ends; then nothing that it was sent may have broken the protocol."""
    handler = type("Handler", (_Handler,), {"receiver": receiver})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert receiver.broken == []
