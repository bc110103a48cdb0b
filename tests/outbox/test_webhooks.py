"""Webhooks to a real receiver that behaves well, badly, or not at all."""

import socket
from typing import Any

import pytest
from django.core.checks import run_checks

from kaireon.lib import clock
from kaireon.outbox import connections, destinations, webhooks
from kaireon.outbox.destinations import DestinationRefused
from kaireon.outbox.models import Destination
from kaireon.outbox.signatures import is_genuine, sign
from kaireon.tenancy.context import transaction
from tests.outbox.conftest import (
    SECRET,
    Answer,
    Receiver,
    again,
    deliver,
    deliver_until_settled,
    destination,
    drip,
    half,
    hang,
    letters,
    publish,
    say,
)


def test_it_delivers_once_signed_with_an_id(hook: Receiver) -> None:
    message = publish(7)
    assert deliver().sent == 1
    assert deliver().sent == 0
    [got] = hook.got
    assert got.id == str(message.pk)
    assert got.data == {"n": 7}
    assert again(message).state == "done"
    now = int(clock.now().timestamp())
    asked = {"message_id": got.id, "signature": got.headers["Kaireon-Signature"], "now": now}
    assert is_genuine(secret=SECRET.encode(), body=got.body, **asked)
    assert not is_genuine(secret=b"another", body=got.body, **asked)
    assert not is_genuine(secret=SECRET.encode(), body=got.body + b" ", **asked)
    assert not is_genuine(secret=SECRET.encode(), body=got.body, **{**asked, "now": now + 400})
    assert not is_genuine(secret=SECRET.encode(), body=got.body, **{**asked, "message_id": "other"})


def test_the_signature_is_what_the_documentation_says() -> None:
    # openssl: printf '1.1700000000.{}' | openssl dgst -sha256 -hmac key
    assert sign(secret=b"key", message_id="1", timestamp=1700000000, body=b"{}") == (
        "t=1700000000,v1=50bc9b415036e4f001bf0e404d0d258fd0f01d966f85e631de1da703a554554c"
    )


@pytest.mark.parametrize(
    "answer", [say(500), say(408), say(429), say(503), half], ids=["500", "408", "429", "503", "half"]
)
def test_what_may_pass_is_tried_three_times_with_the_same_id_and_then_dead(hook: Receiver, answer: Answer) -> None:
    hook.always = answer
    message = publish()
    deliver_until_settled()
    deliver_until_settled()
    assert [got.id for got in hook.got] == [str(message.pk)] * 3
    [letter] = letters()
    assert (letter.classification, letter.queue, letter.topic) == ("transient", "outbox", "test.event")
    assert again(message).state == "dead"


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
def test_what_will_not_pass_is_dead_at_once(hook: Receiver, status: int) -> None:
    hook.always = say(status)
    publish()
    deliver_until_settled()
    assert len(hook.got) == 1
    [letter] = letters()
    assert (letter.classification, letter.error_type) == ("permanent", f"http_{status}")


def test_a_failure_that_passes_is_delivered_after_a_pause(hook: Receiver) -> None:
    hook.answers = [say(500)]
    message = publish()
    before = clock.now()
    assert deliver().failed == 1
    assert 2 <= (again(message).due_at - before).total_seconds() <= 10
    assert deliver().sent == 0, "not before its time"
    deliver_until_settled()
    assert again(message).state == "done"
    assert letters() == []


def test_it_waits_as_long_as_the_receiver_asks_but_an_hour_at_most(hook: Receiver) -> None:
    hook.answers = [say(429, Retry_After="120"), say(503, Retry_After="999999")]
    first = publish(1)
    deliver()
    second = publish(2)
    deliver()
    now = clock.now()
    assert 110 < (again(first).due_at - now).total_seconds() < 125
    assert 3590 < (again(second).due_at - now).total_seconds() < 3605


@pytest.mark.parametrize(
    "asked",
    [
        "soon",
        "-5",
        "",
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Wed, 21 Oct 2099 07:28:00 +9999999999999",
        "1 Jan 99999999999999999999 00:00:00 GMT",
    ],
)
def test_a_strange_retry_after_is_no_reason_to_come_back_early_or_never(hook: Receiver, asked: str) -> None:
    hook.answers = [say(503, Retry_After=asked)]
    message = publish()
    deliver()
    assert again(message).error == "http_503"
    assert 2 <= (again(message).due_at - clock.now()).total_seconds() + 1 <= 10


def test_a_redirect_is_not_followed(hook: Receiver) -> None:
    hook.always = say(302, Location="http://169.254.169.254/latest/meta-data/")
    publish()
    deliver_until_settled()
    assert len(hook.got) == 1
    assert [(x.classification, x.error_type) for x in letters()] == [("permanent", "redirect_refused")]


@pytest.mark.parametrize("answer", [hang, drip], ids=["hangs", "drips"])
def test_a_slow_receiver_costs_the_deadline_and_no_more(
    hook: Receiver, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "SEND_SECONDS", 0.6)
    hook.always = answer
    message = publish()
    before = clock.now()
    deliver()
    assert (clock.now() - before).total_seconds() < 3
    assert again(message).error == "timeout"


def test_a_receiver_that_is_away_does_not_hold_up_the_others(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        destination("away", "webhook", {"url": f"http://127.0.0.1:{closed.getsockname()[1]}/"}, SECRET)
        for n in range(6):
            publish(n, to="away")
        publish(7)
        total = deliver(1)
    assert (total.sent, total.failed, total.released) == (1, 3, 3)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://crm.example.com/hook?a=1", "crm.example.com"),
        ("https://crm.example.com:443/", "crm.example.com"),
        ("https://crm.example.com:8443", "crm.example.com:8443"),
        ("http://[::1]:8000/hook", "[::1]:8000"),
    ],
)
def test_the_receiver_is_named_as_in_its_address(url: str, host: str) -> None:
    place, target = connections._parsed(url)
    assert place.authority == host
    assert target.startswith("/")


def test_a_large_answer_is_not_read_to_its_end(hook: Receiver) -> None:
    hook.always = say(200, b"x" * 5_000_000)
    publish()
    assert deliver().sent == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "https://user:pw@example.com/",
        "https:///x",
        "https://a/#f",
        "https://a:0/",
        "https://a:99999/",
        "https://[::1",
        "https://a/b c",
        "https://a\r\nX-Other: b/",
        "https://a/\nb",
        "https://a/é",
        "",
        "x",
    ],
)
def test_a_webhook_takes_https_without_login_only(acme: str, settings: Any, url: str) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    with pytest.raises(DestinationRefused):
        destination("bad", "webhook", {"url": url}, SECRET)


def test_a_webhook_needs_a_secret_that_is_kept_sealed_and_never_shown(acme: str) -> None:
    with pytest.raises(DestinationRefused):
        destination("hook", "webhook", {"url": "https://example.com/"})
    destination("hook", "webhook", {"url": "https://example.com/"}, SECRET)
    # Changing the rest leaves it.
    destination("hook", "webhook", {"url": "https://example.com/2"})
    with transaction():
        row = Destination.objects.get()
        endpoint = destinations.endpoint(row.pk)
    assert SECRET.encode() not in bytes(row.secret_sealed)
    assert endpoint.secret == SECRET
    assert SECRET not in repr(endpoint)


def test_production_is_warned_of_private_destinations(settings: Any) -> None:
    settings.PRODUCTION = settings.ALLOW_PRIVATE_DESTINATIONS = True
    assert "kaireon.W022" in {m.id for m in run_checks(include_deployment_checks=True)}
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    assert "kaireon.W022" not in {m.id for m in run_checks(include_deployment_checks=True)}
