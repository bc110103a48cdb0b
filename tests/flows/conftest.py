import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from kaireon.flows import batches, pipelines
from kaireon.flows.models import FlowRun, Pipeline, RunTrigger
from kaireon.jobs import runner
from kaireon.lib import clock
from kaireon.tenancy.context import current, transaction
from tests.cast import ACME, ADA
from tests.s3 import s3, s3_url

__all__ = ["s3", "s3_url"]


@pytest.fixture(autouse=True)
def _own_storage(settings: Any, tmp_path: Path) -> None:
    """Objects outlive a test's database, and other processes test too."""
    default = {**settings.STORAGES["default"], "OPTIONS": {"location": str(tmp_path / "objects")}}
    settings.STORAGES = {**settings.STORAGES, "default": default}


def process(code: str, *arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run Python code in a process of its own, on the test's database, Redis and objects."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env={**os.environ, "OBJECT_ROOT": default_storage.path(""), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def acme(db: str) -> Iterator[str]:
    """The test runs as Ada in Acme."""
    with ADA.here(request_id="req-1"):
        yield ACME


def make(steps: list[dict[str, Any]], name: str = "nightly", **more: Any) -> Pipeline:
    with transaction():
        return pipelines.create(name=name, definition={"steps": steps}, actor=current().actor, now=clock.now(), **more)


def begin(pipeline: Pipeline) -> FlowRun:
    with transaction():
        return pipelines.start(pipeline, trigger=RunTrigger.CODE, now=clock.now())[0]


def work(run: FlowRun) -> FlowRun:
    """What a worker does with its job, at once."""
    job = again(run).job_ref
    assert job is not None
    runner.run(job_id=job)
    return again(run)


def again(run: FlowRun) -> FlowRun:
    with transaction():
        return FlowRun.objects.get(pk=run.pk)


def put(path: str, text: str | bytes) -> None:
    batches.put(f"{batches.folder()}/{path}", ContentFile(text if isinstance(text, bytes) else text.encode()))


def got(path: str) -> str:
    with default_storage.open(f"{batches.folder()}/{path}") as file:
        return str(file.read(), "utf-8")
