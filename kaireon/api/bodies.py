"""Request bodies, taken in before the product sees the request: whole, bounded in size and in time.

WSGI tells nobody how long a chunked body is, and Django takes such a request for an empty one. A client that still
sends while it is refused often never reads the refusal, and one that sends a byte now and then would keep a thread.
"""

import io
import json
import logging
import socket
import threading
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

logger = logging.getLogger("kaireon.http")

_CHUNK = 64 * 1024
# What is read beyond the limit and thrown away, so that the refusal arrives.
_DISCARDED = 32 * 1024 * 1024


class _Deadline:
    """Stops listening to a client when its time is over.

    The server reads until it has all it was asked for, and a timeout of the socket starts anew with every byte.
    """

    def __init__(self, connection: socket.socket | None, seconds: float) -> None:
        self._connection = connection
        self._over = threading.Event()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._timer.cancel()
        if error is not None:
            # Whatever the server makes of a body that ends too soon.
            self.check()

    def check(self) -> None:
        """Raises TimeoutError."""
        if self._over.is_set():
            raise TimeoutError

    def _end(self) -> None:
        self._over.set()
        if self._connection is not None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RD)


class WholeBodies:
    """Gives the application a body in memory and its true CONTENT_LENGTH: one byte over `limit` at most.

    `seconds` is what a client has to send it; then the answer is 408.
    """

    def __init__(self, application: Application, *, limit: int, seconds: float = 30.0) -> None:
        self._application = application
        self._limit = limit
        self._seconds = seconds

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        announced = environ.get("CONTENT_LENGTH") or "0"
        # Only a server that ends a chunked body itself may be read to the end.
        chunked = "HTTP_TRANSFER_ENCODING" in environ and bool(environ.get("wsgi.input_terminated"))
        if chunked or (announced.isdigit() and announced != "0"):
            try:
                self._take_in(environ, None if chunked else int(announced))
            except TimeoutError:
                return _refused(start_response)
        return self._application(environ, start_response)

    def _take_in(self, environ: dict[str, Any], length: int | None) -> None:
        """Raises TimeoutError."""
        kept, seen = io.BytesIO(), 0
        with _Deadline(environ.get("gunicorn.socket"), self._seconds) as deadline:
            while length is None or seen < length:
                data = environ["wsgi.input"].read(_CHUNK if length is None else min(_CHUNK, length - seen))
                deadline.check()
                if not data:
                    break
                seen += len(data)
                kept.write(data[: max(0, self._limit + 1 - kept.tell())])
                if seen > self._limit + _DISCARDED:
                    break
        kept.seek(0)
        environ["wsgi.input"] = kept
        environ["CONTENT_LENGTH"] = str(len(kept.getbuffer()))


def _refused(start_response: Callable[..., Any]) -> list[bytes]:
    request_id = uuid.uuid4().hex
    logger.warning("body_timeout", extra={"requestId": request_id, "status": 408})
    message = "The request body did not arrive in time: send it again."
    error = {"code": "request_timeout", "message": message, "status": 408, "requestId": request_id}
    answer = json.dumps({"error": error}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
    start_response("408 Request Timeout", [*headers, ("X-Request-Id", request_id), ("Connection", "close")])
    return [answer]
