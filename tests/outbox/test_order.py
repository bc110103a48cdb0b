"""Several workers, each a process of its own, some of them killed: in order for each key, under one id, none lost."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections import defaultdict
from datetime import timedelta
from http.server import BaseHTTPRequestHandler

from django.db import connections
from django.db.transaction import set_rollback

from kaireon.lib import clock
from kaireon.outbox import services
from kaireon.outbox.models import Message, MessageState, Payload
from kaireon.tenancy.context import transaction
from tests.cast import ADA
from tests.outbox.conftest import Receiver, again, deliver, letters, make_due, publish, say

WORKER = """
import sys, time
import django

django.setup()
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.outbox import delivery
from kaireon.outbox.models import Message
from kaireon.tenancy.context import Actor, scope, transaction

delivery.BATCH = 7
with scope(tenant_id="acme", actor=Actor.system("worker")):
    for _ in range(int(sys.argv[1])):
        delivery.deliver_due(budget=Budget(30))
        with transaction():
            # Not to wait for the pauses between tries.
            Message.objects.filter(state="pending").update(due_at=clock.now())
            if not Message.objects.filter(state__in=["pending", "sending"]).exists():
                break
        time.sleep(0.05)
"""


def worker(rounds: int = 400) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WORKER), str(rounds)],
        env={**os.environ, "ALLOW_PRIVATE_DESTINATIONS": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def first_seen(receiver: Receiver) -> dict[str, list[int]]:
    """By key, the numbers in the order in which they first arrived."""
    seen: defaultdict[str, list[int]] = defaultdict(list)
    for got in receiver.got:
        if got.data["n"] not in seen[got.data["who"]]:
            seen[got.data["who"]].append(got.data["n"])
    return dict(seen)


def test_three_workers_keep_the_order_of_each_key_past_failures(hook: Receiver) -> None:
    keys = [f"c-{n}" for n in range(4)]
    for n in range(15):
        for key in keys:
            publish(payload={"n": n, "who": key}, ordering_key=key)
    # Every eleventh delivery fails once.
    hook.answers = [say(500 if n % 11 == 10 else 204) for n in range(60)]
    workers = [worker() for _ in range(3)]
    for one in workers:
        _, told = one.communicate(timeout=120)
        assert one.returncode == 0, told
    assert first_seen(hook) == {key: list(range(15)) for key in keys}
    with transaction():
        assert set(Message.objects.values_list("state", flat=True)) == {MessageState.DONE}
    ids = defaultdict(set)
    for got in hook.got:
        ids[got.data["who"], got.data["n"]].add(got.id)
    assert all(len(found) == 1 for found in ids.values()), "a second try has the first one's id"
    assert len(hook.got) == 65


def test_what_a_killed_worker_held_is_taken_over_in_order_and_under_its_ids(hook: Receiver) -> None:
    """It is killed while the receiver has the fourth message and has not answered."""
    reached = threading.Event()

    def kill(handler: BaseHTTPRequestHandler) -> None:
        reached.set()
        handler.server.ended.wait(0.2)  # type: ignore[attr-defined]
        say(204)(handler)

    published = [publish(payload={"n": n, "who": "one"}, ordering_key="one") for n in range(6)]
    hook.answers = [say(204), say(204), say(204), kill]
    died = worker()
    assert reached.wait(60)
    died.kill()
    died.communicate(timeout=30)
    assert died.returncode == -signal.SIGKILL
    assert again(published[3]).state == "sending"
    assert deliver().sent == 0, "the lease is alive, and the key waits for its fourth"
    with clock.freeze(clock.now() + services.LEASE + timedelta(seconds=1)):
        assert deliver().sent == 3
    assert [got.data["n"] for got in hook.got] == [0, 1, 2, 3, 3, 4, 5]
    assert [got.id for got in hook.got[3:5]] == [str(published[3].pk)] * 2
    assert letters() == []


def test_a_publisher_that_dies_published_nothing(hook: Receiver) -> None:
    code = """
    import os, signal
    import django

    django.setup()
    from kaireon.lib import clock
    from kaireon.outbox import services, topics
    from kaireon.tenancy.context import Actor, scope, transaction

    topics.register("test.killed", schema={"type": "object"})
    with scope(tenant_id="acme", actor=Actor.system("publisher")), transaction():
        services.publish(topic="test.killed", destination="hook", payload={}, ordering_key="k", now=clock.now())
        print("published", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    died = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (died.returncode, died.stdout) == (-signal.SIGKILL, "published\n"), died.stderr
    with transaction():
        assert not Message.objects.exists()
        assert not Payload.objects.exists()
    # Nor does its place in the order, or its lock, stay behind.
    assert publish(ordering_key="k").position == 1


def test_publishers_of_one_key_come_one_after_the_other(hook: Receiver) -> None:
    """Whoever commits first is delivered first, also when the other one began before."""
    holding, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def first(roll_back: bool) -> None:
        try:
            with ADA.here(), transaction():
                services.publish(
                    topic="test.event", destination="hook", payload={"n": 1}, ordering_key="k", now=clock.now()
                )
                holding.set()
                go_on.wait(20)
                set_rollback(roll_back)
        finally:
            connections.close_all()

    def second() -> None:
        try:
            with ADA.here():
                publish(2, ordering_key="k")
            done.set()
        finally:
            connections.close_all()

    for roll_back in (False, True):
        for event in (holding, go_on, done):
            event.clear()
        hook.got.clear()
        threads = [threading.Thread(target=first, args=[roll_back]), threading.Thread(target=second)]
        threads[0].start()
        assert holding.wait(20)
        threads[1].start()
        assert not done.wait(0.3), "it waits until it is known which number is its"
        assert deliver().sent == 0
        go_on.set()
        for thread in threads:
            thread.join(20)
        make_due()
        deliver()
        assert [got.data["n"] for got in hook.got] == ([2] if roll_back else [1, 2])
