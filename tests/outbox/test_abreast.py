"""Several deliveries under way at once, within bounds, and in order where order is promised."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.outbox import delivery, services, streams
from kaireon.tenancy.context import transaction
from tests.outbox.conftest import SECRET, Receiver, again, deliver, destination, publish, receiver_on, say


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


def test_the_next_batch_is_claimed_while_one_is_on_its_way(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is answered once there was a second claim: after the answer, it would come too late."""
    monkeypatch.setattr(delivery, "BATCH", 2)
    claim, claims, claimed_again = services.claim, 0, threading.Event()
    in_time = []

    def counted(**given: Any) -> Any:
        nonlocal claims
        claims += 1
        if claims == 2:
            claimed_again.set()
        return claim(**given)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        in_time.append(claimed_again.wait(timeout=8))
        say(204)(handler)

    monkeypatch.setattr(services, "claim", counted)
    hook.always = answer
    for n in range(5):
        publish(n)
    assert deliver().sent == 5
    assert in_time == [True] * 5
    assert [got.data["n"] for got in hook.got][:1] == [0]


def test_what_was_claimed_ahead_and_finds_no_time_is_given_back(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    class UntilTwoCame(Budget):
        @property
        def spent(self) -> bool:
            return len(hook.got) >= 2

    monkeypatch.setattr(delivery, "BATCH", 2)
    published = [publish(n) for n in range(5)]
    done = delivery.deliver_due(budget=UntilTwoCame(60))
    assert (done.sent, done.released) == (2, 2)
    left = [again(message) for message in published[2:]]
    assert {(message.state, message.attempts, message.lease_token) for message in left} == {("pending", 0, None)}
    assert deliver().sent == 3


def test_what_lost_a_worker_is_never_claimed_ahead(hook: Receiver) -> None:
    publish(0)
    with transaction():
        assert len(services.claim(now=clock.now(), most=5)[1]) == 1
    with clock.freeze(clock.now() + services.LEASE + timedelta(seconds=1)), transaction():
        assert services.claim(now=clock.now(), most=5, fresh_only=True)[1] == []
        assert len(services.claim(now=clock.now(), most=5)[1]) == 1
