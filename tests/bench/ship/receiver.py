"""A SIEM on loopback that takes everything: `python -m tests.bench.ship.receiver`, told in JSON lines.

`{"port": true}` is answered with its port, `{"got": true}` with how many posts, lines and records it had since it was
last asked. It looks into what it was sent only then.
"""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.bench.talker import answer

ANSWERS = {"/api/v2/logs": (202, b"{}"), "/services/collector/event": (200, b'{"text":"Success","code":0}')}


class Handler(BaseHTTPRequestHandler):
    """Reads the post whole, says that all is well and keeps the connection."""

    protocol_version = "HTTP/1.1"
    bodies: list[tuple[bool, bytes]] = []  # of the one server of this process

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append((self.headers.get("Content-Encoding") == "gzip", body))
        status, said = ANSWERS[self.path]
        # In one piece: in two, either side would wait for the other's acknowledgement.
        self.wfile.write(f"HTTP/1.1 {status} OK\r\nContent-Length: {len(said)}\r\n\r\n".encode() + said)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class calls it so
        return None


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        if "port" in order:
            return {"port": server.server_port}
        found = [gzip.decompress(body) if packed else body for packed, body in Handler.bodies]
        Handler.bodies.clear()
        return {
            "posts": len(found),
            "lines": sum(body.count(b"\n") for body in found),
            "records": sum(body.count(b'"kind":"record"') for body in found),
        }

    answer(respond)


if __name__ == "__main__":
    main()
