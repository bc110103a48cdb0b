"""Posts to receivers over connections that stay open for a few seconds: HTTP/1.1, parsed by h11.

A pool made for this alone: it takes half of what a general one takes for each post, and believes no answer that came
before its question.
"""

import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import NamedTuple

import h11
import httpcore

# What an answer may take before its head is complete, interim answers and all.
_MOST_HEAD = 100 * 1024
_AT_ONCE = 64 * 1024
_PORTS = {"http": 80, "https": 443}

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds for one wait each."""

    connect: float
    answer: float


class Answer(NamedTuple):
    status: int
    headers: Sequence[tuple[bytes, bytes]]

    def header(self, name: bytes) -> str:
        """The first of this name, written in small letters."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")


class _Place(NamedTuple):
    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class Connections:
    """Those of one process, for any of its threads. No more than `most` stay open unused, each for `keep` seconds."""

    def __init__(
        self, *, ssl_context: ssl.SSLContext, backend: httpcore.NetworkBackend, keep: float = 5.0, most: int = 20
    ) -> None:
        # Nothing else is spoken here.
        ssl_context.set_alpn_protocols(["http/1.1"])
        self._ssl_context = ssl_context
        self._backend = backend
        self._keep = keep
        self._most = most
        self._lock = Lock()
        # In the order in which they came back, so the oldest are in front.
        self._idle: list[tuple[float, _Place, _Connection]] = []

    def post(self, url: str, headers: Headers, body: bytes, *, timeouts: Timeouts, most_read: int) -> Answer:
        """The answer, when it is complete or longer than `most_read`; what is longer is not read to its end.

        A post that finds a connection closed which was open the last time is made once more, over a new one: receivers
        know a second copy by its id. Raises what httpcore raises, and what the backend does.
        """
        place, target = _parsed(url)
        post = _Post(target, [("Host", place.authority), *headers], body, timeouts.answer, most_read)
        if (kept := self._kept(place)) is not None:
            try:
                return self._over(kept, place, post)
            except (httpcore.NetworkError, httpcore.RemoteProtocolError):
                if kept.has_heard:
                    raise
        return self._over(self._opened(place, timeouts), place, post)

    def _over(self, connection: "_Connection", place: _Place, post: "_Post") -> Answer:
        try:
            return connection.post(post)
        except h11.LocalProtocolError as e:
            raise httpcore.LocalProtocolError(str(e)) from e
        except h11.RemoteProtocolError as e:
            raise httpcore.RemoteProtocolError(str(e)) from e
        finally:
            # Also after whatever went wrong: then it cannot be used again.
            if connection.is_ready:
                self._keep_open(place, connection)
            else:
                connection.close()

    def close(self) -> None:
        """Those that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, _, connection in idle:
            connection.close()

    def _kept(self, place: _Place) -> "_Connection | None":
        """The one that was used last, which the receiver still keeps open and has said nothing on."""
        while True:
            with self._lock:
                found = next((kept for kept in reversed(self._idle) if kept[1] == place), None)
                if found is None:
                    return None
                self._idle.remove(found)
            until, _, connection = found
            if time.monotonic() < until and not connection.is_readable:
                return connection
            connection.close()

    def _keep_open(self, place: _Place, connection: "_Connection") -> None:
        now = time.monotonic()
        with self._lock:
            self._idle.append((now + self._keep, place, connection))
            over = []
            while self._idle and (len(self._idle) > self._most or self._idle[0][0] <= now):
                over.append(self._idle.pop(0))
        for _, _, old in over:
            old.close()

    def _opened(self, place: _Place, timeouts: Timeouts) -> "_Connection":
        stream = self._backend.connect_tcp(place.host, place.port, timeout=timeouts.connect)
        if place.scheme == "https":
            stream = stream.start_tls(self._ssl_context, server_hostname=place.host, timeout=timeouts.connect)
        return _Connection(stream)


class _Post(NamedTuple):
    target: str
    headers: Headers
    body: bytes
    # For one wait.
    seconds: float
    most_read: int


class _Connection:
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        # Whether any byte came since the last post left.
        self.has_heard = False
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEAD)

    @property
    def is_readable(self) -> bool:
        """Whether it was closed, or said something that nobody asked for."""
        return bool(self._stream.get_extra_info("is_readable"))

    @property
    def is_ready(self) -> bool:
        """Whether it can take another post."""
        return self._state.our_state is h11.IDLE

    def close(self) -> None:
        self._stream.close()

    def post(self, post: _Post) -> Answer:
        """Raises h11.LocalProtocolError, h11.RemoteProtocolError and what the stream raises."""
        state = self._state
        self.has_heard = False
        request = h11.Request(
            method="POST",
            target=post.target,
            headers=[*post.headers, ("Content-Length", str(len(post.body)))],
        )
        parts = (state.send(request), state.send(h11.Data(data=post.body)), state.send(h11.EndOfMessage()))
        self._stream.write(b"".join(part for part in parts if part), post.seconds)
        answer, read = None, 0
        while True:
            event = state.next_event()
            if event is h11.NEED_DATA:
                if answer is None and read > _MOST_HEAD:
                    raise httpcore.RemoteProtocolError("the receiver says much and answers nothing")
                # Counted as it comes: what is said in between, and around each byte of a body, costs as much to hear.
                if answer is not None and read > post.most_read:
                    break
                data = self._stream.read(_AT_ONCE, post.seconds)
                self.has_heard = self.has_heard or bool(data)
                if not data and state.their_state is h11.SEND_RESPONSE:
                    raise httpcore.RemoteProtocolError("the receiver hung up without an answer")
                read += len(data)
                state.receive_data(data)
            elif isinstance(event, h11.Response):
                # Interim answers are no answer.
                answer = Answer(event.status_code, list(event.headers))
            elif isinstance(event, h11.EndOfMessage) and answer is not None:
                break
            elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                raise httpcore.RemoteProtocolError("the receiver ended the conversation")
        if state.our_state is h11.DONE and state.their_state is h11.DONE and not state.trailing_data[0]:
            # What came behind the answer would be taken for the next one's.
            state.start_next_cycle()
        return answer


@lru_cache(maxsize=1024)
def _parsed(url: str) -> tuple[_Place, str]:
    """Raises httpcore.UnsupportedProtocol."""
    parts = httpcore.URL(url)
    scheme, host = parts.scheme.decode("ascii"), parts.host.decode("ascii")
    if scheme not in _PORTS:
        raise httpcore.UnsupportedProtocol("only http and https are spoken")
    return _Place(scheme, host, parts.port or _PORTS[scheme]), parts.target.decode("ascii")
