"""An S3 API server in a process of its own, and the product's own configuration of it as its storage."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import boto3
import pytest
from django.core.files.storage import storages

from kaireon import env
from kaireon.settings import _object_storage

REGION = "eu-central-1"


@dataclass(frozen=True)
class Bucket:
    """`client` speaks to the server past the product."""

    client: Any
    url: str
    name: str = "objects"

    def make(self, name: str) -> None:
        self.client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})

    def names(self, bucket: str = "") -> list[str]:
        listed = self.client.list_objects_v2(Bucket=bucket or self.name)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def read(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        try:
            urlopen(f"{url}/moto-api/", timeout=5).close()
        except (URLError, OSError):
            assert server.poll() is None, "the S3 server ended"
            time.sleep(0.1)
        else:
            return
    pytest.fail("the S3 server does not answer")


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    # It imports no part of ours, and shall take no settings of ours for its own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "AWS_"))}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.fixture
def s3(db: str, s3_url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, which is the product's storage."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        # For what names a bucket of its own, as `archive_dlq --dest` does.
        ("AWS_ENDPOINT_URL_S3", s3_url),
    ):
        monkeypatch.setenv(name, value)
    bucket = Bucket(boto3.client("s3", endpoint_url=s3_url), s3_url)
    bucket.make(bucket.name)
    monkeypatch.setattr(env, "OBJECT_STORAGE", "s3")
    monkeypatch.setattr(env, "OBJECT_BUCKET", bucket.name)
    monkeypatch.setattr(env, "OBJECT_ENDPOINT_URL", s3_url)
    settings.STORAGES = {**settings.STORAGES, "default": _object_storage()}
    yield bucket
    urlopen(Request(f"{s3_url}/moto-api/reset", method="POST")).close()
    storages._storages.clear()  # type: ignore[attr-defined]
