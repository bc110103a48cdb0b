"""E-mail, objects and streams: a real mail server, a real S3 API, a real folder, a real Redis."""

import email
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from aiosmtpd.controller import Controller
from botocore.config import Config
from django.core.files.storage import default_storage, storages
from moto.server import ThreadedMotoServer

from kaireon.outbox import objects, streams
from kaireon.outbox.destinations import DestinationRefused
from tests.outbox.conftest import again, deliver, deliver_until_settled, destination, letters, publish

MAIL = {"to": ["jane@example.com"], "subject": "Your request", "text": "It is done."}


class Mailbox:
    """Takes mail, or says what it was told to say."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answer.startswith("250"):
            self.mails.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
        return self.answer


@pytest.fixture
def mailbox(acme: str, settings: Any) -> Iterator[Mailbox]:
    box = Mailbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_PORT = port
    settings.EMAIL_TIMEOUT = 5
    destination("mail", "email", {"from": "compliance@acme.example"})
    yield box
    server.stop()


def test_mail_arrives_with_an_id_that_names_it(mailbox: Mailbox) -> None:
    message = publish(to="mail", topic="mail", payload={**MAIL, "html": "<p>It is done.</p>"})
    assert deliver().sent == 1
    [(to, mail)] = mailbox.mails
    assert to == ["jane@example.com"]
    assert mail["From"] == "compliance@acme.example"
    assert mail["Message-ID"] == f"<{message.pk}@kaireon>"
    assert mail["Kaireon-Id"] == str(message.pk)
    assert mail.is_multipart()


@pytest.mark.parametrize(
    ("answer", "found"), [("451 later", ("transient", "smtp_451")), ("554 never", ("permanent", "smtp_554"))]
)
def test_the_mail_servers_answer_says_whether_to_try_again(
    mailbox: Mailbox, answer: str, found: tuple[str, str]
) -> None:
    mailbox.answer = answer
    publish(to="mail", topic="mail", payload=MAIL)
    deliver_until_settled()
    assert [(x.classification, x.error_type) for x in letters()] == [found]


@pytest.mark.parametrize(
    "change", [{"subject": "a\r\nBcc: eve@example.com"}, {"to": ["a@example.com\nBcc: eve@example.com"]}]
)
def test_nothing_slips_into_the_headers(mailbox: Mailbox, change: dict[str, Any]) -> None:
    publish(to="mail", topic="mail", payload=MAIL | change)
    deliver_until_settled()
    assert mailbox.mails == []
    assert [x.classification for x in letters()] == ["permanent"]


def test_a_mail_server_that_is_away_is_tried_again(mailbox: Mailbox, settings: Any) -> None:
    settings.EMAIL_PORT = 1
    message = publish(to="mail", topic="mail", payload=MAIL)
    assert deliver().failed == 1
    assert again(message).error == "ConnectionRefusedError"


def test_what_is_no_mail_is_dead_at_once(mailbox: Mailbox) -> None:
    publish(to="mail")
    deliver()
    assert [(x.classification, x.error_type) for x in letters()] == [("permanent", "not_a_mail")]


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


@pytest.fixture
def s3(acme: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket on an S3 API server, as the configured storage."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("AWS_ENDPOINT_URL_S3", url),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ):
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=url)
    client.create_bucket(Bucket="objects", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    storage = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": "objects",
            "endpoint_url": url,
            "file_overwrite": False,
            "default_acl": None,
            "client_config": Config(connect_timeout=2, read_timeout=5, retries={"max_attempts": 1}),
        },
    }
    settings.STORAGES = {**settings.STORAGES, "default": storage}
    yield client
    # The server's memory is the process's.
    urlopen(Request(f"{url}/moto-api/reset", method="POST"))
    server.stop()
    storages._storages.clear()  # type: ignore[attr-defined]


def keys(client: Any, bucket: str = "objects") -> list[str]:
    return [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_an_object_reaches_s3_once(s3: Any) -> None:
    destination("bucket", "object", {})
    message = publish(3, to="bucket")
    assert deliver().sent == 1
    [key] = keys(s3)
    assert key.endswith(f"{message.pk}.json")
    body = s3.get_object(Bucket="objects", Key=key)["Body"].read()
    assert json.loads(body)["data"] == {"n": 3}
    objects.put(default_storage, key, body)
    assert keys(s3) == [key]


def test_a_bucket_that_is_gone_is_permanent(s3: Any) -> None:
    destination("bucket", "object", {})
    s3.delete_bucket(Bucket="objects")
    publish(3, to="bucket")
    deliver_until_settled()
    assert [(x.classification, x.error_type) for x in letters()] == [("permanent", "s3_NoSuchBucket")]


def test_dead_letters_are_archived_to_a_bucket_of_choice(s3: Any) -> None:
    from django.core.management import call_command

    destination("bucket", "object", {})
    s3.create_bucket(Bucket="attic", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.delete_bucket(Bucket="objects")
    publish(3, to="bucket")
    deliver_until_settled()
    from kaireon.tenancy import context

    context._scope.set(None)
    call_command("archive_dlq", queue="outbox", dest="s3://attic/dlq/", verbosity=0)
    [key] = keys(s3, "attic")
    assert key.startswith("dlq/acme/")


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
