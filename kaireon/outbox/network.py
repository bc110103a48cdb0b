"""Connections to the outside world only, within a deadline.

A name is resolved once, every address it has is checked, and the connection goes to a checked address: no second
look-up can answer otherwise. The URL keeps its name, so TLS verifies it and Host carries it.
"""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from typing import Any

import httpcore

CONNECT_SECONDS = 5.0

# Of a request that leaves in one piece.
_TOGETHER_BYTES = 64 * 1024

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Counted as global, and yet of somebody's own network: IPv6 site-local, documentation, the anycast of 6to4 relays, and
# the address under which a cloud's virtual machines find its agent.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(text) for text in ("fec0::/10", "3fff::/20", "192.88.99.0/24", "168.63.129.16/32")
)

# The moment (monotonic) at which the request under way in this thread must have ended.
deadline: ContextVar[float | None] = ContextVar("outbox_deadline", default=None)


class AddressRefused(Exception):
    """The host is, or resolves to, an address that is not of the public internet."""


class NameNotResolved(OSError):
    """The host's name has no address now."""


def is_public(text: str) -> bool:
    """Whether an IP address is one of the public internet, also behind the disguises that IPv6 offers."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and (inner := _inner(address)) is not None:
        address = inner
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def literal(host: str) -> str | None:
    """The IP address that a host is written as, in whatever way the system's resolver understands; None for a name."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return str(found[0][4][0])


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address.teredo:
        return address.teredo[1]
    # ::a.b.c.d, long deprecated and still understood.
    return ipaddress.IPv4Address(int(address)) if int(address) < 2**32 else None


def resolve(host: str, port: int, *, allow_private: bool, seconds: float | None = None) -> list[str]:
    """The addresses to try. Raises AddressRefused when any of them is not public, NameNotResolved when there are none,
    or none within so many seconds.

    What the system's resolver understands as an address (decimal, octal, hexadecimal) is judged by what it means.
    """
    found = _looked_up(host, port, seconds)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not allow_private and not all(is_public(address) for address in addresses):
        raise AddressRefused("the destination is not a public address")
    return addresses


def _looked_up(host: str, port: int, seconds: float | None) -> list[Any]:
    """In a thread of its own: the system's resolver takes no deadline, and asks dead servers for half a minute."""
    answer: SimpleQueue[list[Any] | Exception] = SimpleQueue()

    def look() -> None:
        try:
            answer.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as e:
            answer.put(e)

    threading.Thread(target=look, name="look-up", daemon=True).start()
    try:
        found = answer.get(timeout=seconds)
    except Empty as e:
        raise NameNotResolved("the destination's name was not resolved in time") from e
    if isinstance(found, Exception):
        raise NameNotResolved("the destination's name does not resolve") from found
    return found


class BoundedStream(httpcore.NetworkStream):
    """A stream whose every wait also ends at the deadline, so that a slow drip cannot hold a worker.

    What is written leaves together when an answer is waited for: a request of a few hundred bytes is one packet, not
    one for its head and one for its body. What is large leaves as it is: to put it behind its head would copy it.
    """

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._written: list[bytes] = []
        self._write_timeout: float | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._written:
            self._flush()
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer:
            self._written.append(buffer)
            self._write_timeout = timeout

    def _flush(self) -> None:
        written, self._written = self._written, []
        if sum(map(len, written)) <= _TOGETHER_BYTES:
            written = [b"".join(written)]
        # Not by the stream's `write`: that waits as long again for each piece that a slow reader takes.
        sock: socket.socket = self._stream.get_extra_info("socket")
        try:
            for piece in written:
                left = memoryview(piece)
                while left:
                    sock.settimeout(_left(self._write_timeout, httpcore.WriteTimeout))
                    left = left[sock.send(left) :]
        except TimeoutError as e:
            raise httpcore.WriteTimeout(str(e)) from e
        except OSError:
            # Who takes no more may have answered already: the answer says why, or is missing.
            return

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return BoundedStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class PublicBackend(httpcore.NetworkBackend):
    """Connects to public addresses; to any with `allow_private`."""

    def __init__(self, *, allow_private: bool = False) -> None:
        self._allow_private = allow_private
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception | None = None
        seconds = _left(timeout, httpcore.ConnectTimeout)
        for address in resolve(host, port, allow_private=self._allow_private, seconds=seconds):
            try:
                left = _left(timeout, httpcore.ConnectTimeout)
                stream = self._backend.connect_tcp(address, port, left, local_address, socket_options)
                return BoundedStream(stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as e:
                failure = e
        assert failure is not None  # noqa: S101  resolve gives at least one
        raise failure

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        raise AddressRefused("no sockets")

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def _left(timeout: float | None, expired: type[Exception]) -> float | None:
    end = deadline.get()
    if end is None:
        return timeout
    left = end - time.monotonic()
    if left <= 0:
        raise expired("the deadline has passed")
    return left if timeout is None else min(timeout, left)
