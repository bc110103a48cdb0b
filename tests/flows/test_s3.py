"""Pipelines whose files and batches lie in a bucket, on a real S3 API."""

import csv
import errno
import io
import json
from datetime import timedelta
from typing import Any

import pytest

from customers import flow_nodes
from customers.models import Customer
from kaireon.flows import batches, nodes, scheduler
from kaireon.flows.models import FlowCheckpoint, RunState
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import transaction
from tests.flows.conftest import begin, make, work
from tests.s3 import Bucket

STEPS = [
    {"name": "read", "node": "load_file", "params": {"file": "in/people.csv", "format": "csv"}},
    {"name": "masked", "node": "mask", "params": {"columns": ["email"]}, "needs": ["read"]},
    {"name": "csv", "node": "write_file", "params": {"file": "out/{run}.csv", "format": "csv"}, "needs": ["masked"]},
    {"name": "json", "node": "write_file", "params": {"file": "out.ndjson", "format": "ndjson"}, "needs": ["masked"]},
    {"name": "store", "node": "write_entity", "params": {"entity": "customers"}, "needs": ["read"]},
]


def put(s3: Bucket, path: str, text: str) -> None:
    s3.client.put_object(Bucket=s3.name, Key=f"flows/acme/{path}", Body=text.encode())


def people(count: int) -> str:
    lines = ["\ufeffcustomerId,email,name", *(f'c-{n},p{n}@example.com,"Zoë, {n} 好"' for n in range(count))]
    return "\r\n".join([*lines[:3], "c-x,too few", *lines[3:], ""])


def test_it_reads_and_writes_files_in_a_bucket_and_leaves_nothing_between(
    acme: str, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_nodes, "BATCH_ROWS", 10)
    put(s3, "in/people.csv", people(35))
    put(s3, "out.ndjson", "what a run before this one wrote")
    run = work(begin(make(STEPS)))
    assert (run.state, run.message) == (RunState.DONE, "")
    assert (run.rows_in, run.rows_out, run.rows_failed) == (36, 3 * 35, 1)
    base = "flows/acme/"
    assert s3.names() == sorted(
        base + name for name in ("in/people.csv", f"out/{run.pk}.csv", "out.ndjson", f"rejects/{run.pk}.csv")
    )
    rows = list(csv.DictReader(io.StringIO(s3.read(f"{base}out/{run.pk}.csv").decode())))
    assert [row["customerId"] for row in rows] == [f"c-{n}" for n in range(35)]
    assert rows[34] == {"customerId": "c-34", "email": "p***@example.com", "name": "Zoë, 34 好"}
    assert [json.loads(line) for line in s3.read(f"{base}out.ndjson").splitlines()] == rows
    with transaction():
        assert Customer.objects.count() == 35


def test_a_file_that_is_not_in_the_bucket_fails_it_for_good(acme: str, s3: Bucket) -> None:
    run = work(begin(make(STEPS)))
    assert (run.state, run.error, run.failed_step) == (RunState.FAILED, "file_missing", "read")


def test_a_bucket_that_does_not_answer_is_tried_again_and_the_run_goes_on(acme: str, s3: Bucket, settings: Any) -> None:
    put(s3, "in/people.csv", people(5))
    run = begin(make(STEPS))
    good = settings.STORAGES
    nowhere = {**good["default"]["OPTIONS"], "endpoint_url": "http://127.0.0.1:1"}
    settings.STORAGES = {**good, "default": {**good["default"], "OPTIONS": nowhere}}
    waiting = work(run)
    assert (waiting.state, waiting.error, waiting.failed_step) == (
        RunState.RUNNING,
        "endpoint_connection_error",
        "read",
    )
    settings.STORAGES = good
    with clock.freeze(clock.now() + timedelta(minutes=2)):
        ended = work(run)
    assert (ended.state, ended.error, ended.rows_out) == (RunState.DONE, "", 15)


def test_batches_that_somebody_removed_fail_it_with_what_to_do(
    acme: str, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, "in/people.csv", people(5))
    run = begin(make([*STEPS[:2], {**STEPS[2], "params": {"file": "x", "format": "csv", "columns": ["no"]}}]))
    removed: list[str] = []

    def remove_then_mask(value: str, **_: object) -> str:
        if not removed:
            removed.extend(key for key in s3.names() if "/work/" in key)
            raise ConnectionError("away for a moment")
        return value

    monkeypatch.setattr(nodes, "mask", remove_then_mask)
    assert work(run).state == RunState.RUNNING
    assert removed
    for key in removed:
        s3.client.delete_object(Bucket=s3.name, Key=key)
    with clock.freeze(clock.now() + timedelta(minutes=2)):
        ended = work(run)
    assert (ended.state, ended.error, ended.failed_step) == (RunState.FAILED, "batches_gone", "masked")
    assert "start a new run" in ended.message


def test_what_a_failed_run_left_in_the_bucket_is_cleared_a_day_later(
    acme: str, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, "in/people.csv", people(5))
    put(s3, "other", "mine")
    run = begin(make([*STEPS[:2], STEPS[3]]))
    with transaction():
        Job.objects.update(failures=9)
    put_there = batches.put

    def full(name: str, content: Any) -> None:
        if name.endswith("out.ndjson"):
            raise OSError(errno.ENOSPC, "no room")
        put_there(name, content)

    monkeypatch.setattr(batches, "put", full)
    assert work(run).state == RunState.FAILED
    assert any("/work/" in key for key in s3.names())
    assert scheduler.tick(now=clock.now() + timedelta(days=1), budget=Budget(20)).cleared == 1
    assert [key for key in s3.names() if "/work/" in key] == []
    assert "flows/acme/other" in s3.names()


def test_long_lines_make_small_batches(acme: str, s3: Bucket) -> None:
    """A thousand lines of a megabyte each are not held in memory at once."""
    line = json.dumps({"customerId": "c-1", "name": "x" * 1_000_000})
    put(s3, "in.ndjson", f"{line}\n" * 12)
    run = begin(
        make(
            [
                {"name": "read", "node": "load_file", "params": {"file": "in.ndjson", "format": "ndjson"}},
                {"name": "out", "node": "write_file", "params": {"file": "out.ndjson", "format": "ndjson"}},
            ]
        )
    )
    done = work(run)
    assert (done.state, done.rows_out) == (RunState.DONE, 12)
    with transaction():
        assert FlowCheckpoint.objects.get(step="read").output == {"batches": 3}
    assert s3.read("flows/acme/out.ndjson") == f"{line}\n".encode() * 12
