"""An older database is restored: it is not served, the erasures since are done again, and everybody can see it."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from audit import services as audit_log
from audit.models import AuditRecord, Restore, SubjectKey
from audit.restoring import gate, published
from audit.tree import checkpoints, publication
from audit.verification.verify import verify
from cron import runner as cron
from cron.models import Trigger
from customers import models as m
from dsar.letters import manner
from dsar.models import DsarRequest, ErasureEntry, Letter
from dsar.restoring import replay
from kaireon.api import written_once
from kaireon.jobs.models import Job
from kaireon.jobs.tasks import run as run_task
from kaireon.jobs.tasks import sweep
from kaireon.lib import clock
from kaireon.outbox.tasks import sweep as outbox_sweep
from kaireon.tenancy import serving
from kaireon.tenancy.context import PLATFORM, scope, transaction
from tests.audit.kills.child import fork, killed
from tests.audit.log import write
from tests.cast import ACME, ADA, GLOBEX, MALLORY, SETUP
from tests.dsar.conftest import NUMBER, answer, client, file, make_customer
from tests.dsar.restored import dump, go_back, publish, restore, snapshot
from tests.dsar.test_erasure import _hold, _release
from tests.s3 import Bucket
from tests.servers import SUITE

REASON = "disk failure on the 21st"


@pytest.fixture
def production(db: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(gate, "GOOD_SECONDS", 0.0)
    monkeypatch.setattr(gate, "BAD_SECONDS", 0.0)
    settings.PRODUCTION = True
    yield
    gate.gate.forget()


@pytest.fixture
def people(db: str) -> None:
    """Jane and Bob, who will be erased, and a neighbour in each tenant, who will not."""
    with ADA.here(), transaction():
        make_customer("C-99", "neighbour@example.com")
        make_customer()
        make_customer("C-18", "bob@example.com")
        # Whoever was erased has their answer: the second time nobody writes.
        manner.change({"automatic": True}, now=clock.now())
    with MALLORY.here(), transaction():
        make_customer()


def check(*arguments: str) -> tuple[int, str]:
    """Its exit code, and what it says."""
    said = StringIO()
    try:
        call_command("compliance_restore_check", *arguments, stdout=said)
    except SystemExit as end:
        return int(str(end.code)), said.getvalue()
    except CommandError as error:
        return error.returncode, str(error)
    return 0, said.getvalue()


def numbers(tenant: str = ACME) -> list[str]:
    with scope(tenant_id=tenant, actor=SETUP), transaction():
        return sorted(m.Customer.objects.values_list("customer_id", flat=True))


def erase(*names: str) -> list[DsarRequest]:
    with ADA.here():
        return [answer(file("delete", name)) for name in names]


def records(action: str, tenant: str = ACME) -> list[AuditRecord]:
    with scope(tenant_id=tenant, actor=SETUP), transaction():
        return list(AuditRecord.objects.filter(tenant_id=tenant, action=action).order_by("seq"))


def statuses() -> tuple[int, int, int]:
    """The API, the admin, and the probe."""
    api = client().get("/api/v1/customers").status_code
    admin = Client().get("/admin/login/").status_code
    return api, admin, probe()[0]


def probe() -> tuple[int, dict[str, Any]]:
    said = Client().get("/readyz", SERVER_PORT=str(django_settings.OPS_PORT))
    return said.status_code, said.json()


@pytest.mark.usefixtures("production", "people")
def test_a_dump_is_restored_checked_and_served_again(db: str, tmp_path: Path) -> None:
    publish()
    with ADA.here():
        waiting = file("export", "C-99")
    path = dump(db, tmp_path)
    first, _ = erase(NUMBER, "C-18")
    publish()
    assert statuses() == (200, 200, 200)
    assert numbers() == ["C-99"]
    with ADA.here(), transaction():
        newest = checkpoints.newest(ACME)
        assert newest is not None
        lost_note, lost_size = newest.note, newest.tree_size
        jane = first.customer_ref

    restore(db, path)
    # They are back, and nothing is at work.
    assert numbers() == ["C-17", "C-18", "C-99"]
    refused = client().get("/api/v1/customers")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
    assert refused.json()["error"]["code"] == "not_serving"
    assert "compliance_restore_check" in refused.json()["error"]["message"]
    assert statuses() == (503, 503, 503)
    assert probe()[1]["checks"]["serving"] == "failed"
    assert probe()[1]["reasons"] == {"serving": [gate.IS_OLDER]}
    for refuse in (
        lambda: run_task(tenant_id=ACME, job_id=str(first.pk)),
        lambda: cron.run_job("audit-publish", trigger=Trigger.COMMAND),
    ):
        with pytest.raises(serving.NotServing):
            refuse()
    # Messages of the time before are gone: only the sweep would find what is due.
    SUITE.flush_redis()
    assert (sweep(queue="dsar-jobs"), outbox_sweep()) == (0, 0)
    assert list(checkpoints.make_each_due()) == []
    write(2, tenant=ACME)
    audit_log.drain(ACME)
    assert checkpoints.make(ACME) is not None
    with ADA.here(), pytest.raises(published.LogIsOlder):
        publication.publish()
    audit_log.drain(PLATFORM)
    with connection.cursor() as cursor, scope(tenant_id=PLATFORM, actor=SETUP), transaction():
        cursor.execute("SELECT count(*) FROM audit_record WHERE action = %s", [gate.NOTICED_VERB])
        assert cursor.fetchone() == (1,)

    code, said = check("--dry-run", "--json")
    assert code == 1
    by_log = {found["tenantId"]: found for found in map(json.loads, said.splitlines())}
    assert by_log[ACME]["lostCheckpoint"]["size"] == lost_size
    told, _ = by_log[ACME]["forgottenErasures"]
    assert told["requestId"] == str(first.pk)
    assert numbers() == ["C-17", "C-18", "C-99"]
    # Who says nothing of why is asked.
    assert check()[0] == 2
    assert statuses() == (503, 503, 503)

    code, said = check("--reason", REASON)
    assert (code, numbers(), numbers(GLOBEX)) == (0, ["C-99"], ["C-17"]), said
    assert statuses() == (200, 200, 200)
    # The export that waits since before the dump, and the letter that says it came.
    assert sweep(queue="dsar-jobs") == 2
    with ADA.here():
        assert answer(waiting).status == "completed"
    _holds_together(lost_note, lost_size)
    with ADA.here(), transaction():
        entries = list(ErasureEntry.objects.in_order())
        assert [(one.number, bool(one.taken_over_at), bool(one.replayed_at)) for one in entries] == [
            (1, True, True),
            (2, True, True),
            (3, False, False),
            (4, False, False),
        ]
        assert not SubjectKey.objects.filter(subject_id=str(jane), destroyed_at=None).exists()
        again = list(DsarRequest.objects.filter(requested_by=replay.ACTOR.id))
        assert {one.outcome for one in again} == {"completed"}
        assert not Letter.objects.filter(request__in=[one.pk for one in again]).exists()
    [report] = [name for name in written_once.names_after(f"restores/{ACME}") if name.startswith("report-")]
    assert json.loads(written_once.read(f"restores/{ACME}/{report}") or b"")["reason"] == REASON

    # A second run finds nothing, and changes nothing.
    count = len(_drained("", ACME))
    code, said = check("--reason", REASON)
    assert (code, "Nothing to do" in said) == (0, True)
    assert len(_drained("", ACME)) == count
    assert numbers(GLOBEX) == ["C-17"]


def _holds_together(lost_note: str, lost_size: int) -> None:
    """The log says what is lost, is intact, and goes on; who holds a lost checkpoint is told so."""
    [record] = _drained("audit_log.restored", ACME)
    assert record.changes is not None
    assert (record.changes["lostSize"], record.changes["reason"]) == (lost_size, REASON)
    assert len(_drained(replay.REPLAYED_VERB, ACME)) == 2
    publish()
    with ADA.here(), transaction():
        assert verify().intact
        verdict = verify(against=checkpoints.notes.Note.parse(lost_note))
        assert (verdict.broken_reason, verdict.lost_by_restore) == ("checkpoint_mismatch", 1)
        row = Restore.objects.get(tenant_id=ACME)
        assert row.lost_note == lost_note
    names = written_once.names_after(f"checkpoints/{ACME}", row.lost_name)
    assert [publication.place_of(name)[0] for name in names if publication.place_of(name)] == [1]  # type: ignore[index]


def _drained(action: str, tenant: str) -> list[AuditRecord]:
    audit_log.drain(tenant)
    if action:
        return records(action, tenant)
    with scope(tenant_id=tenant, actor=SETUP), transaction():
        return list(AuditRecord.objects.filter(tenant_id=tenant))


@pytest.mark.usefixtures("production", "people")
def test_what_a_hold_keeps_is_deferred_and_a_killed_run_goes_on(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ADA.here():
        _hold("interactions")
    publish()
    with snapshot(db) as copy:
        with ADA.here():
            _release("interactions")
        erase(NUMBER, "C-18")
        go_back(db, copy)
    # No checkpoint was published since: the journal alone tells.
    assert statuses() == (503, 503, 503)
    points: list[tuple[Any, str]] = [(replay.forgotten, "find"), (replay, "_work_off"), (replay, "replay_all")]
    for module, name in points:
        _killed_after(monkeypatch, module, name)
        assert serving.refusal() in (gate.IS_OLDER, None)
    assert check("--reason", REASON)[0] == 0
    assert statuses() == (200, 200, 200)
    with ADA.here(), transaction():
        asked = DsarRequest.objects.filter(requested_by=replay.ACTOR.id)
        # Each once, though it was killed in between.
        assert sorted(asked.values_list("state", flat=True)) == ["deferred", "deferred"]
        assert not ErasureEntry.objects.to_replay().exists()
        assert not Letter.objects.exists()
        assert m.DecisionTrace.objects.count() == 1
        assert m.Interaction.objects.count() == 9
        names = set(m.Customer.objects.exclude(customer_id="C-99").values_list("email", flat=True))
        assert names == {""}


@pytest.mark.usefixtures("production", "people")
def test_what_was_held_when_it_was_erased_waits_for_its_hold(db: str) -> None:
    publish()
    with snapshot(db) as copy:
        with ADA.here():
            _hold("interactions")
        erase(NUMBER, "C-18")
        with ADA.here(), transaction():
            assert m.Interaction.objects.count() == 9
        go_back(db, copy)
    # The hold is forgotten with the erasures.
    code, said = check("--dry-run", "--json")
    assert (code, [json.loads(line)["keptByHolds"] for line in said.splitlines()]) == (1, [[1, 2], [], []])
    code, said = check("--reason", REASON)
    assert code == 1
    assert "Place those holds again" in said
    assert f"{ACME}: 1, 2" in said
    assert (numbers(), statuses()) == (["C-17", "C-18", "C-99"], (503, 503, 503))
    with ADA.here():
        _hold("interactions")
    assert check("--reason", REASON, "--holds-are-back")[0] == 0
    assert statuses() == (200, 200, 200)
    with ADA.here(), transaction():
        assert m.Interaction.objects.count() == 9
        assert m.DecisionTrace.objects.count() == 1
        again = DsarRequest.objects.filter(requested_by=replay.ACTOR.id)
        assert set(again.values_list("state", flat=True)) == {"deferred"}


def _killed_after(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    real: Callable[..., Any] = getattr(module, name)

    def dies(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as deadly:
        deadly.setattr(module, name, dies)
        assert killed(fork(lambda: check("--reason", REASON)))
    with ADA.here(), transaction():
        Job.objects.filter(state="running").update(lease_until=clock.now())


@pytest.mark.usefixtures("production", "people")
def test_a_journal_that_does_not_hold_is_refused_and_nothing_is_changed(db: str) -> None:
    publish()
    with snapshot(db) as copy:
        erase(NUMBER, "C-18")
        publish()
        go_back(db, copy)
    folder = f"erasures/{ACME}"
    one, two = (f"{folder}/{n:018d}.json" for n in (1, 2))
    whole = {name: written_once.read(name) or b"" for name in (one, two)}
    statement = f"{folder}/at/{written_once.names_after(f'{folder}/at')[-1]}"
    whole[statement] = written_once.read(statement) or b""
    for changes, why in (
        ({one: None}, "the journal was cut"),
        ({two: None}, "the journal was cut"),
        ({one: None, two: None}, "the journal was cut"),
        ({one: whole[two]}, "does not follow"),
        ({two: whole[two][:-20]}, "only a part"),
        ({one: whole[one].replace(b'"number":1,', b'"number":3,')}, "seal does not hold"),
        ({statement: None}, "is missing"),
        ({statement: whole[one]}, "belongs somewhere else"),
    ):
        _put(changes)
        code, said = check("--reason", REASON)
        assert (code, why in said) == (3, True), said
        assert (numbers(), statuses()[0]) == (["C-17", "C-18", "C-99"], 503)
        _put(whole)
    # A checkpoint that nobody signed is no reason to believe anything, nor to go on.
    with ADA.here():
        newest = f"{published.folder()}/{999:018d}.txt"
    _put({newest: b"kaireon.example/acme\n999\n"})
    code, said = check("--reason", REASON)
    assert (code, "999.txt is no checkpoint" in said) == (3, True), said
    _put({newest: None})
    assert check("--reason", REASON)[0] == 0
    assert numbers() == ["C-99"]


def _put(objects: dict[str, bytes | None]) -> None:
    for name, content in objects.items():
        default_storage.delete(name)
        if content is not None:
            default_storage.save(name, ContentFile(content))


@pytest.mark.usefixtures("production", "people")
def test_storage_that_is_away_stops_no_database_that_was_compared(
    s3: Bucket, db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> list[str]:
        raise OSError("no route to host")

    publish()
    with snapshot(db) as copy:
        erase(NUMBER)
        publish()
        with monkeypatch.context() as broken:
            broken.setattr(written_once, "names_after", away)
            # Never compared: it could be an older one.
            assert (serving.refusal(), check()[0]) == (gate.CANNOT_TELL, 2)
        assert serving.refusal() is None
        with monkeypatch.context() as broken:
            broken.setattr(written_once, "names_after", away)
            assert serving.refusal() is None
        go_back(db, copy)
        with monkeypatch.context() as broken:
            broken.setattr(written_once, "names_after", away)
            assert serving.refusal() == gate.CANNOT_TELL
    # From the bucket, as from a folder.
    assert statuses() == (503, 503, 503)
    assert check("--reason", REASON)[0] == 0
    assert (numbers(), statuses()) == (["C-18", "C-99"], (200, 200, 200))
    assert [name for name in s3.names() if name.startswith(f"restores/{ACME}/000001")]
