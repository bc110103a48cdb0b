"""A breaker opens after five failures, over all processes, and lets one call try after a minute."""

import subprocess
import sys
import threading

import pytest
import redis
from django.test import override_settings

from kaireon.api import breakers, cache
from kaireon.api.breakers import Breaker, BreakerOpen
from tests.live import PROJECT
from tests.ops.stage import Site


class Down(Exception):
    pass


class NotThere(Exception):
    pass


class Storage:
    """A dependency that fails as told, and counts who came through."""

    def __init__(self) -> None:
        self.fails: type[Exception] | None = Down
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.fails:
            raise self.fails
        return "done"


@pytest.fixture(autouse=True)
def _enabled(settings) -> None:
    settings.CIRCUIT_BREAKER_ENABLED = True


def fail(breaker: Breaker, dependency: Storage, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Down):
            breaker.call(dependency)


def minute_later() -> None:
    """As if the breakers had opened a minute ago."""
    for key in cache.client().keys("breaker:*|*"):
        if cache.client().type(key) == b"hash":
            cache.client().hincrbyfloat(key, "opened_at", -61)


def test_it_opens_after_five_failures_and_leaves_the_dependency_alone():
    breaker, storage = Breaker("storage"), Storage()
    fail(breaker, storage, 5)
    with pytest.raises(BreakerOpen):
        breaker.call(storage)
    assert storage.calls == 5
    assert breakers.states()["storage"] == 2
    # Another process would find it open too.
    with pytest.raises(BreakerOpen):
        Breaker("storage").call(storage)
    assert Breaker("storage", instance="other").call(lambda: 1) == 1


def test_a_success_in_between_starts_the_count_anew():
    breaker, storage = Breaker("storage"), Storage()
    fail(breaker, storage, 4)
    storage.fails = None
    assert breaker.call(storage) == "done"
    storage.fails = Down
    fail(breaker, storage, 4)
    assert breakers.states()["storage"] == 0


def test_one_call_tries_after_a_minute_and_closes_it():
    breaker, storage = Breaker("storage"), Storage()
    fail(breaker, storage, 5)
    minute_later()
    storage.fails = None

    def probing() -> str:
        with pytest.raises(BreakerOpen):
            Breaker("storage").call(storage)
        assert breakers.states()["storage"] == 1
        return "done"

    assert breaker.call(probing) == "done"
    assert storage.calls == 5
    assert breakers.states()["storage"] == 0
    assert Breaker("storage").call(storage) == "done"


def test_a_probe_that_fails_opens_it_for_another_minute():
    breaker, storage = Breaker("storage"), Storage()
    fail(breaker, storage, 5)
    minute_later()
    fail(breaker, storage, 1)
    with pytest.raises(BreakerOpen):
        breaker.call(storage)
    assert storage.calls == 6


def test_what_is_no_fault_of_the_dependency_does_not_count():
    breaker, storage = Breaker("storage", ignore=(NotThere,)), Storage()
    storage.fails = NotThere
    for _ in range(8):
        with pytest.raises(NotThere):
            breaker.call(storage)
    assert breakers.states()["storage"] == 0


def test_it_holds_up_no_other_call():
    """Two calls are inside at once: one that waits for the other would wait for ever."""
    breaker, inside = Breaker("storage"), threading.Barrier(2, timeout=10)
    threads = [threading.Thread(target=breaker.call, args=(inside.wait,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not inside.broken


def test_what_nobody_asks_for_any_more_is_forgotten():
    fail(Breaker("webhook", instance="removed"), Storage(), 5)
    assert breakers.states()["webhook"] == 2
    cache.client().delete("breaker:webhook|removed")
    assert breakers.states() == dict.fromkeys(breakers.DEPENDENCIES, 0)
    assert cache.client().hlen("breakers") == 0


def test_who_is_refused_is_told_how_long():
    breaker, storage = Breaker("storage"), Storage()
    fail(breaker, storage, 5)
    with pytest.raises(BreakerOpen) as refused:
        breaker.call(storage)
    assert 50 < refused.value.seconds <= 60


@override_settings(CIRCUIT_BREAKER_ENABLED=False)
def test_it_stands_aside_when_the_switch_is_off():
    storage = Storage()
    fail(Breaker("storage"), storage, 9)
    assert storage.calls == 9


def test_without_redis_each_process_keeps_its_own(monkeypatch: pytest.MonkeyPatch):
    away = redis.Redis.from_url("redis://127.0.0.1:1")
    monkeypatch.setattr(cache, "client", lambda: away)
    breaker, storage = Breaker("storage"), Storage()
    fail(breaker, storage, 5)
    with pytest.raises(BreakerOpen):
        breaker.call(storage)
    assert storage.calls == 5


def test_its_keys_do_not_stay(settings):
    fail(Breaker("storage"), Storage(), 5)
    assert all(cache.client().ttl(key) > 0 for key in cache.client().scan_iter())


# Storage whose folder is a file: every removal fails.
REMOVALS = """
import django; django.setup()
from customers.removals import remove_object
for n in range(7):
    try:
        remove_object("a/b")
    except Exception as error:
        print(type(error).__name__)
"""


def test_it_shows_from_outside(tmp_path, db: str):
    (tmp_path / "objects").write_text("not a folder")
    with Site(tmp_path / "web.log") as site:
        assert site.figures()['kaireon_breaker_state{dependency="storage"}'] == 0
        run = subprocess.run(
            [sys.executable, "-c", REMOVALS],
            cwd=PROJECT,
            env={**site.environment, "CIRCUIT_BREAKER_ENABLED": "true", "OBJECT_ROOT": str(tmp_path / "objects")},
            check=True,
            capture_output=True,
            text=True,
        )
        assert run.stdout.split()[5:] == ["BreakerOpen"] * 2, run.stdout + run.stderr
        assert site.figures()['kaireon_breaker_state{dependency="storage"}'] == 2
        assert "breaker_open" in site.ask("/readyz").json()["degraded"]
