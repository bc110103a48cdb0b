"""Webhooks over TLS: an authority of one's own is believed when it is configured, and nothing else is."""

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kaireon.outbox import webhooks
from tests.outbox.authority import Authority
from tests.outbox.conftest import (
    SECRET,
    again,
    deliver,
    deliver_until_settled,
    destination,
    letters,
    publish,
    receiver_on,
)


@pytest.fixture
def authority(acme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Configured, as an operator does it."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.bundle))
    webhooks._pool.cache_clear()
    return made


@pytest.fixture(autouse=True)
def _no_connections() -> Iterator[None]:
    yield
    webhooks._pool.cache_clear()


def test_it_delivers_to_a_server_whose_authority_is_configured(authority: Authority) -> None:
    with receiver_on("localhost", tls=authority.server("localhost")) as receiver:
        destination("hook", "webhook", {"url": receiver.url}, SECRET)
        message = publish(7)
        assert deliver().sent == 1
    assert [got.id for got in receiver.got] == [str(message.pk)]


def test_an_address_may_have_a_certificate_too(authority: Authority) -> None:
    with receiver_on("127.0.0.1", tls=authority.server("127.0.0.1")) as receiver:
        destination("hook", "webhook", {"url": receiver.url}, SECRET)
        publish()
        assert deliver().sent == 1


@pytest.mark.parametrize(
    ("names", "ended"),
    [(["crm.example.com"], False), (["127.0.0.1"], False), (["*.localhost"], False), (["localhost"], True)],
    ids=["another name", "its address only", "a wildcard below it", "expired"],
)
def test_a_certificate_that_does_not_fit_gets_nothing(authority: Authority, names: list[str], ended: bool) -> None:
    with receiver_on("localhost", tls=authority.server(*names, ended=ended)) as receiver:
        destination("hook", "webhook", {"url": receiver.url}, SECRET)
        message = publish()
        assert deliver().failed == 1
        assert again(message).error == "certificate_refused"
        deliver_until_settled()
    assert receiver.got == []
    # It may have a new one tomorrow.
    assert [(x.classification, x.error_type) for x in letters()] == [("transient", "certificate_refused")]


def test_nobody_elses_authority_is_believed(acme: str, tmp_path: Path) -> None:
    unknown = Authority(tmp_path)
    with receiver_on("localhost", tls=unknown.server("localhost")) as receiver:
        destination("hook", "webhook", {"url": receiver.url}, SECRET)
        message = publish()
        deliver()
    assert receiver.got == []
    assert again(message).error == "certificate_refused"


def test_what_speaks_no_tls_gets_nothing(authority: Authority, receiver: Any) -> None:
    destination("hook", "webhook", {"url": receiver.url.replace("http://", "https://")}, SECRET)
    message = publish()
    deliver()
    assert receiver.got == []
    assert again(message).error == "connection_failed"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_of_before_2008_gets_nothing(authority: Authority) -> None:
    tls = authority.server("localhost")
    tls.set_ciphers("DEFAULT@SECLEVEL=0")
    tls.minimum_version = ssl.TLSVersion.TLSv1
    tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with receiver_on("localhost", tls=tls) as receiver:
        destination("hook", "webhook", {"url": receiver.url}, SECRET)
        message = publish()
        deliver()
    assert receiver.got == []
    assert again(message).error == "connection_failed"


def test_a_handshake_that_never_ends_costs_the_deadline(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "SEND_SECONDS", 0.6)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        thread = threading.Thread(target=lambda: (silent.accept(), ended.wait(20)), daemon=True)
        thread.start()
        destination("hook", "webhook", {"url": f"https://localhost:{silent.getsockname()[1]}/"}, SECRET)
        message = publish()
        deliver()
        ended.set()
        thread.join()
    assert again(message).error == "timeout"
