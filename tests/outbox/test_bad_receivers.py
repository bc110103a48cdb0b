"""Receivers that stall, break off, lie and send elsewhere: each costs its deadline, harms no other, is classified."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpcore
import pytest

from kaireon.lib import clock
from kaireon.outbox import network, webhooks
from tests.outbox.conftest import (
    SECRET,
    Answer,
    Receiver,
    again,
    deliver,
    deliver_until_settled,
    destination,
    letters,
    make_due,
    publish,
    say,
)


def raw(*parts: bytes, every: float = 0.0, then: str = "close") -> Answer:
    """Bytes as they are, some time apart; then the connection is closed, reset, or kept open and silent."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        ended: threading.Event = handler.server.ended  # type: ignore[attr-defined]
        handler.close_connection = True
        try:
            for part in parts:
                handler.wfile.write(part)
                handler.wfile.flush()
                if ended.wait(every):
                    return
        except OSError:
            return
        if then == "silence":
            ended.wait(20)
        if then == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()

    return answer


OK = b"HTTP/1.1 200 OK\r\n"
BROKEN: dict[str, tuple[Answer, str]] = {
    "half a body": (raw(OK + b"Content-Length: 9\r\n\r\nhalf"), "answer_incomplete"),
    "half a chunk": (raw(OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhalf"), "answer_incomplete"),
    "half a header": (raw(OK + b"Content-Le"), "answer_incomplete"),
    "nothing": (raw(), "answer_incomplete"),
    "no HTTP": (raw(b"220 mail.example.com ESMTP\r\n"), "answer_incomplete"),
    "a reset": (raw(OK, then="reset"), "ReadError"),
    "endless interim answers": (raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 9000, then="silence"), "answer_incomplete"),
    "another protocol": (raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), "answer_incomplete"),
    "endless headers": (raw(OK, *[b"X-More: " + b"x" * 8000 + b"\r\n"] * 30), "answer_incomplete"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_an_answer_that_breaks_off_is_no_delivery_and_may_pass(hook: Receiver, kind: str) -> None:
    answer, error = BROKEN[kind]
    hook.answers = [answer]
    message = publish()
    assert deliver().failed == 1
    assert again(message).error == error
    make_due()
    assert deliver().sent == 1
    assert [got.id for got in hook.got] == [str(message.pk)] * 2
    assert letters() == []


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_ones(hook: Receiver) -> None:
    """Two answers come to the first post. The second post fails, whatever the second answer said."""

    def twice(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n" * 2)

    hook.answers = [twice, say(500)]
    first, second = publish(1), publish(2)
    deliver()
    assert again(first).state == "done"
    assert (again(second).state, again(second).error) == ("pending", "http_500")


def test_a_body_of_little_in_much_is_not_read_to_its_end(hook: Receiver) -> None:
    """Ten bytes, each with ten thousand around it; and then nothing more, as if it were to go on."""
    chunk = b"1;" + b"x" * 10_000 + b"\r\n.\r\n"
    hook.always = raw(OK + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 10, then="silence")
    publish()
    assert deliver().sent == 1


def test_the_deadline_holds_for_who_reads_a_little_at_a_time() -> None:
    """Each piece is taken in time; all of them would take seconds."""
    with socket.create_server(("127.0.0.1", 0)) as server, network_deadline(0.5):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader = threading.Thread(target=read_slowly, args=(server,))
        reader.start()
        stream = network.BoundedStream(
            httpcore.SyncBackend().connect_tcp(
                *server.getsockname(), socket_options=[(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)]
            )
        )
        stream.write(b"x" * 500_000, 10)
        with pytest.raises(httpcore.WriteTimeout):
            stream.read(10, 10)
        stream.close()
        reader.join()


def read_slowly(server: socket.socket) -> None:
    accepted, _ = server.accept()
    with accepted:
        left = 500_000
        while left and (data := accepted.recv(4096)):
            left -= len(data)
            time.sleep(0.02)
        if not left:
            accepted.send(b"answer")


@contextmanager
def network_deadline(seconds: float) -> Iterator[None]:
    ends = network.deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        network.deadline.reset(ends)


SLOW: dict[str, Answer] = {
    "says nothing": raw(then="silence"),
    "a header byte at a time": raw(*[bytes([byte]) for byte in OK * 40], every=0.1),
    "one interim answer after the other": raw(*[b"HTTP/1.1 103 Early Hints\r\n\r\n"] * 300, every=0.1),
    "stops in its body": raw(OK + b"Content-Length: 9\r\n\r\nhalf", then="silence"),
    "a body without end": raw(OK + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 300, every=0.1),
}


@pytest.mark.parametrize("kind", SLOW)
def test_the_deadline_is_of_the_whole_delivery(hook: Receiver, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """No single wait is longer than a tenth of a second; a deadline of each would never come."""
    monkeypatch.setattr(webhooks, "SEND_SECONDS", 0.7)
    hook.always = SLOW[kind]
    message = publish()
    assert deliver(1).failed == 1
    assert again(message).error == "timeout"


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Names that the resolver answers as told; gives the addresses that were contacted."""
    real_lookup, real_connect = socket.getaddrinfo, socket.create_connection

    def put(name: str, *addresses: str) -> list[str]:
        contacted: list[str] = []

        def lookup(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            if host != name or kwargs.get("flags", 0) & socket.AI_NUMERICHOST:
                return real_lookup(host, port, *args, **kwargs)
            kinds = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
            return [
                (kind, socket.SOCK_STREAM, 6, "", (address, port))
                for kind, address in zip(kinds, addresses, strict=True)
            ]

        def connect(address: Any, *args: Any, **kwargs: Any) -> Any:
            if kwargs.get("source_address", 0) is None:
                contacted.append(address[0])
                raise ConnectionRefusedError
            return real_connect(address, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        monkeypatch.setattr(socket, "create_connection", connect)
        return contacted

    return put


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.7"],
        ["169.254.169.254"],
        ["::ffff:169.254.169.254"],
        ["::ffff:7f00:1"],
        ["64:ff9b::a9fe:a9fe"],
        ["2002:a9fe:a9fe::"],
        ["fec0::1"],
        ["168.63.129.16"],
        # One good address does not make up for a bad one: which is used would be left to chance.
        ["93.184.216.34", "127.0.0.1"],
        ["2606:2800:220:1::1", "fd00::1"],
    ],
    ids=" ".join,
)
def test_a_name_of_our_own_network_is_not_contacted(
    acme: str, settings: Any, resolving: Callable[..., list[str]], addresses: list[str]
) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    contacted = resolving("crm.example.com", *addresses)
    destination("crm", "webhook", {"url": "https://crm.example.com/hook"}, SECRET)
    publish(to="crm")
    deliver_until_settled()
    assert contacted == []
    assert [(x.classification, x.error_type) for x in letters()] == [("permanent", "address_refused")]


def test_a_name_of_the_internet_is_contacted_at_the_address_that_was_checked(
    acme: str, settings: Any, resolving: Callable[..., list[str]]
) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    contacted = resolving("crm.example.com", "93.184.216.34", "2606:2800:220:1::1")
    destination("crm", "webhook", {"url": "https://crm.example.com/hook"}, SECRET)
    message = publish(to="crm")
    deliver()
    assert contacted == ["93.184.216.34", "2606:2800:220:1::1"]
    assert again(message).error == "connection_failed"


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.0.1.",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:7f00:0001]",
        "LOCALHOST",
        "localhost.",
    ],
)
def test_no_spelling_of_loopback_reaches_a_server_there(
    acme: str, receiver: Receiver, settings: Any, host: str
) -> None:
    port = receiver.url.split(":")[2].split("/")[0]
    destination("hook", "webhook", {"url": f"http://{host}:{port}/hook"}, SECRET)
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    message = publish()
    deliver()
    assert receiver.got == []
    # Some resolvers do not take a spelling for an address at all.
    assert again(message).error in ("address_refused", "name_not_resolved")


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("where", ["http://169.254.169.254/latest/meta-data/", "//169.254.169.254/", "/elsewhere"])
def test_no_redirect_is_followed(hook: Receiver, status: int, where: str) -> None:
    hook.always = say(status, Location=where)
    publish()
    deliver_until_settled()
    assert [got.path for got in hook.got] == ["/hook"]
    assert [(x.classification, x.error_type) for x in letters()] == [("permanent", "redirect_refused")]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("spelling", ["seconds", "date", "date of 1994"])
def test_it_waits_as_long_as_it_is_asked_in_seconds_or_by_a_date(hook: Receiver, status: int, spelling: str) -> None:
    moment = clock.at("09:00")
    until = moment + timedelta(minutes=20)
    asked = {
        "seconds": "1200",
        "date": format_datetime(until, usegmt=True),
        "date of 1994": f"{until:%a %b %d %H:%M:%S %Y}",
    }[spelling]
    hook.answers = [say(status, Retry_After=asked)]
    with clock.freeze(moment):
        message = publish()
        deliver()
    assert again(message).due_at == until
    with clock.freeze(until - timedelta(seconds=1)):
        assert deliver().sent == 0
    with clock.freeze(until):
        assert deliver().sent == 1


def test_a_date_far_away_is_an_hour_and_one_long_past_is_the_usual_pause(hook: Receiver, settings: Any) -> None:
    settings.RETRY_SECONDS = 20
    hook.answers = [
        say(429, Retry_After="Wed, 21 Oct 2099 07:28:00 GMT"),
        say(429, Retry_After="Wed, 21 Oct 1998 07:28:00 GMT"),
    ]
    with clock.freeze(clock.at("09:00")):
        first = publish(1)
        deliver()
        second = publish(2)
        deliver()
    waits = [(again(m).due_at - clock.at("09:00")).total_seconds() for m in (first, second)]
    assert waits[0] == 3600
    assert 10 <= waits[1] <= 30


def test_three_times_429_is_a_transient_letter(hook: Receiver) -> None:
    hook.always = say(429, Retry_After="1")
    publish()
    deliver_until_settled()
    assert len(hook.got) == 3
    assert [(x.classification, x.error_type) for x in letters()] == [("transient", "http_429")]


def test_a_resolver_that_hangs_costs_the_deadline_too(acme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    real = socket.getaddrinfo

    def lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "slow.example.com":
            released.wait(20)
        return real("127.0.0.1" if host == "slow.example.com" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(webhooks, "SEND_SECONDS", 0.5)
    destination("slow", "webhook", {"url": "https://slow.example.com/"}, SECRET)
    message = publish(to="slow")
    deliver()
    assert not released.is_set()
    released.set()
    assert again(message).error == "name_not_resolved"


def test_the_look_up_says_when_there_is_no_such_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises(network.NameNotResolved):
        network.resolve("nobody.example", 443, allow_private=False, seconds=5)
