"""Large dossiers in a bucket, on a real S3 API: put, read, erased, expired, gone, and with the bucket away."""

import contextvars
import json
import logging
from datetime import timedelta
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest
from django.core.management import call_command

from cron import runner as cron
from cron.models import Trigger
from customers import models as m
from customers.models import ObjectRemoval
from dsar.dossiers import keeping
from dsar.models import Dossier
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.dsar.conftest import EMAIL, NUMBER, SECRETS, again, answer, client, file
from tests.s3 import Bucket

DSAR = "/api/v1/dsar"


@pytest.fixture
def bucket(jane: m.Customer, s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Every dossier is a large one. What the customer's own files left in another storage is none of this."""
    monkeypatch.setattr(keeping, "MOST_IN_ROW", 100)
    with transaction():
        m.Attachment.objects.all().delete()
    return s3


def stored(bucket: Bucket) -> list[str]:
    return [name for name in bucket.names() if name.startswith("dossiers/")]


def cleaned() -> dict[str, Any]:
    # A job of all tenants opens its own scopes.
    body: dict[str, Any] = contextvars.Context().run(lambda: cron.run_job("cleanup", trigger=Trigger.COMMAND).body)
    return body


def test_it_is_put_read_in_every_form_and_erased(bucket: Bucket, tmp_path: Any) -> None:
    request, sealed = answer(file()), answer(file(encrypt=True))
    assert (request.status, sealed.status) == ("completed", "completed")
    keys = stored(bucket)
    assert len(keys) == 2
    for key in keys:
        assert key.startswith("dossiers/acme/")
        assert not [secret for secret in (*SECRETS, NUMBER) if secret in key or secret.encode() in bucket.read(key)]
    downloaded = client().get(f"{DSAR}/{request.pk}/download")
    content = b"".join(downloaded.streaming_content)
    assert len(content) == int(downloaded["Content-Length"])
    assert json.loads(content)["data"]["profile"]["email"] == EMAIL
    zipped = b"".join(client().get(f"{DSAR}/{request.pk}/download?format=zip").streaming_content)
    assert ZipFile(BytesIO(zipped)).read("dossier.json") == content
    source, out = tmp_path / "in.json", tmp_path / "out.json"
    source.write_bytes(b"".join(client().get(f"{DSAR}/{sealed.pk}/download").streaming_content))
    call_command("dsar_decrypt", str(source), out=out)
    assert json.loads(out.read_bytes())["data"]["profile"] == json.loads(content)["data"]["profile"]
    with transaction():
        assert not ObjectRemoval.objects.exists()
    erased = answer(file("delete"))
    assert (erased.outcome, erased.counts["objects"]) == ("completed", {"deleted": 2, "wereMissing": 0})
    assert stored(bucket) == []
    assert client().get(f"{DSAR}/{request.pk}/download").status_code == 410


def test_cleanup_removes_what_expired_and_what_is_gone_already_is_a_warning(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, fresh = (answer(file(subject_id=who)) for who in (NUMBER, "C-99", "nobody"))
    with transaction():
        names = dict(Dossier.objects.values_list("request_id", "file"))
        Dossier.objects.filter(request__in=[first.pk, second.pk]).update(expires_at=clock.now() - timedelta(days=1))
    bucket.client.delete_object(Bucket=bucket.name, Key=names[first.pk])
    assert client().get(f"{DSAR}/{first.pk}/download").status_code == 410
    with caplog.at_level(logging.WARNING, logger="kaireon.storage"):
        body = cleaned()
    assert body["ok"] is True
    assert stored(bucket) == [names[fresh.pk]]
    told = [record.message for record in caplog.records if record.name == "kaireon.storage"]
    assert told == ["object_was_missing"]
    with transaction():
        assert list(Dossier.objects.values_list("request_id", flat=True)) == [fresh.pk]
        assert not ObjectRemoval.objects.exists()
    # One that vanished before its time is said to be gone, and no erasure stumbles on it.
    bucket.client.delete_object(Bucket=bucket.name, Key=names[fresh.pk])
    gone = client().get(f"{DSAR}/{fresh.pk}/download")
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "package_gone")
    missing = answer(file())
    [key] = stored(bucket)
    bucket.client.delete_object(Bucket=bucket.name, Key=key)
    assert missing.status == "completed"
    assert answer(file("delete")).counts["objects"] == {"deleted": 1, "wereMissing": 1}


def test_while_the_bucket_is_away_nothing_is_lost_or_left(bucket: Bucket, settings: Any) -> None:
    there = settings.STORAGES
    away = there["default"]["OPTIONS"] | {"endpoint_url": "http://127.0.0.1:1"}
    told, waiting = answer(file()), file(subject_id="C-99")
    settings.STORAGES = {**there, "default": there["default"] | {"OPTIONS": away}}
    assert answer(waiting).status == "processing"
    refused = client().get(f"{DSAR}/{told.pk}/download")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "storage_away")
    with transaction():
        assert not client().get("/api/v1/audit-logs?action=dsar.export.downloaded").json()["logs"]
        assert Dossier.objects.count() == 1
        job = Job.objects.get(pk=waiting.job.pk)
        assert (job.state, job.failures) == ("queued", 1)
        Job.objects.filter(pk=job.pk).update(due_at=clock.now())
    settings.STORAGES = there
    answer(waiting)
    assert again(waiting).status == "completed"
    assert len(stored(bucket)) == 2
    assert b"".join(client().get(f"{DSAR}/{told.pk}/download").streaming_content)
