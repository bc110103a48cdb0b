"""Bodies reach the product whole, bounded, and with their length."""

import io
import json
import threading
from typing import Any

from kaireon.api.bodies import WholeBodies


class Slow:
    """A client that sends on and on, until its connection is shut."""

    def __init__(self) -> None:
        self.shut = threading.Event()

    def read(self, size: int) -> bytes:
        return b"" if self.shut.wait(0.01) else b"x"

    def shutdown(self, how: int) -> None:
        self.shut.set()


def sent(environ: dict[str, Any], *, limit: int = 10, seconds: float = 5.0) -> tuple[list[str], dict[str, Any], bytes]:
    """Statuses the server was told, the environment the product saw, and what it read or answered."""
    statuses: list[str] = []
    seen: dict[str, Any] = {}

    def product(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        return [environ["wsgi.input"].read()]

    wrapped = WholeBodies(product, limit=limit, seconds=seconds)
    answer = wrapped(environ, lambda status, headers: statuses.append(status))
    return statuses, seen, b"".join(answer)


def test_a_chunked_body_gets_its_length() -> None:
    given = {"wsgi.input": io.BytesIO(b"12345"), "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    _, seen, body = sent(given)
    assert (seen["CONTENT_LENGTH"], body) == ("5", b"12345")


def test_a_chunked_body_is_not_awaited_where_the_server_does_not_end_it() -> None:
    _, seen, _ = sent({"wsgi.input": io.BytesIO(b"12345"), "HTTP_TRANSFER_ENCODING": "chunked"})
    assert "CONTENT_LENGTH" not in seen


def test_a_body_too_long_is_read_to_its_end_and_kept_to_the_limit() -> None:
    client = io.BytesIO(b"x" * 1000)
    _, seen, body = sent({"wsgi.input": client, "CONTENT_LENGTH": "1000"})
    assert (seen["CONTENT_LENGTH"], len(body), client.read()) == ("11", 11, b"")


def test_no_more_is_read_than_was_announced() -> None:
    client = io.BytesIO(b"12345GET /next")
    _, _, body = sent({"wsgi.input": client, "CONTENT_LENGTH": "5"})
    assert (body, client.read()) == (b"12345", b"GET /next")


def test_a_body_that_trickles_in_is_408() -> None:
    slow = Slow()
    statuses, seen, body = sent(
        {"wsgi.input": slow, "CONTENT_LENGTH": "100000000", "gunicorn.socket": slow}, seconds=0.05
    )
    assert statuses == ["408 Request Timeout"]
    assert json.loads(body)["error"]["code"] == "request_timeout"
    assert not seen
