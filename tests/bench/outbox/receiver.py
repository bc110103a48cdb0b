"""A receiver of webhooks on loopback: `python -m tests.bench.outbox.receiver`, told in JSON lines.

`{"port": true}` is answered with its port, `{"got": true}` with how many posts it had since it was last asked, and how
many different ids they carried.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kaireon.outbox.signatures import ID_HEADER
from tests.bench.talker import answer


class Handler(BaseHTTPRequestHandler):
    """Reads the post whole, says 204 and keeps the connection."""

    protocol_version = "HTTP/1.1"
    ids: list[str] = []  # of the one server of this process

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.ids.append(self.headers[ID_HEADER])
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class calls it so
        return None


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def respond(order: dict[str, Any]) -> dict[str, Any]:
        if "port" in order:
            return {"port": server.server_port}
        ids = Handler.ids[:]
        Handler.ids.clear()
        return {"posts": len(ids), "ids": len(set(ids))}

    answer(respond)


if __name__ == "__main__":
    main()
