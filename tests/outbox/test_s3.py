"""Objects and archives in a bucket, on a real S3 API."""

import json
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command

from kaireon.outbox import archive, objects
from kaireon.tenancy import context
from kaireon.tenancy.context import transaction
from tests.outbox.conftest import again, deliver, deliver_until_settled, destination, letters, make_due, publish
from tests.s3 import Bucket


def test_an_object_reaches_the_bucket_once(acme: str, s3: Bucket) -> None:
    destination("bucket", "object", {"prefix": "feed"})
    message = publish(3, to="bucket", payload={"n": 3, "who": "ü 好 🎉"})
    assert deliver().sent == 1
    [key] = s3.names()
    assert key == f"outbox/acme/feed/test.event/{message.created_at:%Y/%m/%d}/{message.pk}.json"
    body = json.loads(s3.read(key))
    assert (body["id"], body["data"]) == (str(message.pk), {"n": 3, "who": "ü 好 🎉"})


def test_a_second_delivery_is_the_same_object(acme: str, s3: Bucket) -> None:
    destination("bucket", "object", {})
    publish(3, to="bucket")
    deliver()
    [key] = s3.names()
    body = s3.read(key)
    # What a crash left half is replaced, what is whole is left alone.
    for there in (body[:10], b"", body):
        s3.client.put_object(Bucket=s3.name, Key=key, Body=there)
        objects.put(default_storage, key, body)
        assert (s3.names(), s3.read(key)) == ([key], body)


@pytest.mark.parametrize("storage", ["bucket gone", "server away"])
def test_a_bucket_that_does_not_take_it(acme: str, s3: Bucket, settings: Any, storage: str) -> None:
    destination("bucket", "object", {})
    if storage == "bucket gone":
        s3.client.delete_bucket(Bucket=s3.name)
    else:
        options = settings.STORAGES["default"]["OPTIONS"] | {"endpoint_url": "http://127.0.0.1:1"}
        settings.STORAGES = {**settings.STORAGES, "default": settings.STORAGES["default"] | {"OPTIONS": options}}
    message = publish(3, to="bucket")
    deliver()
    if storage == "bucket gone":
        assert [(x.classification, x.error_type) for x in letters()] == [("permanent", "s3_NoSuchBucket")]
    else:
        assert (again(message).state, again(message).error) == ("pending", "EndpointConnectionError")


def test_what_the_bucket_refused_for_a_while_gets_there(acme: str, s3: Bucket, settings: Any) -> None:
    destination("bucket", "object", {})
    good = settings.STORAGES
    options = good["default"]["OPTIONS"] | {"endpoint_url": "http://127.0.0.1:1"}
    settings.STORAGES = {**good, "default": good["default"] | {"OPTIONS": options}}
    message = publish(3, to="bucket")
    assert deliver().failed == 1
    settings.STORAGES = good
    make_due()
    assert deliver().sent == 1
    [key] = s3.names()
    assert key.endswith(f"{message.pk}.json")


def dead_letter(s3: Bucket) -> None:
    destination("bucket", "object", {})
    s3.client.delete_bucket(Bucket=s3.name)
    publish(3, to="bucket", payload={"n": 3, "who": "Jane Doe"})
    deliver_until_settled()


def test_dead_letters_are_archived_to_a_bucket_of_choice_and_read_back(acme: str, s3: Bucket) -> None:
    dead_letter(s3)
    s3.make("attic")
    here = context._scope.get()
    context._scope.set(None)
    call_command("archive_dlq", queue="outbox", dest="s3://attic/dlq/", verbosity=0)
    context._scope.set(here)
    [key] = s3.names("attic")
    assert key.startswith("dlq/acme/")
    body = s3.client.get_object(Bucket="attic", Key=key)["Body"].read()
    with transaction():
        [line] = archive.read(body, name=key)
    assert line["payload"] == {"n": 3, "who": "Jane Doe"}
    assert letters()[0].archive_name == key


def test_an_archive_that_cannot_be_written_marks_nothing(acme: str, s3: Bucket) -> None:
    dead_letter(s3)
    context._scope.set(None)
    with pytest.raises(CommandError, match="nothing more was marked archived"):
        call_command("archive_dlq", queue="outbox", dest="s3://nowhere/dlq/", verbosity=0)
    with context.scope(tenant_id="acme", actor=context.Actor.system("test")):
        assert letters()[0].archived_at is None
