"""E-mail, objects and streams: a real mail server, a real S3 API, a real folder, a real Redis."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage

from kaireon.outbox import objects, streams
from kaireon.outbox.destinations import DestinationRefused
from tests.outbox.conftest import deliver, destination, publish


def test_a_stream_gets_an_entry_with_the_id(acme: str) -> None:
    destination("events", "stream", {"stream": "feed"})
    message = publish(5, to="events")
    assert deliver().sent == 1
    [(_, entry)] = streams.client().xrange(streams.key("acme", "feed"))
    assert entry[b"id"].decode() == str(message.pk)
    assert json.loads(entry[b"body"])["data"] == {"n": 5}


def test_an_object_is_written_once_under_its_id(acme: str, settings: Any, tmp_path: Path) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}},
    }
    destination("files", "object", {"prefix": "feed"})
    message = publish(3, to="files")
    assert deliver().sent == 1
    [path] = [p for p in tmp_path.rglob("*") if p.is_file()]
    created = message.created_at
    assert path.relative_to(tmp_path).as_posix() == f"outbox/acme/feed/test.event/{created:%Y/%m/%d}/{message.pk}.json"
    whole = path.read_bytes()
    assert json.loads(whole)["id"] == str(message.pk)
    name = path.relative_to(tmp_path).as_posix()
    # A crash left half of it; then it comes again, and again.
    path.write_bytes(whole[:10])
    for _ in range(2):
        objects.put(default_storage, name, whole)
    assert [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()] == [whole]


PRIVATE = (
    "10.0.0.5",
    "169.254.169.254",
    "127.1",
    "2130706433",
    "0x7f000001",
    "[::1]",
    "[::ffff:10.0.0.5]",
    "[fe80::1]",
)


@pytest.mark.parametrize("host", PRIVATE)
def test_an_address_that_is_not_public_is_refused_when_it_is_given(acme: str, settings: Any, host: str) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    given = {"url": f"https://{host}/hook"}
    with pytest.raises(DestinationRefused, match="url is no public address"):
        destination("x", "webhook", given, secret="s" * 32)
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    destination("x", "webhook", given, secret="s" * 32)


def test_names_and_public_addresses_are_taken(acme: str, settings: Any) -> None:
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    for number, host in enumerate(("hooks.example.com", "93.184.216.34", "[2606:2800:220:1::1]", "localhost.example")):
        destination(f"x{number}", "webhook", {"url": f"https://{host}/hook"}, secret="s" * 32)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("stream", {}),
        ("stream", {"stream": "a b"}),
        ("object", {"prefix": "../up"}),
        ("email", {"from": "nobody"}),
        ("email", {"password": "x"}),
        ("pigeon", {}),
    ],
)
def test_settings_that_do_not_fit_are_refused(acme: str, kind: str, given: dict[str, Any]) -> None:
    with pytest.raises(DestinationRefused):
        destination("x", kind, given)
