"""Several deliveries under way at once, within bounds, and in order where order is promised."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from kaireon.outbox import streams
from tests.outbox.conftest import SECRET, Receiver, deliver, destination, publish, receiver_on, say


@pytest.fixture
def second_hook(acme: str) -> Iterator[Receiver]:
    with receiver_on() as here:
        destination("second", "webhook", {"url": here.url}, SECRET)
        yield here


def test_webhooks_that_took_one_are_sent_to_three_times_at_once(hook: Receiver, second_hook: Receiver) -> None:
    """Six answers wait for each other: one after the other, none of them would ever come."""
    together = threading.Barrier(6)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        together.wait(timeout=8)
        say(204)(handler)

    hook.always = second_hook.always = answer
    hook.answers, second_hook.answers = [say(204)], [say(204)]
    for n in range(8):
        publish(n, to="hook" if n < 4 else "second")
    assert deliver().sent == 8


def test_no_webhook_is_sent_to_more_than_three_times_at_once(hook: Receiver) -> None:
    lock, under_way, most = threading.Lock(), 0, 0

    def answer(handler: BaseHTTPRequestHandler) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.01)
        with lock:
            under_way -= 1
        say(204)(handler)

    hook.always = answer
    for n in range(30):
        publish(n)
    assert deliver().sent == 30
    assert most <= 3


def test_a_stream_keeps_the_order_of_publishing_without_any_key(acme: str) -> None:
    destination("stream", "stream", {"stream": "events"})
    published = [publish(n, to="stream") for n in range(40)]
    assert deliver().sent == 40
    entries: Any = streams.client().xrange(streams.key(acme, "events"))
    assert [fields[b"id"].decode() for _, fields in entries] == [str(message.pk) for message in published]
