"""Exports as a background job: asked for, written once however often its worker dies, fetched, and gone in time."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command

from audit.exports import copying, jobs
from audit.models import AuditExport
from audit.tree import checkpoints, notes
from cron import runner as cron
from cron.models import Trigger
from kaireon.jobs import cancelling, runner
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.audit.log import records, verdict, write
from tests.caller import error_of, with_key
from tests.cast import ACME, ADA
from tests.s3 import Bucket

pytestmark = pytest.mark.usefixtures("db")


def ask(nick: str = "aud", /, **body: str) -> str:
    answer: Any = with_key(nick).post("/audit-exports", {"format": "ndjson", **body})
    assert answer.status_code == 202, answer.content
    assert answer.json()["status"] == "queued"
    return str(answer.json()["exportId"])


def status(export_id: str) -> dict[str, Any]:
    answer: Any = with_key("aud").get(f"/audit-exports/{export_id}")
    found: dict[str, Any] = answer.json()
    return found


def download(export_id: str) -> Any:
    return with_key("aud").get(f"/audit-exports/{export_id}/download")


def work(export_id: str) -> Job:
    with ADA.here():
        with transaction():
            row = AuditExport.objects.get(pk=export_id)
        done = runner.run(job_id=row.job_ref)  # type: ignore[arg-type]
    assert done is not None
    return done


def objects(export_id: str) -> list[str]:
    try:
        return default_storage.listdir(f"audit-exports/{ACME}/{export_id}")[1]
    except FileNotFoundError:
        return []


def test_from_asking_to_fetching_with_a_record_of_each() -> None:
    write(5, tenant=ACME)
    export_id = ask(action="test.event")
    assert error_of(download(export_id))["code"] == "not_completed"
    assert work(export_id).state == JobState.DONE

    told = status(export_id)
    answer = download(export_id)
    content = b"".join(answer.streaming_content)
    assert answer.status_code == 200
    assert answer["Content-Disposition"].startswith('attachment; filename="audit-export-acme-')
    assert int(answer["Content-Length"]) == len(content) == told["bytes"]
    assert (told["status"], told["percent"]) == ("completed", 100)
    assert [json.loads(line)["action"] for line in content.splitlines()] == ["test.event"] * 5
    assert told["records"] == 5
    assert told["sha256"] == sha256(content).hexdigest()

    log: dict[str, Any] = {r.action: r for r in records(ACME)}
    assert log["audit_log.export_requested"].user_name == "aud"
    assert log["audit_log.export"].after["sha256"] == told["sha256"]
    assert log["audit_log.download"].changes["sha256"] == told["sha256"]
    assert log["audit_log.download"].user_name == "aud"


def test_the_manifest_says_what_the_file_is() -> None:
    write(5, tenant=ACME)
    export_id = ask(format="csv")
    work(export_id)
    told = status(export_id)
    manifest = told["manifest"]
    assert manifest["fileFormat"] == "csv"
    assert (manifest["firstSeq"], manifest["lastSeq"]) == (1, manifest["records"])
    assert (manifest["sha256"], manifest["bytes"]) == (told["sha256"], told["bytes"])
    checkpoint = notes.Checkpoint.parse(notes.Note.parse(manifest["checkpoint"]).text)
    assert checkpoint.size == manifest["treeSize"] >= manifest["lastSeq"]
    assert checkpoint.root.hex() == manifest["rootHash"]


def test_nothing_at_all_is_an_empty_file() -> None:
    export_id = ask(**{"from": "2040-01-01"})
    work(export_id)
    assert status(export_id)["records"] == 0
    assert b"".join(download(export_id).streaming_content) == b""


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"format": "xml"}, "format"),
        ({}, "format"),
        ({"format": "csv", "from": "yesterday"}, "from"),
        ({"format": "csv", "from": "2026-02-30"}, "from"),
        ({"format": "csv", "to": "2026-01-01T10:00:00"}, "to"),
        ({"format": "csv", "from": "2026-02-02", "to": "2026-02-01"}, "from"),
        ({"format": "csv", "action": "x\x00"}, "action"),
        ({"format": "csv", "action": "x" * 201}, "action"),
        ({"format": "csv", "limit": 5}, "limit"),
    ],
)
def test_a_wrong_question_is_refused_by_its_field(body: dict[str, Any], field: str) -> None:
    error = error_of(with_key("aud").post("/audit-exports", body))
    assert error["status"] == 400
    assert field in error["message"]


def test_the_same_key_asks_once() -> None:
    caller: Any = with_key("aud")
    first, second = (caller.post("/audit-exports", {"format": "csv"}, idempotency_key="one") for _ in range(2))
    assert first.json() == second.json()
    assert caller.get("/audit-exports").json()["total"] == 1
    other = caller.post("/audit-exports", {"format": "ndjson"}, idempotency_key="one")
    assert error_of(other)["status"] == 422


def test_a_tenant_has_so_many_under_way_and_no_more() -> None:
    made = [ask() for _ in range(jobs.MOST_OPEN)]
    assert error_of(with_key("ada").post("/audit-exports", {"format": "csv"}))["code"] == "too_many_exports"
    work(made[0])
    ask()


def test_a_file_goes_when_its_time_is_over() -> None:
    export_id = ask()
    work(export_id)
    assert objects(export_id)
    with clock.freeze(clock.now() + timedelta(days=8)):
        assert error_of(download(export_id))["code"] == "file_gone"
        assert status(export_id)["downloadUrl"] is None
        ran = cron.run_job("cleanup", trigger=Trigger.COMMAND)
    [entry] = [e for e in ran.body["perTenant"] if e["tenantId"] == ACME]
    assert entry["auditExportsExpired"] == 1
    assert objects(export_id) == []
    assert status(export_id)["sha256"]


def test_a_broken_log_is_not_exported(superuser: psycopg.Connection) -> None:
    write(3, tenant=ACME)
    records(ACME)
    superuser.execute("SET session_replication_role = replica")
    superuser.execute("DELETE FROM audit_record WHERE tenant_id = %s AND seq = 2", [ACME])
    export_id = ask()
    assert work(export_id).state == JobState.FAILED
    told = status(export_id)
    assert (told["status"], told["error"]) == ("failed", "log_contradicts_checkpoint")
    assert told["downloadUrl"] is None
    assert error_of(download(export_id))["code"] == "not_completed"


def test_a_cancelled_one_has_failed() -> None:
    export_id = ask()
    with ADA.here(), transaction():
        cancelling.cancel(job=Job.objects.get(type=jobs.JOB_TYPE), now=clock.now())
    assert (status(export_id)["status"], status(export_id)["error"]) == ("failed", "cancelled")


def in_bucket(s3: Bucket, export_id: str) -> list[str]:
    return [name for name in s3.names() if name.startswith(f"audit-exports/{ACME}/{export_id}/")]


def test_a_bucket_keeps_the_file_and_gives_it_back_until_its_time_is_over(s3: Bucket) -> None:
    write(5, tenant=ACME)
    export_id = ask(format="csv")
    assert work(export_id).state == JobState.DONE
    told = status(export_id)
    [key] = in_bucket(s3, export_id)
    content = s3.read(key)
    assert (sha256(content).hexdigest(), len(content)) == (told["sha256"], told["bytes"])
    assert b"".join(download(export_id).streaming_content) == content

    with clock.freeze(clock.now() + timedelta(days=8)):
        cron.run_job("cleanup", trigger=Trigger.COMMAND)
        assert error_of(download(export_id))["code"] == "file_gone"
    assert in_bucket(s3, export_id) == []


def test_a_file_that_is_gone_from_the_bucket_is_said_to_be_gone(s3: Bucket) -> None:
    export_id = ask()
    work(export_id)
    [key] = in_bucket(s3, export_id)
    s3.client.delete_object(Bucket=s3.name, Key=key)
    assert error_of(download(export_id))["code"] == "file_gone"


def test_a_bucket_that_is_away_is_tried_again(s3: Bucket) -> None:
    write(5, tenant=ACME)
    export_id = ask()
    s3.client.delete_bucket(Bucket=s3.name)
    assert work(export_id).state == JobState.QUEUED
    assert status(export_id)["status"] == "processing"
    assert error_of(download(export_id))["code"] == "not_completed"

    s3.make(s3.name)
    with clock.freeze(clock.now() + timedelta(minutes=5)):
        assert work(export_id).state == JobState.DONE
    [key] = in_bucket(s3, export_id)
    assert sha256(s3.read(key)).hexdigest() == status(export_id)["sha256"]


DYING = """
import django; django.setup()
import os, signal
from django.core.files.storage import default_storage
from audit.exports import copying, jobs
from kaireon.jobs import runner
from kaireon.tenancy.context import Actor, scope

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if "{where}" == "copying":
    copying.SLICE = 2
    jobs._moved = die
elif "{where}" == "saved":
    jobs._completed = die
else:
    real = default_storage._wrapped if hasattr(default_storage, "_wrapped") else default_storage
    default_storage.exists("x")
    def half(name, content):
        path = default_storage.path(name)
        os.makedirs(os.path.dirname(path))
        open(path, "wb").write(content.read(10))
        die()
    default_storage._wrapped._save = half
with scope(tenant_id="acme", actor=Actor.job("test")):
    runner.run(job_id=__import__("uuid").UUID("{job}"))
"""


@pytest.mark.parametrize("where", ["copying", "half an object", "saved"])
def test_a_killed_worker_leaves_nothing_to_download_and_the_next_one_finishes(where: str) -> None:
    write(6, tenant=ACME)
    export_id = ask()
    with ADA.here(), transaction():
        job = Job.objects.get(type=jobs.JOB_TYPE)
    code = textwrap.dedent(DYING).replace("{where}", where).replace("{job}", str(job.pk))
    died = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False)
    assert died.returncode == -signal.SIGKILL

    assert status(export_id)["status"] == "processing"
    assert error_of(download(export_id))["code"] == "not_completed"

    with clock.freeze(clock.now() + timedelta(minutes=5)):
        assert work(export_id).state == JobState.DONE
    told = status(export_id)
    content = b"".join(download(export_id).streaming_content)
    assert sha256(content).hexdigest() == told["sha256"]
    assert len(objects(export_id)) == 1
    assert verdict(ACME).intact


def test_progress_is_told_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    write(40, tenant=ACME)
    export_id = ask()
    seen: list[int] = []
    monkeypatch.setattr(copying, "SLICE", 10)
    monkeypatch.setattr(runner, "TELL_SECONDS", 0.0)
    told = jobs._moved

    def moved(*args: Any) -> None:
        told(*args)
        with transaction():
            seen.append(jobs.progress_of(AuditExport.objects.get(pk=export_id)).percent)

    monkeypatch.setattr(jobs, "_moved", moved)
    work(export_id)
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert 0 < seen[0] < 50
    assert status(export_id)["percent"] == 100


def test_a_checkpoint_covers_what_leaves() -> None:
    write(5, tenant=ACME)
    export_id = ask()
    work(export_id)
    with ADA.here(), transaction():
        newest = checkpoints.newest(ACME)
    assert newest is not None
    assert newest.tree_size >= status(export_id)["lastSeq"]


@pytest.mark.parametrize("format_", ["ndjson", "csv"])
def test_the_command_writes_the_same_to_a_file(tmp_path: Path, format_: str) -> None:
    write(5, tenant=ACME)
    target = tmp_path / "log"
    call_command("audit_export", tenant=ACME, stream=True, format=format_, output=target, verbosity=0)
    manifest = json.loads((tmp_path / "log.manifest.json").read_text())
    content = target.read_bytes()
    assert manifest["sha256"] == sha256(content).hexdigest()
    assert (manifest["fileFormat"], manifest["bytes"]) == (format_, len(content))
    assert manifest["records"] == len(content.splitlines()) - (format_ == "csv")
    [recorded] = records(ACME, action="audit_log.export")
    assert recorded.changes is not None
    assert recorded.changes["sha256"] == manifest["sha256"]
    assert recorded.user_name == "command:audit_export"
    with pytest.raises(CommandError, match="exists"):
        call_command("audit_export", tenant=ACME, stream=True, output=target, verbosity=0)
    with pytest.raises(CommandError, match="--stream writes"):
        call_command("audit_export", tenant=ACME, stream=True, format="bundle", output=tmp_path / "b", verbosity=0)


def test_the_command_leaves_no_file_of_a_log_with_gaps(tmp_path: Path, superuser: psycopg.Connection) -> None:
    write(5, tenant=ACME)
    records(ACME)
    with ADA.here():
        jobs.checkpointed(ACME)
    superuser.execute("SET session_replication_role = replica")
    superuser.execute("DELETE FROM audit_record WHERE tenant_id = %s AND seq = 3", [ACME])
    with pytest.raises(CommandError, match="audit_verify"):
        call_command("audit_export", tenant=ACME, stream=True, output=tmp_path / "log", verbosity=0)
    assert list(tmp_path.iterdir()) == []
