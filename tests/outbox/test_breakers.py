"""A destination that fails is left alone after five failures, and no message pays for that with a try."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from kaireon.api import breakers, cache
from kaireon.outbox import streams
from kaireon.outbox.models import Message
from kaireon.tenancy.context import transaction
from tests.outbox.conftest import (
    SECRET,
    Receiver,
    deliver,
    deliver_until_settled,
    destination,
    letters,
    make_due,
    publish,
    receiver_on,
    say,
)

MAIL = {"to": ["jane@example.com"], "subject": "Your request", "text": "It is done."}


@pytest.fixture(autouse=True)
def _enabled(settings: Any) -> None:
    settings.CIRCUIT_BREAKER_ENABLED = True


@pytest.fixture
def away(acme: str, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that we call is there."""
    (tmp_path / "objects").write_text("a file where the folder was")
    folder = {"BACKEND": "kaireon.api.storage.GuardedFolder", "OPTIONS": {"location": tmp_path / "objects"}}
    settings.STORAGES = {**settings.STORAGES, "default": folder}
    settings.EMAIL_BACKEND, settings.EMAIL_PORT = "django.core.mail.backends.smtp.EmailBackend", 1
    nowhere = redis.Redis.from_url("redis://127.0.0.1:1")
    monkeypatch.setattr(streams, "client", lambda: nowhere)


def minute_later() -> None:
    """As if the breakers had opened a minute ago."""
    for key in cache.client().scan_iter("breaker:*|*", _type="hash"):
        cache.client().hincrbyfloat(key, "opened_at", -61)
    make_due()


def messages() -> list[Message]:
    with transaction():
        return list(Message.objects.order_by("created_at"))


def deliver_until_open(dependency: str) -> None:
    for _ in range(10):
        make_due()
        deliver()
        if breakers.states()[dependency] == 2:
            return
    raise AssertionError(breakers.states())


@pytest.mark.parametrize(
    ("kind", "given", "dependency"),
    [
        ("webhook", {"url": "http://127.0.0.1:1/hook"}, "webhook"),
        ("email", {}, "mail"),
        ("object", {}, "storage"),
        ("stream", {"stream": "feed"}, "stream"),
    ],
)
@pytest.mark.usefixtures("away")
def test_every_kind_has_a_breaker(kind: str, given: dict[str, Any], dependency: str) -> None:
    destination("there", kind, given, SECRET if kind == "webhook" else None)
    many = {"topic": "mail", "payload": MAIL} if kind == "email" else {}
    for _ in range(6):
        publish(to="there", **many)
    deliver_until_open(dependency)
    tried = sum(m.failures for m in messages())
    assert tried == breakers.FAILURES
    attempted = sum(m.attempts for m in messages())
    assert attempted == tried
    for _ in range(20):
        make_due()
        assert deliver().released == len([m for m in messages() if m.state == "pending"])
    # Twenty times nothing was sent: no try is gone, nothing is dead that was not before.
    assert sum(m.failures for m in messages()) == tried
    assert sum(m.attempts for m in messages()) == attempted


@pytest.fixture
def other(acme: str) -> Iterator[Receiver]:
    with receiver_on() as here:
        destination("other", "webhook", {"url": here.url}, SECRET)
        yield here


def test_the_others_go_on_and_it_comes_back_after_one_call(hook: Receiver, other: Receiver) -> None:
    hook.always = say(500)
    for n in range(6):
        publish(n)
    deliver_until_open("webhook")
    assert len(hook.got) == 5
    publish(99, to="other")
    make_due()
    assert deliver().sent == 1
    assert len(other.got) == 1
    assert len(hook.got) == 5

    # The one call of the next minute fails, and it is left alone for another.
    minute_later()
    deliver()
    assert len(hook.got) == 6
    assert breakers.states()["webhook"] == 2

    hook.always = say(204)
    minute_later()
    deliver()
    make_due()
    deliver()
    assert breakers.states()["webhook"] == 0
    assert {m.state for m in messages()} <= {"done", "dead"}
    # Those that are dead had three tries of their own.
    assert len([m for m in messages() if m.state == "dead"]) * 3 <= 6
    assert len({got.id for got in hook.got}) == 6


def test_it_waits_as_long_as_the_destination_is_left_alone(hook: Receiver) -> None:
    hook.always = say(500)
    for n in range(6):
        publish(n)
    deliver_until_open("webhook")
    make_due()
    deliver()
    waits = [(m.due_at - m.created_at).total_seconds() for m in messages() if m.state == "pending"]
    assert waits
    assert all(wait > 50 for wait in waits)


def test_a_receiver_that_says_no_is_well(hook: Receiver) -> None:
    hook.always = say(422)
    for n in range(7):
        publish(n)
    deliver_until_settled()
    assert len(hook.got) == 7
    assert breakers.states()["webhook"] == 0
    assert {letter.error_type for letter in letters()} == {"http_422"}


def test_without_the_switch_every_message_has_its_tries(hook: Receiver, settings: Any) -> None:
    settings.CIRCUIT_BREAKER_ENABLED = False
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        destination("hook", "webhook", {"url": f"http://127.0.0.1:{free.getsockname()[1]}/"}, SECRET)
    for n in range(3):
        publish(n)
    deliver_until_settled()
    assert [letter.attempts for letter in letters()] == [3, 3, 3]
    assert breakers.states()["webhook"] == 0
