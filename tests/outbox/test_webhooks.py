"""Webhooks to a real receiver that behaves well, badly, or not at all."""

import socket
import ssl
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpcore
import pytest
from django.core.checks import run_checks

from kaireon.lib import clock
from kaireon.outbox import connections, destinations, network, webhooks
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


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
    "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::", "2001:db8::1", "nonsense", "",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_of_ours_is_public(address: str) -> None:
    assert not network.is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert network.is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0.0.0.0", "0", "::1"]
)
def test_every_spelling_of_our_own_machine_is_refused(host: str) -> None:
    with pytest.raises((network.AddressRefused, network.NameNotResolved)):
        network.resolve(host, 443, allow_private=False)


def test_a_private_address_is_never_contacted(hook: Receiver, settings: Any) -> None:
    """Also when the destination was made while it was allowed."""
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    publish()
    deliver_until_settled()
    assert hook.got == []
    assert [(x.classification, x.error_type) for x in letters()] == [("permanent", "address_refused")]


def test_a_name_is_looked_up_once_so_that_a_second_answer_cannot_differ(
    acme: str, receiver: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: the resolver tells a public address first and loopback from then on."""
    port = int(receiver.url.split(":")[2].split("/")[0])
    answers = ["192.88.99.77"]  # stands in for a public address; nobody answers there
    asked: list[str] = []
    contacted: list[str] = []
    real = socket.getaddrinfo

    def resolver(host: Any, at: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "rebind.example":
            return real(host, at, *args, **kwargs)
        asked.append(host)
        address = answers.pop(0) if answers else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, at))]

    def connect(address: Any, *args: Any, **kwargs: Any) -> Any:
        contacted.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(network, "is_public", lambda address: address != "127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    monkeypatch.setattr(socket, "create_connection", connect)
    destination("rebind", "webhook", {"url": f"http://rebind.example:{port}/"}, SECRET)
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    publish(to="rebind")
    deliver()
    assert (asked, contacted) == (["rebind.example"], ["192.88.99.77"])
    deliver_until_settled()
    assert contacted == ["192.88.99.77"]
    assert [x.error_type for x in letters()] == ["address_refused"]
    assert receiver.got == []


def test_the_name_stays_in_the_host_header(acme: str, receiver: Receiver) -> None:
    destination("named", "webhook", {"url": receiver.url.replace("127.0.0.1", "localhost")}, SECRET)
    publish(to="named")
    assert deliver().sent == 1
    assert receiver.got[0].headers["Host"].startswith("localhost:")


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
