"""One worker for a tenant at a time, so that a slow receiver of one tenant does not hold those of all the others."""

import threading
from http.server import BaseHTTPRequestHandler

import pytest
import redis
from django.conf import settings
from django.db import connections
from kombu.exceptions import OperationalError

from kaireon.api import cache
from kaireon.outbox import services, shifts, tasks
from tests.cast import ACME
from tests.outbox.conftest import Receiver, again, publish, say

LOCK = f"outbox:shift:{ACME}"
CALLED = f"outbox:called:{ACME}"


class AtWork:
    """A worker that was woken; it is at work until `go_on` is set."""

    def __init__(self, hook: Receiver) -> None:
        self.came, self.go_on, self.sent = threading.Event(), threading.Event(), -1
        self._hook = hook
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> "AtWork":
        self._hook.always = self._answer
        self._thread.start()
        assert self.came.wait(8)
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.came.set()
        say(204 if self.go_on.wait(8) else 500)(handler)

    def _work(self) -> None:
        try:
            self.sent = tasks.deliver(tenant_id=ACME)
        finally:
            connections.close_all()


@pytest.fixture(autouse=True)
def nobody_at_work(hook: Receiver) -> None:
    cache.client().delete(LOCK, f"outbox:missed:{ACME}", CALLED)
    with broker() as emptied:
        emptied.delete(tasks.CELERY_QUEUE)


def broker() -> redis.Redis:
    return redis.Redis.from_url(settings.CELERY_BROKER_URL)


def woken() -> int:
    with broker() as asked:
        return int(asked.llen(tasks.CELERY_QUEUE))  # type: ignore[arg-type]


def test_a_second_worker_leaves_at_once_and_the_first_takes_what_is_new(hook: Receiver) -> None:
    publish(1)
    with AtWork(hook) as first:
        second = publish(2)
        assert tasks.deliver(tenant_id=ACME) == 0
        assert (again(second).attempts, len(hook.got)) == (0, 1)
    assert first.sent == 2
    assert again(second).state == "done"
    assert woken() == 1, "what was published as the first one ended would wait for the sweep"
    assert tasks.deliver(tenant_id=ACME) == 0
    assert woken() == 1, "nobody came meanwhile"


def test_what_many_publish_at_once_shares_one_wake_up(hook: Receiver) -> None:
    assert [services.wake(publish(n)) for n in range(3)] == [True] * 3
    assert woken() == 1
    assert 0 < cache.client().pttl(CALLED) < tasks.SWEEP_SECONDS * 1000  # type: ignore[operator]
    # It has come, so the next call is for another one.
    assert tasks.deliver(tenant_id=ACME) == 3
    assert services.wake(publish(4))
    assert woken() == 2


def test_who_publishes_once_a_worker_has_come_calls_anew(hook: Receiver) -> None:
    services.wake(publish(1))
    with AtWork(hook):
        services.wake(publish(2))
        assert woken() == 2


def test_a_wake_up_that_could_not_be_sent_is_none(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    message = publish()
    with monkeypatch.context() as alone:
        alone.setattr(tasks.deliver, "apply_async", refuse)
        assert not services.wake(message)
    assert services.wake(message)
    assert woken() == 1


def refuse(**_: object) -> None:
    raise OperationalError


def test_who_came_before_a_shift_began_is_no_reason_for_another(hook: Receiver) -> None:
    cache.client().set(f"outbox:missed:{ACME}", "1")
    publish()
    assert tasks.deliver(tenant_id=ACME) == 1
    assert woken() == 0


def test_another_tenant_is_not_kept_waiting(hook: Receiver) -> None:
    publish(1)
    with AtWork(hook), shifts.shift("another", missed=list) as stay:
        assert stay is not None


def test_a_worker_says_again_and_again_that_it_is_there_and_not_for_long(hook: Receiver) -> None:
    lives = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        lives.append(cache.client().pttl(LOCK))
        # As if most of it had passed.
        cache.client().pexpire(LOCK, 9_000)
        say(204)(handler)

    hook.always = answer
    for n in range(3):
        publish(n, ordering_key="one after the other, a turn for each")
    assert tasks.deliver(tenant_id=ACME) == 3
    assert all(9_000 < life <= shifts.SECONDS * 1000 for life in lives)
    assert cache.client().exists(LOCK) == 0


def test_a_worker_whose_shift_ran_out_delivers_on_and_leaves_the_next_ones_alone(hook: Receiver) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        cache.client().set(LOCK, "of another", ex=5)
        say(204)(handler)

    hook.always = answer
    for n in range(2):
        publish(n, ordering_key="k")
    assert tasks.deliver(tenant_id=ACME) == 2
    assert cache.client().get(LOCK) == b"of another"
    cache.client().delete(LOCK)


def test_without_redis_it_delivers(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    away = redis.Redis.from_url("redis://127.0.0.1:1")
    publish()
    with monkeypatch.context() as alone:
        alone.setattr(cache, "client", lambda: away)
        assert services.send_wake(ACME)
        assert woken() == 1
        assert tasks.deliver(tenant_id=ACME) == 1


def test_a_run_that_breaks_ends_its_shift() -> None:
    class Broken(Exception):
        pass

    with pytest.raises(Broken), shifts.shift(ACME, missed=list):
        raise Broken
    assert cache.client().exists(LOCK) == 0
