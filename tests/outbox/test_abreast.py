"""Several deliveries under way at once, within bounds, and in order where order is promised."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.outbox import delivery, destinations, senders, services, streams
from kaireon.outbox.models import Message, MessageState
from kaireon.tenancy.context import transaction
from tests.outbox.conftest import SECRET, Answer, Receiver, again, deliver, destination, publish, receiver_on, say


@pytest.fixture
def second_hook(acme: str) -> Iterator[Receiver]:
    with receiver_on() as here:
        destination("second", "webhook", {"url": here.url}, SECRET)
        yield here


def when(event: threading.Event) -> Answer:
    """An answer that waits for something; a bad one when that does not come."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        say(204 if event.wait(8) else 500)(handler)

    return answer


def setting(event: threading.Event, receiver: Receiver, number: int) -> Answer:
    """An answer that tells when so many came."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if len(receiver.got) >= number:
            event.set()
        say(204)(handler)

    return answer


def on_claim(
    monkeypatch: pytest.MonkeyPatch, *, number: int, then: Callable[[], None] = lambda: None
) -> threading.Event:
    """Set when messages are claimed for the so manieth time, before anything else happens."""
    claim, claims, reached = services.claim, 0, threading.Event()

    def counted(**given: Any) -> Any:
        nonlocal claims
        claims += 1
        if claims == number:
            reached.set()
            then()
        return claim(**given)

    monkeypatch.setattr(services, "claim", counted)
    return reached


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
    claimed_again = on_claim(monkeypatch, number=2)
    in_time = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        in_time.append(claimed_again.wait(timeout=8))
        say(204)(handler)

    hook.always = answer
    for n in range(5):
        publish(n)
    assert deliver().sent == 5
    assert in_time == [True] * 5
    assert [got.data["n"] for got in hook.got][:1] == [0]


def test_what_was_claimed_ahead_and_finds_no_time_is_given_back_in_its_place(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    class UntilOneCame(Budget):
        @property
        def spent(self) -> bool:
            return bool(hook.got)

    monkeypatch.setattr(delivery, "BATCH", 2)
    claimed_again = on_claim(monkeypatch, number=2)
    hook.always = when(claimed_again)
    published = [publish(n) for n in range(6)]
    done = delivery.deliver_due(budget=UntilOneCame(60))
    assert (done.sent, done.released) == (1, 3)
    left = [again(message) for message in published[1:]]
    assert {(message.state, message.attempts, message.lease_token) for message in left} == {("pending", 0, None)}
    assert [message.due_at for message in left] == [message.due_at for message in published[1:]]
    assert deliver().sent == 5


def test_no_more_than_two_batches_are_held_at_a_time(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "BATCH", 2)
    claim, held = services.claim, []

    def counted(**given: Any) -> Any:
        found = claim(**given)
        held.append(Message.objects.filter(state=MessageState.SENDING).count())
        return found

    monkeypatch.setattr(services, "claim", counted)
    for n in range(12):
        publish(n)
    assert deliver().sent == 12
    assert max(held) <= 4


def test_a_receiver_that_hangs_holds_up_no_other_whatever_is_due(
    hook: Receiver, second_hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers once all of the other's came, which are more than are taken at once."""
    monkeypatch.setattr(delivery, "BATCH", 2)
    all_came = threading.Event()
    hook.always, second_hook.always = when(all_came), setting(all_came, second_hook, 7)
    publish(0)
    for n in range(7):
        publish(n, to="second")
    assert deliver().sent == 8
    assert all_came.is_set()


def test_several_receivers_that_hang_do_not_take_all_the_room(
    hook: Receiver, second_hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They answer once all of the third's came; together they have as much as is held at a time."""
    monkeypatch.setattr(delivery, "BATCH", 8)
    monkeypatch.setattr(delivery, "SETTLE_SECONDS", 0.05)
    all_came = threading.Event()
    hook.always = second_hook.always = when(all_came)
    for n in range(16):
        publish(n, to="hook" if n < 8 else "second")
    with receiver_on() as third:
        third.always = setting(all_came, third, 3)
        destination("third", "webhook", {"url": third.url}, SECRET)
        for n in range(3):
            publish(n, to="third")
        done = deliver()
    assert (done.sent, done.failed) == (19, 0)
    assert [got.data["n"] for got in hook.got][:1] == [0]


def test_one_key_that_hangs_holds_up_no_other(hook: Receiver) -> None:
    """The first of one key is answered once all of the other's came, each of which is due after the one before."""
    all_came = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        is_slow = handler.headers["Kaireon-Id"] == str(slow.pk)
        (when(all_came) if is_slow else setting(all_came, hook, 8))(handler)

    hook.always = answer
    # The receiver is known to be well: it is sent to three times at once from here on.
    publish(0)
    publish(1, ordering_key="quick")
    slow = publish(2, ordering_key="slow")
    for n in range(3, 8):
        publish(n, ordering_key="quick")
    assert deliver().sent == 8
    assert [got.data["n"] for got in hook.got if got.data["n"] not in (0, 2)] == [1, 3, 4, 5, 6, 7]


def test_what_comes_next_of_a_key_is_what_comes_first(hook: Receiver) -> None:
    """Nothing that is not due, was lost, waits behind another, is of another key or of a destination that rests."""
    destination("second", "webhook", {"url": hook.url}, SECRET)
    for key in ("due", "later", "lost", "other"):
        publish(1, ordering_key=key)
        publish(2, ordering_key=key)
    resting = publish(1, to="second", ordering_key="resting")
    with transaction():
        Message.objects.filter(ordering_key="later", position=1).update(due_at=clock.now() + timedelta(hours=1))
        Message.objects.filter(ordering_key="lost", position=1).update(losses=1)
        keys = {"due", "later", "lost", "resting", "unknown"}
        beside = [resting.destination_id]
        for first in (1, 2):
            _, found = services.claim(now=clock.now(), most=9, behind=keys, beside=beside)
            assert [(message.ordering_key, message.pk) for message in found] == [
                ("due", Message.objects.get(ordering_key="due", position=first).pk)
            ]
            assert services.claim(now=clock.now(), most=9, behind=keys, beside=beside)[1] == []
            services.done(lease_token=found[0].lease_token, ids=[found[0].pk], now=clock.now())


def test_a_destination_that_rests_is_not_claimed_before_others(
    hook: Receiver, second_hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "BATCH", 2)
    hook.always = say(500)
    failing = [publish(n) for n in range(9)]
    publish(9, to="second")
    done = deliver()
    assert (done.sent, done.failed) == (1, 3)
    assert sum(again(message).attempts for message in failing) == 3


def test_what_was_sent_before_a_run_broke_is_settled_and_what_was_not_is_given_back(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt() -> None:
        came.wait(8)
        raise Interrupted

    came = threading.Event()
    monkeypatch.setattr(delivery, "BATCH", 2)
    with monkeypatch.context() as broken:
        on_claim(broken, number=2, then=interrupt)
        hook.answers = [setting(came, hook, 1)]
        published = [publish(n) for n in range(4)]
        with pytest.raises(Interrupted):
            deliver()
    first, *others = [again(message) for message in published]
    assert first.state == "done"
    # Two may have been on their way.
    assert {message.state for message in others} <= {"done", "pending"}
    assert [got.data["n"] for got in hook.got] == list(range(len(hook.got)))
    deliver()
    assert sorted(got.data["n"] for got in hook.got) == [0, 1, 2, 3], "each came once"


def test_what_ends_a_sender_is_heard_of_and_nothing_waits_for_it(acme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    destination("stream", "stream", {"stream": "events"})
    published = [publish(n, to="stream") for n in range(3)]
    client = streams.client()

    def leave(*_: Any, **__: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as broken, pytest.raises(SystemExit):
        broken.setattr(client, "xadd", leave)
        deliver()
    assert [again(message).state for message in published] == ["sending", "pending", "pending"]
    assert deliver().sent == 2, "the others go on; who took its worker along waits for its lease"


def test_what_lost_a_worker_is_never_claimed_ahead(hook: Receiver) -> None:
    publish(0)
    with transaction():
        assert len(services.claim(now=clock.now(), most=5)[1]) == 1
    with clock.freeze(clock.now() + services.LEASE + timedelta(seconds=1)), transaction():
        assert services.claim(now=clock.now(), most=5, fresh_only=True)[1] == []
        assert len(services.claim(now=clock.now(), most=5)[1]) == 1


def test_what_waited_for_a_thread_until_its_lease_was_short_is_not_sent(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads are the process's: those of another run may hold all of them."""
    publish()
    with transaction():
        [message] = services.claim(now=clock.now(), most=1)[1]
        way = destinations.endpoint(message.destination_id)
    sent: list[Any] = []
    with ThreadPoolExecutor(1) as threads:
        monkeypatch.setattr(senders, "_threads", lambda: threads)
        free = threading.Event()
        threads.submit(free.wait, 8)
        line = senders.Senders(send=lambda _, message: sent.append(message), budget=Budget(60))
        latest = time.monotonic() + 0.03
        line.add([message], {way.id: way}, latest=latest)
        while time.monotonic() <= latest:
            time.sleep(0.01)
        free.set()
        line.stop(8)
    back = line.back()
    assert (sent, back.sent, back.unsent) == ([], [], [(message, 0.0)])
