"""Connections to receivers: kept, used again, closed by either side."""

import ssl
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpcore

from kaireon.outbox import connections, network
from tests.outbox.conftest import (
    Answer,
    Receiver,
    deliver,
    half,
    publish,
    say,
)


class Wire(httpcore.NetworkStream):
    """A stream and its socket, which keeps what is sent packet by packet."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return b"answer"

    def get_extra_info(self, info: str) -> Any:
        return self

    def settimeout(self, timeout: float | None) -> None:
        return None

    def send(self, data: memoryview) -> int:
        self.packets.append(bytes(data))
        return len(data)


def test_head_and_body_leave_together_when_an_answer_is_waited_for() -> None:
    wire = Wire()
    stream = network.BoundedStream(wire)
    for _ in range(2):
        for part in (b"head ", b"body", b""):
            stream.write(part)
        assert stream.read(100) == b"answer"
    stream.read(100)
    assert wire.packets == [b"head body", b"head body"]


def test_a_connection_is_used_again_until_the_receiver_closes_it(hook: Receiver) -> None:
    ports = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        ports.append(handler.client_address[1])
        (say(204, Connection="close") if len(ports) == 3 else say(204))(handler)

    hook.always = answer
    for n in range(5):
        publish(n, ordering_key="one after the other")
    assert deliver().sent == 5
    assert ports == [ports[0]] * 3 + [ports[3]] * 2
    assert ports[0] != ports[3]


def closing_on(number: int) -> tuple[Answer, list[int]]:
    """Hears the so manieth post over a connection out, and closes that without a word; and the ports posted from."""
    ports: list[int] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        ports.append(handler.client_address[1])
        if ports.count(ports[-1]) == number:
            handler.close_connection = True
        else:
            say(204)(handler)

    return answer, ports


def test_a_post_that_finds_its_old_connection_closed_is_made_again_at_once(hook: Receiver) -> None:
    hook.always, ports = closing_on(2)
    messages = [publish(n, ordering_key="one after the other") for n in range(3)]
    done = deliver()
    assert (done.sent, done.failed) == (3, 0)
    assert [got.id for got in hook.got] == [str(messages[n].pk) for n in (0, 1, 1, 2, 2)]
    assert len(set(ports)) == 3


def test_a_new_connection_that_is_closed_is_a_failure(hook: Receiver) -> None:
    hook.always, ports = closing_on(1)
    publish()
    done = deliver()
    assert (done.sent, done.failed, len(ports)) == (0, 1, 1)


def test_a_post_over_an_old_connection_that_was_answered_in_part_is_not_made_again(hook: Receiver) -> None:
    hook.answers = [say(204), half]
    publish(1)
    publish(2)
    done = deliver()
    assert (done.sent, done.failed, len(hook.got)) == (1, 1, 2)


def test_a_connection_that_nobody_used_for_a_while_is_closed(receiver: Receiver) -> None:
    pool = connections.Connections(
        ssl_context=ssl.create_default_context(), backend=network.PublicBackend(allow_private=True), keep=0.0, most=1
    )
    ports = set()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        ports.add(handler.client_address[1])
        say(204)(handler)

    receiver.always = answer
    timeouts = connections.Timeouts(connect=5, answer=5)
    for _ in range(3):
        assert pool.post(receiver.url, [], b"{}", timeouts=timeouts, most_read=100).status == 204
    pool.close()
    assert len(ports) == 3
    assert pool._idle == []
