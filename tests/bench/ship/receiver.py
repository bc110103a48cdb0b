"""A SIEM on loopback that takes everything: `python -m tests.bench.ship.receiver`, told in JSON lines.

`{"port": true}` is answered with its port, `{"got": true}` with how many posts, lines and records it had since it was
last asked. It looks into what it was sent only then.
"""

import gzip
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.bench.talker import answer

ANSWERS = {"/api/v2/logs": (202, b"{}"), "/services/collector/event": (200, b'{"text":"Success","code":0}')}
_EVENT = re.compile(rb'^\{"create":(\{"_id":"[^"]+")\}\}$', re.MULTILINE)


class Handler(BaseHTTPRequestHandler):
    """Reads the post whole, says that all is well, of each item to a bulk request, and keeps the connection."""

    protocol_version = "HTTP/1.1"
    bodies: list[tuple[bool, bytes]] = []  # of the one server of this process

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append((self.headers.get("Content-Encoding") == "gzip", body))
        status, said = ANSWERS.get(self.path) or (200, _of_each(_unpacked(*self.bodies[-1])))
        # In one piece: in two, either side would wait for the other's acknowledgement.
        self.wfile.write(f"HTTP/1.1 {status} OK\r\nContent-Length: {len(said)}\r\n\r\n".encode() + said)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class calls it so
        return None


def _unpacked(packed: bool, body: bytes) -> bytes:
    return gzip.decompress(body) if packed else body


def _of_each(body: bytes) -> bytes:
    """What Elasticsearch says of a bulk request: that each item was taken. Rows have no ids: they get some here."""
    items = _EVENT.findall(body) or [b'{"_id":"kaireon.local/tenant-01/%d"' % n for n in range(body.count(b"\n"))]
    return b'{"errors":false,"items":[' + b",".join([b'{"create":%s,"status":201}}' % one for one in items]) + b"]}"


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        if "port" in order:
            return {"port": server.server_port}
        found = [_unpacked(packed, body) for packed, body in Handler.bodies]
        Handler.bodies.clear()
        return {
            "posts": len(found),
            "lines": sum(body.count(b"\n") for body in found),
            "records": sum(body.count(b'"kind":"record"') for body in found),
        }

    answer(respond)


if __name__ == "__main__":
    main()
