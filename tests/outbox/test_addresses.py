"""Whom webhooks reach: the internet, and nothing of ours, whatever a name says."""

import socket
from typing import Any

import pytest

from kaireon.outbox import network
from tests.outbox.conftest import (
    SECRET,
    Receiver,
    deliver,
    deliver_until_settled,
    destination,
    letters,
    publish,
)

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
