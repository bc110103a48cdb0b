"""Who gets what leaves the house, on the other side: a webhook that deduplicates, and a reader of streams."""

import hashlib
import threading
import zlib
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import redis

from kaireon.outbox.signatures import ID_HEADER


class Inbox:
    """Every delivery by its id: how often it came, and that it was the same each time."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()
        self.order: list[str] = []  # ids as they first came
        self.changed: set[str] = set()  # ids that came with two bodies
        self.bodies: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def take(self, message_id: str, body: bytes) -> None:
        with self._lock:
            self.times[message_id] += 1
            if message_id not in self.bodies:
                self.order.append(message_id)
                self.bodies[message_id] = body
            elif hashlib.sha256(self.bodies[message_id]).digest() != hashlib.sha256(body).digest():
                self.changed.add(message_id)


class Hook:
    """A receiver that is no angel: some it refuses the first time, to some it forgets to answer after it took them."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        refused: set[str] = set()
        inbox = self.inbox

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    # Its sender died in the middle of it.
                    self.close_connection = True
                    return
                message_id = self.headers[ID_HEADER]
                mood = zlib.crc32(message_id.encode()) % 8
                first = message_id not in inbox.bodies and message_id not in refused
                refused.add(message_id)
                if first and mood == 0:
                    self._say(503)
                    return
                inbox.take(message_id, body)
                if first and mood == 1:
                    self.close_connection = True
                    return
                self._say(204)

            def _say(self, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Reader:
    """Reads the streams of these keys, to their ends before each death: what Redis loses unread, nobody has."""

    def __init__(self, url: str, keys: list[str]) -> None:
        self.inbox = Inbox()
        self._client = redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3)
        self._last: dict[str, bytes] = defaultdict(lambda: b"0")
        self._keys = keys

    def read(self) -> None:
        """Raises redis.RedisError."""
        wanted: Any = {key: self._last[key] for key in self._keys}
        found: Any = self._client.xread(wanted)
        pairs = found.items() if isinstance(found, dict) else found
        for key, entries in pairs:
            for entry_id, fields in entries:
                self._last[key.decode()] = entry_id
                self.inbox.take(fields[b"id"].decode(), fields[b"body"])

    def read_up(self) -> None:
        """Let nobody write any more, and read what there is."""
        try:
            self._client.execute_command("CLIENT", "PAUSE", "3000", "WRITE")
            self.read()
        finally:
            self._client.close()
