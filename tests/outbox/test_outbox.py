"""A message that gets out: accepted with its transaction, delivered in order, never lost, sealed while it waits."""

import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import OperationalError, connections

from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.outbox import delivery, destinations, payloads, services, topics
from kaireon.outbox.models import Message, Payload
from kaireon.outbox.sending import Refused
from kaireon.outbox.tasks import sweep_due
from kaireon.tenancy.context import OutsideTransaction, transaction
from tests.cast import ADA, MALLORY
from tests.outbox.conftest import (
    Receiver,
    again,
    deliver,
    deliver_until_settled,
    destination,
    letters,
    publish,
    say,
)


def test_a_message_comes_and_goes_with_the_callers_transaction(hook: Receiver) -> None:
    with pytest.raises(RuntimeError), transaction():
        services.publish(topic="test.event", destination="hook", payload={"n": 1}, now=clock.now())
        raise RuntimeError
    assert deliver().sent == 0
    with pytest.raises(OutsideTransaction):
        services.publish(topic="test.event", destination="hook", payload={"n": 1}, now=clock.now())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"payload": {"n": "a secret value"}}, topics.PayloadOffSchema),
        ({"payload": {}}, topics.PayloadOffSchema),
        ({"payload": {"n": 1, "more": 2}}, topics.PayloadOffSchema),
        ({"payload": {"n": 2**60}}, topics.PayloadOffSchema),
        ({"payload": {"n": 1, "who": "x" * 262_144}}, payloads.PayloadTooLarge),
        ({"topic": "no.such"}, topics.UnknownTopic),
        ({"to": "nowhere"}, destinations.UnknownDestination),
        ({"ordering_key": "k" * 129}, services.OrderingKeyTooLong),
    ],
)
def test_what_is_wrong_is_refused_before_it_is_accepted(hook: Receiver, change: dict[str, Any], error: type) -> None:
    with pytest.raises(error) as raised:
        publish(**change)
    assert "secret value" not in str(raised.value)
    with transaction():
        assert not Message.objects.exists()
        assert not Payload.objects.exists()


def test_a_payload_of_256_kib_is_taken(hook: Receiver) -> None:
    text = "x" * (payloads.MOST_BYTES - len('{"n":1,"who":""}'))
    publish(payload={"n": 1, "who": text})
    assert deliver().sent == 1
    with pytest.raises(payloads.PayloadTooLarge):
        publish(payload={"n": 1, "who": text + "x"})


def test_a_payload_cannot_be_read_in_sql(hook: Receiver, superuser_url: str) -> None:
    publish(payload={"n": 1, "who": "Jane Doe"})
    with psycopg.connect(superuser_url) as root:
        for table in ("outbox_message", "outbox_payload"):
            rows = root.execute(f"SELECT t::text, t.* FROM {table} t").fetchall()
            assert rows
            assert all(b"Jane" not in bytes(v) for row in rows for v in row if isinstance(v, bytes))
            assert "Jane" not in str(rows)


def test_one_key_is_delivered_in_order_also_past_a_failure(hook: Receiver) -> None:
    hook.answers = [say(500)]
    for n in range(4):
        publish(n, ordering_key="c-17")
    deliver()
    publish(9, ordering_key="other")
    deliver()
    assert [got.data["n"] for got in hook.got] == [0, 9], "the rest waits behind the first"
    deliver_until_settled()
    assert [got.data["n"] for got in hook.got if got.data["n"] != 9] == [0, 0, 1, 2, 3]


def test_a_dead_message_does_not_hold_up_its_key(hook: Receiver) -> None:
    hook.answers = [say(400)]
    publish(1, ordering_key="c-17")
    publish(2, ordering_key="c-17")
    deliver()
    assert [got.data["n"] for got in hook.got] == [1, 2]
    assert len(letters()) == 1


def test_two_workers_deliver_each_message_once_and_in_order(hook: Receiver) -> None:
    for n in range(60):
        publish(n, ordering_key=f"key-{n % 3}" if n < 30 else "")

    def work() -> None:
        try:
            with ADA.here():
                for _ in range(30):
                    delivery.deliver_due(budget=Budget(20))
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    numbers = [got.data["n"] for got in hook.got]
    assert sorted(numbers) == list(range(60))
    for key in range(3):
        mine = [n for n in numbers if n < 30 and n % 3 == key]
        assert mine == sorted(mine)


def test_a_crash_between_sending_and_marking_sends_again_with_the_same_id(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = publish()

    class Crash(BaseException):
        pass

    def crash(**_: Any) -> None:
        raise Crash

    with monkeypatch.context() as broken, pytest.raises(Crash):
        broken.setattr(services, "done", crash)
        deliver()
    assert again(message).state == "sending"
    assert deliver().sent == 0, "the lease is alive"
    with clock.freeze(clock.now() + services.LEASE + timedelta(seconds=1)):
        assert deliver().sent == 1
    assert [got.id for got in hook.got] == [str(message.pk)] * 2


def test_what_was_sent_as_the_database_went_away_is_settled_when_it_is_back(hook: Receiver, superuser_url: str) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        with psycopg.connect(superuser_url, autocommit=True) as root:
            root.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND usename = %s",
                [connections["default"].settings_dict["USER"]],
            )
        say(204)(handler)

    hook.answers = [answer]
    message = publish()
    with pytest.raises(OperationalError):
        deliver()
    assert again(message).state == "done"
    assert deliver().sent == 0


def test_a_worker_that_lost_its_lease_marks_nothing(hook: Receiver) -> None:
    message = publish()
    with transaction():
        token, _ = services.claim(now=clock.now(), most=5)
    later = clock.now() + services.LEASE + timedelta(seconds=1)
    with transaction():
        services.claim(now=later, most=5)
        assert services.done(lease_token=token, ids=[message.pk], now=later) == 0
    assert again(message).state == "sending"


def test_the_reaper_returns_what_is_stuck_and_buries_what_always_is(hook: Receiver) -> None:
    message = publish()
    moment = clock.now()
    for _ in range(services.MOST_LOSSES - 1):
        with transaction():
            assert services.claim(now=moment, most=5)[1]
            assert services.reap(now=moment) == (0, 0)
        moment += services.LEASE + timedelta(seconds=1)
        with transaction():
            assert services.reap(now=moment) == (1, 0)
    with transaction():
        services.claim(now=moment, most=5)
        assert services.reap(now=moment + services.LEASE + timedelta(seconds=1)) == (0, 1)
    assert again(message).state == "dead"
    [letter] = letters()
    assert (letter.error_type, letter.classification) == ("worker_lost", "transient")


def test_the_reaper_and_a_worker_that_comes_back_late_do_not_lock_each_other_out(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch, superuser_url: str
) -> None:
    """Both are at the same message: one buries it, the other writes down that a part of it was delivered."""
    publish()
    with transaction():
        Message.objects.update(losses=services.MOST_LOSSES - 1)
        [held] = services.claim(now=clock.now(), most=1)[1]
    bury = services._bury
    results: list[Any] = []

    def come_back() -> None:
        try:
            with ADA.here(), transaction():
                results.append(services.failed(message=held, refusal=Refused("late", rest={"n": 2}), now=clock.now()))
        except OperationalError as error:
            results.append(error)
        finally:
            connections.close_all()

    late = threading.Thread(target=come_back)

    def bury_as_it_comes_back(*given: Any, **named: Any) -> bool:
        late.start()
        waits = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        with psycopg.connect(superuser_url, autocommit=True) as root:
            while not root.execute(waits).rowcount:
                time.sleep(0.005)
        return bury(*given, **named)

    monkeypatch.setattr(services, "_bury", bury_as_it_comes_back)
    with transaction():
        assert services.reap(now=clock.now() + services.LEASE + timedelta(seconds=1)) == (0, 1)
    late.join()
    assert results == [False]
    assert [letter.error_type for letter in letters()] == ["worker_lost"]


def test_what_lost_a_worker_is_sent_alone_so_that_poison_takes_nothing_else_with_it(hook: Receiver) -> None:
    poison, *innocent = [publish(n) for n in range(4)]
    moment = clock.now()
    with transaction():
        assert len(services.claim(now=moment, most=5)[1]) == 4
    for _ in range(services.MOST_LOSSES):
        moment += services.LEASE + timedelta(seconds=1)
        fresh = publish(9)
        with clock.freeze(moment):
            with transaction():
                token, first = services.claim(now=moment, most=5)
                assert [message.pk for message in first] == [fresh.pk], "what is above suspicion goes first"
                services.done(lease_token=token, ids=[fresh.pk], now=moment)
            while True:
                with transaction():
                    token, claimed = services.claim(now=moment, most=5)
                    assert len(claimed) <= 1
                    # The one dies with its worker, the others are delivered.
                    services.done(lease_token=token, ids={m.pk for m in claimed} - {poison.pk}, now=moment)
                if not claimed:
                    break
    moment += services.LEASE + timedelta(seconds=1)
    with transaction():
        assert services.reap(now=moment) == (0, 1)
    assert again(poison).state == "dead"
    assert {again(message).state for message in innocent} == {"done"}


def test_what_lost_a_worker_does_not_wait_until_nothing_else_is_due(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "BATCH", 1)
    monkeypatch.setattr(delivery, "LOST_EVERY", 3)
    lost = [publish(n) for n in range(2)]
    with transaction():
        assert len(services.claim(now=clock.now(), most=5)[1]) == 2
    with clock.freeze(clock.now() + services.LEASE + timedelta(seconds=1)):
        for n in range(10, 16):
            publish(n)
        # The next run looks for them first again, and each longer one now and then.
        assert deliver(most=4).sent == 4
    first, *between, last = (got.data["n"] for got in hook.got)
    # Those in between were under way at the same time.
    assert (first, sorted(between), last) == (0, [10, 11], 1)
    assert {again(message).state for message in lost} == {"done"}


def test_an_ordering_key_of_full_length_is_taken_and_a_longer_one_is_told_by_name(hook: Receiver) -> None:
    publish(ordering_key="k" * 128)
    assert deliver().sent == 1
    with pytest.raises(services.OrderingKeyTooLong, match="ordering_key: 129 characters; at most 128"):
        publish(ordering_key="k" * 129)


def test_a_destination_that_is_off_keeps_its_messages(hook: Receiver) -> None:
    publish()
    with transaction():
        destinations.save(name="hook", kind="webhook", given={"url": hook.url}, enabled=False, now=clock.now())
    assert deliver().sent == 0
    with transaction():
        destinations.save(name="hook", kind="webhook", given={"url": hook.url}, now=clock.now())
    assert deliver().sent == 1


def test_a_message_whose_payload_was_erased_says_nothing(hook: Receiver) -> None:
    message = publish(subject_ref=uuid4())
    with transaction():
        Payload.objects.all().delete()
    deliver()
    assert hook.got == []
    assert (again(message).state, again(message).error) == ("dead", "payload_gone")
    assert letters() == []


def test_a_defect_in_one_message_does_not_stop_the_next(hook: Receiver, superuser_url: str) -> None:
    broken = publish(1)
    publish(2)
    with psycopg.connect(superuser_url) as root:
        root.execute("UPDATE outbox_payload SET sealed = 'not sealed' WHERE id = %s", [broken.pk])
    deliver()
    assert [got.data["n"] for got in hook.got] == [2]
    assert [x.error_type for x in letters()] == ["NotSealed"]


def test_nobody_sees_or_delivers_another_tenants_messages(hook: Receiver) -> None:
    from kaireon.tenancy import context

    message = publish()
    here = context._scope.get()
    context._scope.set(None)
    with MALLORY.here():
        assert deliver().sent == 0
        with transaction():
            assert not Message.objects.filter(pk=message.pk).exists()
            with pytest.raises(destinations.UnknownDestination):
                services.publish(topic="test.event", destination="hook", payload={"n": 1}, now=clock.now())
    context._scope.set(here)
    assert deliver().sent == 1


def test_the_sweep_wakes_the_tenants_with_something_due(hook: Receiver) -> None:
    now = clock.now()
    assert sweep_due(now=now) == 0
    publish()
    assert sweep_due(now=clock.now()) == 1
    deliver()
    assert sweep_due(now=clock.now()) == 0


def test_positions_rise_in_the_order_of_publication(hook: Receiver) -> None:
    got = [publish(n, ordering_key="k").position for n in range(3)]
    assert got == [1, 2, 3]
    assert publish(4, ordering_key="l").position == 1
    assert publish(5).position == 0
    assert isinstance(again(publish(6)).pk, UUID)


def test_what_is_delivered_and_without_payload_is_forgotten_in_the_end(hook: Receiver) -> None:
    first, second = publish(1), publish(2)
    destination("other", "stream", {"stream": "x"})
    deliver()
    with transaction():
        Payload.objects.filter(pk=first.pk).delete()
        later = clock.now() + services.KEPT + timedelta(days=1)
        assert services.forget(now=clock.now()) == 0
        assert services.forget(now=later) == 1
        assert list(Message.objects.values_list("pk", flat=True)) == [second.pk]
