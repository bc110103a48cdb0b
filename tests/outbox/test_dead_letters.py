"""What was given up: tried again, archived, purged; each recorded, never shown in the clear."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

import audit
from audit.models import AuditRecord
from cron import runner
from cron.models import Trigger
from customers.catalogue import entity
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job, JobState
from kaireon.jobs.registry import job_type
from kaireon.lib import clock
from kaireon.outbox import archive, dead_letters
from kaireon.outbox.models import ArchiveKey, DeadLetter, Payload
from kaireon.tenancy import context
from kaireon.tenancy.context import transaction
from tests.caller import error_of, nobody, with_key
from tests.cast import PASSWORD
from tests.outbox.conftest import Receiver, deliver, deliver_until_settled, letters, publish, say


@job_type("test_outbox_job", queue="dsar-jobs")
def _job(run: Any) -> None:
    return None


@job_type("test_outbox_owned", queue="dsar-jobs", gave_up=lambda job: None)
def _owned(run: Any) -> None:
    return None


@contextmanager
def outside() -> Iterator[None]:
    """As a command or a job of the schedule begins: in no tenant."""
    token = context._scope.set(None)
    try:
        yield
    finally:
        context._scope.reset(token)


@pytest.fixture
def dead(hook: Receiver) -> DeadLetter:
    """A transient dead letter whose receiver works again."""
    hook.answers = [say(500)] * 3
    publish(1, payload={"n": 1, "who": "Jane Doe"}, subject_ref=uuid4())
    deliver_until_settled()
    [letter] = letters()
    return letter


def recorded(letter: DeadLetter) -> list[str]:
    audit.services.drain("acme")
    with transaction():
        rows = AuditRecord.objects.filter(entity_type="DeadLetter", entity_id=str(letter.pk)).order_by("seq")
        return [row.action for row in rows]


def run_job(name: str) -> dict[str, Any]:
    with outside():
        return runner.run_job(name, trigger=Trigger.COMMAND).body


@pytest.mark.parametrize(
    ("depth", "level"), [(0, "OK"), (10, "OK"), (11, "WARNING"), (100, "WARNING"), (101, "CRITICAL")]
)
def test_the_thresholds(depth: int, level: str) -> None:
    assert dead_letters.level(depth) == level


def test_a_retry_delivers_with_the_same_id_and_is_recorded(hook: Receiver, dead: DeadLetter) -> None:
    with transaction():
        assert len(dead_letters.retry(DeadLetter.objects.all(), now=clock.now()).done) == 1
    assert deliver().sent == 1
    assert {got.id for got in hook.got} == {str(dead.source_ref)}
    [letter] = letters()
    assert (letter.state, letter.replays) == ("replayed", 1)
    assert recorded(dead) == ["dead_letter.retry"]
    with transaction():
        assert dead_letters.depths() == {}
        again_ = dead_letters.retry(DeadLetter.objects.all(), now=clock.now())
    assert list(again_.skipped.values()) == ["not_open"]


def test_replays_by_themselves_are_three_at_most_and_rest_longer_each_time(hook: Receiver, dead: DeadLetter) -> None:
    hook.always = say(503)
    moment = clock.now()
    for count in range(1, 4):
        with clock.freeze(moment):
            assert run_job("dlq-replay")["perTenant"][0]["replayed"] == 0, "not yet"
        moment += dead_letters.FIRST_REST * 2 ** (count - 1) + timedelta(seconds=5)
        with clock.freeze(moment):
            assert run_job("dlq-replay")["perTenant"][0]["replayed"] == 1
            deliver_until_settled()
        assert [(x.state, x.replays) for x in letters()] == [("open", count)]
    with clock.freeze(moment + timedelta(days=9)):
        assert run_job("dlq-replay")["perTenant"][0]["replayed"] == 0
    assert recorded(dead) == ["dead_letter.retry"] * 3


def test_permanent_letters_are_not_replayed_by_themselves(hook: Receiver) -> None:
    hook.always = say(400)
    publish()
    deliver()
    with clock.freeze(clock.now() + timedelta(days=1)):
        assert run_job("dlq-replay")["perTenant"][0]["replayed"] == 0


def test_archive_then_purge_and_never_the_other_way(hook: Receiver, dead: DeadLetter) -> None:
    with transaction():
        handled = dead_letters.purge(DeadLetter.objects.all(), now=clock.now())
    assert handled.skipped == {dead.pk: "not_archived"}
    with transaction(), pytest.raises(IntegrityError), transaction():
        DeadLetter.objects.update(state="purged")
    assert run_job("dlq-archive")["perTenant"][0]["archived"] == 1
    assert run_job("dlq-archive")["perTenant"][0]["archived"] == 0
    [letter] = letters()
    with default_storage.open(letter.archive_name) as file:
        body = file.read()
    assert b"Jane" not in gzip.decompress(body)
    with transaction():
        assert len(dead_letters.purge(DeadLetter.objects.all(), now=clock.now()).done) == 1
        assert not Payload.objects.exists()
        [line] = archive.read(body, name=letter.archive_name)
    assert line["payload"] == {"n": 1, "who": "Jane Doe"}
    assert recorded(dead) == ["dead_letter.archive", "dead_letter.purge"]
    assert [x.state for x in letters()] == ["purged"]


def test_erasure_closes_the_archive_too(hook: Receiver, dead: DeadLetter) -> None:
    run_job("dlq-archive")
    [letter] = letters()
    with transaction():
        subject = Payload.objects.get().subject_ref
        assert subject is not None
        for name in ("outboxPayload", "archivedDeadLetter"):
            assert entity(name).about(subject).delete()[0] == 1
    with default_storage.open(letter.archive_name) as file, transaction():
        [line] = archive.read(file.read(), name=letter.archive_name)
    assert line["payload"] is None
    with transaction():
        handled = dead_letters.retry(DeadLetter.objects.all(), now=clock.now())
    assert list(handled.skipped.values()) == ["not_replayable"]


def test_a_hold_on_the_class_keeps_payloads(hook: Receiver, dead: DeadLetter) -> None:
    run_job("dlq-archive")
    held = {"dataClass": "jobs", "retentionDays": 1, "legalHold": True}
    assert with_key("ada").post("/admin/retention-configs", held).status_code == 200
    with transaction(), pytest.raises(IntegrityError, match="legal hold"), transaction():
        dead_letters.purge(DeadLetter.objects.all(), now=clock.now())
    answer = with_key("ada").post("/admin/dlq", {"action": "purge", "eventIds": [str(dead.pk)]})
    assert error_of(answer)["code"] == "legal_hold"
    with transaction():
        assert Payload.objects.count() == 1
        assert ArchiveKey.objects.count() == 1


def test_an_archive_that_does_not_read_back_marks_nothing(
    dead: DeadLetter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = archive.place(f"file://{tmp_path}")
    save = to.storage.save

    def torn(name: str, content: Any) -> str:
        saved = save(name, content)
        path = tmp_path / saved
        path.write_bytes(path.read_bytes()[:20])
        return saved

    monkeypatch.setattr(to.storage, "save", torn)
    with pytest.raises(archive.ArchiveUnreadable):
        list(archive.archive_waiting(now=clock.now(), to=to))
    assert letters()[0].archived_at is None


def test_the_commands(hook: Receiver, dead: DeadLetter, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def out(*arguments: str) -> dict[str, Any]:
        with outside():
            call_command(*arguments, "--json")
        answer: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
        return answer

    dest = f"file://{tmp_path}"
    assert out("archive_dlq", "--queue", "outbox", "--dest", dest, "--dry-run")["archived"] == 1
    assert list(tmp_path.iterdir()) == []
    assert out("archive_dlq", "--queue", "other", "--dest", dest)["archived"] == 0
    assert out("archive_dlq", "--queue", "outbox", "--dest", dest)["archived"] == 1
    assert len(list(tmp_path.rglob("*.gz"))) == 1
    assert out("replay_dlq", "--queue", "outbox", "--dry-run")["replayed"] == 1
    assert out("replay_dlq", "--queue", "outbox", "--batch", "1", "--delay", "1", "--tenant", "globex")["replayed"] == 0
    assert out("replay_dlq", "--queue", "outbox", "--batch", "1")["replayed"] == 1
    assert deliver().sent == 1
    for wrong in (["--batch", "0"], ["--delay", "-1"], ["--tenant", "nobody"]):
        with pytest.raises(CommandError), outside():
            call_command("replay_dlq", "--queue", "outbox", *wrong)
    with pytest.raises(CommandError), outside():
        call_command("archive_dlq", "--dest", "ftp://x/")


def test_a_job_that_failed_for_good_is_a_letter_of_its_queue_and_goes_back_to_it(acme: str) -> None:
    with transaction():
        job = jobs.enqueue(type="test_outbox_job", payload={"ref": "r-1"}, now=clock.now())
        jobs.claim(job_id=job.pk, now=clock.now())
        jobs.fail(job=Job.objects.get(pk=job.pk), code="no_luck", now=clock.now(), retry=False)
        assert dead_letters.depths() == {"dsar-jobs": 1}
    assert dead_letters.all_depths() == {"dsar-jobs": 1}
    [letter] = letters()
    assert (letter.source, letter.topic, letter.error_type) == ("job", "test_outbox_job", "no_luck")
    assert letter.classification == "permanent"
    with transaction():
        assert len(dead_letters.retry(DeadLetter.objects.all(), now=clock.now()).done) == 1
        assert Job.objects.get(pk=job.pk).state == JobState.QUEUED
        assert dead_letters.depths() == {}


def test_a_failed_job_that_was_queued_again_elsewhere_closes_its_letter(acme: str) -> None:
    with transaction():
        job = jobs.enqueue(type="test_outbox_job", payload={}, now=clock.now())
        jobs.claim(job_id=job.pk, now=clock.now())
        jobs.fail(job=Job.objects.get(pk=job.pk), code="no_luck", now=clock.now(), retry=False)
        jobs.retry(job=job, now=clock.now())
        assert dead_letters.depths() == {}


def test_a_job_on_whose_failure_something_else_stands_is_not_replayed(acme: str) -> None:
    with transaction():
        job = jobs.enqueue(type="test_outbox_owned", payload={}, now=clock.now())
        jobs.claim(job_id=job.pk, now=clock.now())
        jobs.fail(job=Job.objects.get(pk=job.pk), code="no_luck", now=clock.now(), retry=False)
        handled = dead_letters.retry(DeadLetter.objects.all(), now=clock.now())
    assert list(handled.skipped.values()) == ["not_replayable"]


def test_the_endpoint_lists_without_payloads_and_acts(hook: Receiver, dead: DeadLetter) -> None:
    ada = with_key("ada")
    answer = ada.get("/admin/dlq").json()
    assert (answer["total"], answer["depth"], answer["level"]) == (1, {"outbox": 1}, "OK")
    assert answer["events"][0]["errorType"] == "http_500"
    assert "Jane" not in str(answer)
    assert ada.get("/admin/dlq?topic=other").json()["total"] == 0
    skipped = ada.post("/admin/dlq", {"action": "purge", "eventIds": [str(dead.pk), str(uuid4())]}).json()
    assert skipped["skipped"] == {"not_archived": 1, "not_found": 1}
    done = ada.post("/admin/dlq", {"action": "retry", "topic": "test.event"}).json()
    assert (done["affected"], done["more"]) == (1, False)
    assert deliver().sent == 1
    assert ada.get("/admin/dlq?state=replayed").json()["total"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "retry"},
        {"action": "delete", "topic": "x"},
        {"action": "retry", "eventIds": ["x"]},
        {"action": "retry", "topic": "x", "y": 1},
    ],
)
def test_the_endpoint_refuses_what_it_does_not_understand(acme: str, body: dict[str, Any]) -> None:
    assert with_key("ada").post("/admin/dlq", body).status_code == 400


def test_the_endpoint_is_for_admins_of_the_tenant(hook: Receiver, dead: DeadLetter) -> None:
    body = {"action": "retry", "eventIds": [str(dead.pk)]}
    assert nobody().get("/admin/dlq").status_code == 401
    for nick in ("ed", "aud", "vi"):
        assert with_key(nick).get("/admin/dlq").status_code == 403
        assert with_key(nick).post("/admin/dlq", body).status_code == 403
    mallory = with_key("mallory")
    assert mallory.get("/admin/dlq").json()["total"] == 0
    assert mallory.post("/admin/dlq", body).json()["skipped"] == {"not_found": 1}
    assert letters()[0].state == "open"


@pytest.fixture
def browser(dead: DeadLetter) -> Client:
    client = Client()
    assert client.login(username="ada@acme.example", password=PASSWORD)
    return client


def test_the_admin_masks_the_payload_and_retries(browser: Client, hook: Receiver, dead: DeadLetter) -> None:
    page = browser.get(f"/admin/outbox/deadletter/{dead.pk}/change/")
    assert page.status_code == 200
    assert b"<b>who</b>: " in page.content
    assert b"Jane" not in page.content
    for model in ("deadletter", "message", "destination"):
        assert browser.get(f"/admin/outbox/{model}/").status_code == 200
    assert browser.post(f"/admin/outbox/deadletter/{dead.pk}/retry/").status_code == 302
    assert again_state(dead) == "replayed"
    assert deliver().sent == 1


def test_the_admin_archives_and_then_purges(browser: Client, dead: DeadLetter) -> None:
    assert b"Archive it first" in browser.post(f"/admin/outbox/deadletter/{dead.pk}/purge/").content
    assert browser.post(f"/admin/outbox/deadletter/{dead.pk}/archive/").status_code == 302
    assert letters()[0].archived_at is not None
    assert browser.post(f"/admin/outbox/deadletter/{dead.pk}/purge/").status_code == 302
    assert again_state(dead) == "purged"
    assert recorded(dead) == ["dead_letter.archive", "dead_letter.purge"]


def again_state(letter: DeadLetter) -> str:
    with transaction():
        return DeadLetter.objects.get(pk=letter.pk).state


def test_letters_are_locked_in_one_order_by_whoever_tries_them_again(hook: Receiver) -> None:
    """Those that died at the same moment too: two who lock them crosswise would end each other."""
    hook.always = say(404)
    publish(1)
    deliver()
    with transaction():
        DeadLetter.objects.update(classification="transient", replay_at=clock.now())
        with CaptureQueriesContext(connection) as asked:
            assert len(dead_letters.replay_due(now=clock.now()).done) == 1
    [locking] = [
        query["sql"] for query in asked if "outbox_deadletter" in query["sql"] and "FOR UPDATE" in query["sql"]
    ]
    assert 'ORDER BY "outbox_deadletter"."died_at" ASC, "outbox_deadletter"."id" ASC' in locking
