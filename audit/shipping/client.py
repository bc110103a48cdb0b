"""Requests to a SIEM: to public addresses unless told otherwise, within a deadline, bounded, never redirected."""

import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Self, TypeVar

import httpcore

from kaireon.lib import clock
from kaireon.outbox.answers import is_of_certificate, wait_of
from kaireon.outbox.network import CONNECT_SECONDS, AddressRefused, NameNotResolved, PublicBackend, deadline

SECONDS = 30.0
# An answer to a batch of 500 has some hundred bytes for each event at most; what was searched for comes in pieces.
MOST_ANSWERED = 8 * 1024 * 1024

_EXTENSIONS = {"timeout": {"connect": CONNECT_SECONDS, "read": SECONDS, "write": SECONDS, "pool": SECONDS}}
_AGENT = ("User-Agent", "Kaireon-Compliance")

Headers = Sequence[tuple[str, str]]
R = TypeVar("R")


_UNWELL = frozenset({"timeout", "connection_failed", "name_not_resolved", "answer_incomplete", "not_sent"})


class Away(Exception):
    """Nothing was answered, or nothing that helps. `code` says why and carries nothing secret or personal.

    `wait` is what the receiver asked for.
    """

    def __init__(self, code: str, *, wait: timedelta | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.wait = wait

    @property
    def is_answer(self) -> bool:
        """Whether the receiver is well and says no: that is nothing for a circuit breaker."""
        return self.code not in _UNWELL and not self.code.startswith("http_5")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is posted: to which URL, with which headers."""

    url: str
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    @property
    def wait(self) -> timedelta | None:
        """Retry-After (RFC 9110 section 10.2.3) or Datadog's X-RateLimit-Reset, at most an hour."""
        said = {name.lower(): value.decode("latin-1").strip() for name, value in self.headers}
        return wait_of(said.get(b"retry-after") or said.get(b"x-ratelimit-reset") or "", clock.now())


class Client:
    """Connections to one destination, for one run of one process."""

    def __init__(self, *, allow_private: bool, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._pool = httpcore.ConnectionPool(
            ssl_context=_trusted(),
            network_backend=PublicBackend(allow_private=allow_private),
            max_connections=2,
            keepalive_expiry=5.0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def post(self, request: Request, *, seconds: float | None = None) -> Answer:
        """The whole answer, whatever its status. Raises Away.

        A connection that was kept open and turns out to be closed is no failure of the receiver's: the post is made
        once more, over a new one. What came twice has one id.
        """
        return self._twice(request, seconds, lambda answer: _whole(answer, _read(answer)))

    def lines(
        self, request: Request, read: Callable[[bytes], R | None], *, seconds: float
    ) -> tuple[Answer, Sequence[R]]:
        """What `read` makes of each line of a 200, but for None; other answers whole. Raises Away.

        However much there is, a line of it is in memory at a time.
        """

        def made(answer: httpcore.Response) -> tuple[Answer, Sequence[R]]:
            if answer.status != 200:
                return _whole(answer, _read(answer)), ()
            found = [one for line in _lines(answer) if (one := read(line)) is not None]
            return _whole(answer, b""), found

        return self._twice(request, seconds, made)

    def _twice(self, request: Request, seconds: float | None, made: Callable[[httpcore.Response], R]) -> R:
        within = seconds or self._seconds
        try:
            return self._post(request, within, made)
        except Away as error:
            if error.code not in _HUNG_UP:
                raise
        return self._post(request, within, made)

    def _post(self, request: Request, seconds: float, made: Callable[[httpcore.Response], R]) -> R:
        with (
            _translated(seconds),
            self._pool.stream(
                "POST", request.url, headers=[*request.headers, _AGENT], content=request.body, extensions=_EXTENSIONS
            ) as answer,
        ):
            return made(answer)


_HUNG_UP = frozenset({"answer_incomplete"})


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    """To read all authorities takes as long as to send some thousand records."""
    return ssl.create_default_context()


@contextmanager
def _translated(seconds: float) -> Iterator[None]:
    ends = deadline.set(time.monotonic() + seconds)
    try:
        yield
    except AddressRefused as error:
        raise Away("address_refused") from error
    except NameNotResolved as error:
        raise Away("name_not_resolved") from error
    except (httpcore.TimeoutException, TimeoutError) as error:
        raise Away("timeout") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError, ValueError) as error:
        raise Away(_code(error)) from error
    finally:
        deadline.reset(ends)


def _code(error: Exception) -> str:
    if is_of_certificate(error):
        return "certificate_refused"
    if isinstance(error, httpcore.ConnectError):
        return "connection_failed"
    return "answer_incomplete" if isinstance(error, httpcore.ProtocolError | httpcore.NetworkError) else "not_sent"


def _whole(answer: httpcore.Response, body: bytes) -> Answer:
    return Answer(status=answer.status, headers=answer.headers, body=body)


def _lines(answer: httpcore.Response) -> Iterator[bytes]:
    """Those that are not empty."""
    rest = b""
    for chunk in answer.iter_stream():
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())
        if len(rest) > MOST_ANSWERED:
            raise Away("answer_too_large")
    if rest.strip():
        yield rest


def _read(answer: httpcore.Response) -> bytes:
    parts, size = [], 0
    for chunk in answer.iter_stream():
        parts.append(chunk)
        size += len(chunk)
        if size > MOST_ANSWERED:
            raise Away("answer_too_large")
    return b"".join(parts)
