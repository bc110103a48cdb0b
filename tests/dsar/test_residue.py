"""What another session writes about a person while they are erased is found, and until then nothing is called done."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connections

from audit.models import AuditRecord
from audit.sealing import subject_keys
from customers import ingest, returns
from customers import models as m
from customers.catalogue import CATALOGUE
from dsar.erasing import erasure
from dsar.erasing.residue import residue
from dsar.models import Dossier, DsarRequest, ErasureStep, LetterText, PublicFiling, Step
from dsar.requests import services
from kaireon.flows.models import FlowCheckpoint
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.outbox.models import ArchiveKey, Payload
from kaireon.tenancy.context import current, transaction
from kaireon.tenancy.keyring import seal_text
from tests.cast import ADA
from tests.dsar import planted
from tests.dsar.certified import fetched, pinned, said_of, taken
from tests.dsar.conftest import EMAIL, NUMBER, again, answer, client, file, make_customer
from tests.dsar.planted import Planted

OBJECT = "dossiers/acme/00/planted"


def elsewhere(work: Callable[[], None]) -> None:
    """In a session of its own, committed by the time this returns."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with ADA.here():
                work()
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failed == []


def meanwhile(monkeypatch: pytest.MonkeyPatch, work: Callable[[], None], *, times: int = 1) -> None:
    """After the rows went, before the last look."""
    real, left = erasure._WORK[Step.OBJECTS], [times]

    def objects(run: Any, request_id: UUID) -> Step | None:
        after = real(run, request_id)
        if left[0]:
            left[0] -= 1
            elsewhere(work)
        return after

    monkeypatch.setitem(erasure._WORK, Step.OBJECTS, objects)


def in_every_table(pk: UUID, number: str = "C-17-again") -> None:
    """A row of each entity that leads to this id, the profile that is erased by then included."""
    with transaction():
        like = make_customer(f"like-{number}", f"like-{number}@example.com".lower())
        m.Customer.objects.create(pk=pk, customer_id=number, email="again@example.com")
        for entity in CATALOGUE:
            if entity.subject == "customer_id":
                row = entity.about(like.pk).first()
                row.pk, row.customer_id = uuid4(), pk
                if entity.name == "interactionHistory":
                    row.external_id = str(row.pk)
                row.save(force_insert=True)
        m.Attachment.objects.filter(customer=pk).update(file="")
        Payload.objects.create(id=uuid4(), sealed=b"x", subject_ref=pk)
        ArchiveKey.objects.create(
            letter_ref=uuid4(), subject_ref=pk, archive_name="x", key_sealed=b"x", archived_at=clock.now()
        )
        letter = LetterText(pk=uuid4(), customer_ref=pk)
        letter.content = {"to": EMAIL, "subject": "x", "text": "x"}
        letter.save(force_insert=True)
        PublicFiling.objects.create(
            handle_hash="0" * 64,
            request_type="export",
            regulation="gdpr",
            sealed=b"x",
            subject_ref=pk,
            received_at=clock.now(),
            ends_at=clock.now(),
        )
        first = DsarRequest.objects.order_by("requested_at").first()
        assert first is not None
        request = DsarRequest.objects.get(pk=first.pk)
        request.pk, request.customer_ref, request.duplicate_of, request.job_ref = uuid4(), pk, None, None
        request.subject_sealed = seal_text(NUMBER, context=request.sealing_context)
        request.save(force_insert=True)
        dossier = Dossier(request_id=request.pk, customer_ref=pk, created_at=clock.now(), expires_at=clock.now())
        dossier.sha256 = "0" * 64
        dossier.sealed, dossier.key_wrapped, dossier.size, dossier.file.name = b"", b"x", 6, OBJECT
        default_storage.save(OBJECT, ContentFile(b"sealed"))
        dossier.save(force_insert=True)


def try_again(filed: services.Filed) -> DsarRequest:
    with transaction():
        Job.objects.filter(pk=again(filed).job_ref).update(due_at=clock.now())
    return answer(filed)


def left_of(pk: UUID) -> dict[str, int]:
    with transaction():
        return {e.name: n for e in CATALOGUE if (n := e.about(pk).count())}


@pytest.fixture
def objects(settings: Any, tmp_path: Any) -> None:
    default = {**settings.STORAGES["default"], "OPTIONS": {"location": str(tmp_path / "objects")}}
    settings.STORAGES = {**settings.STORAGES, "default": default}


def assert_certified(request: DsarRequest, tmp_path: Any, keys: set[str]) -> None:
    assert said_of(tmp_path, taken(request), "--pubkey", pinned())[:2] == (0, None)
    with transaction():
        assert subject_keys.alive(keys) == set()
        destroyed = {str(key) for key, _ in subject_keys.destroyed(keys)}
    assert {key["keyId"] for key in fetched(request)["certificate"]["keysDestroyed"]} == destroyed
    assert len(destroyed) == len(keys)


def test_a_row_in_each_table_is_found_and_erased_before_it_is_called_done(
    objects: None, jane: m.Customer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    seen: dict[str, int] = {}

    def plant() -> None:
        in_every_table(jane.pk)
        with transaction():
            seen.update(residue(jane.pk, []))

    filed = file("delete")
    meanwhile(monkeypatch, plant)
    request = answer(filed)
    assert seen == {entity.name: 1 for entity in CATALOGUE}
    # It is not done, says why, and nobody gets a certificate.
    assert (request.status, request.state, request.erased_at) == ("processing", "running", None)
    shown = client().get(f"/api/v1/dsar/{request.pk}").json()
    assert {step["name"]: step["error"] for step in shown["steps"]}["verification"] == "residue_found"
    assert client().get(f"/api/v1/dsar/{request.pk}/certificate").status_code == 409
    with transaction():
        assert not AuditRecord.objects.filter(action=erasure.COMPLETED_VERB).exists()
    # It goes on by itself, with all of it.
    request = try_again(filed)
    assert (request.status, request.outcome, request.retained) == ("completed", "completed", [])
    assert set(left_of(jane.pk)) == {"dsarRequest"}
    with transaction():
        assert all(row.is_shredded for row in DsarRequest.objects.filter(customer_ref=jane.pk))
    assert not default_storage.exists(OBJECT)
    assert request.counts["deleted"]["journeyEnrollment"] == 2
    assert request.counts["deleted"]["dossier"] == 1
    assert_certified(request, tmp_path, {str(jane.pk)})


def test_the_person_written_anew_under_another_id_is_found_by_number_and_by_address(
    objects: None, jane: m.Customer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    came: list[UUID] = []

    def plant() -> None:
        with transaction():
            came.append(make_customer(NUMBER, "new@example.com").pk)
            came.append(make_customer("C-18", EMAIL).pk)
            make_customer("C-19", "stranger@example.com")

    filed = file("delete")
    meanwhile(monkeypatch, plant)
    assert answer(filed).status == "processing"
    request = try_again(filed)
    assert (request.status, request.outcome) == ("completed", "completed")
    assert [left_of(pk) for pk in came] == [{}, {}]
    with transaction():
        assert m.Customer.objects.filter(customer_id="C-19").exists()
    assert request.counts["deleted"]["customer"] == 3
    assert_certified(request, tmp_path, {str(jane.pk), *map(str, came)})


def test_who_was_let_in_again_meanwhile_is_no_residue(jane: m.Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    def plant() -> None:
        with transaction():
            returns.let_in(customer_id=NUMBER, reason="signed up again", actor=current().actor, now=clock.now())
            outcome = ingest.ingest_customers([{"customerId": NUMBER, "email": "new@example.com"}], now=clock.now())
            assert outcome.errors == []

    meanwhile(monkeypatch, plant)
    assert answer(file("delete")).status == "completed"
    with transaction():
        assert m.Customer.objects.filter(customer_id=NUMBER).exists()


def test_what_only_names_them_is_found_by_the_last_look(
    objects: None, jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Planted] = []

    def plant() -> None:
        said.append(planted.name(jane, planted.failed_run(), "late"))

    meanwhile(monkeypatch, plant)
    request = answer(file("delete"))
    assert (request.status, request.outcome) == ("completed", "completed")
    [hers] = said
    assert planted.left(Payload, hers.payloads + hers.own) == planted.left(ArchiveKey, hers.archive_keys) == 0
    assert planted.left(FlowCheckpoint, hers.checkpoints) == planted.kept_answers(hers.answers) == 0
    assert planted.kept_notes(hers.notes) == 0
    assert (request.counts["deleted"]["outboxPayload"], request.counts["deleted"]["flowCheckpoint"]) == (6, 2)


def test_whoever_writes_it_again_and_again_makes_it_fail_visibly_and_it_is_tried_again(
    objects: None, jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = file("delete")
    numbers = iter(range(9))

    def plant() -> None:
        with transaction():
            m.Customer.objects.create(customer_id=NUMBER, email=f"again-{next(numbers)}@example.com")

    meanwhile(monkeypatch, plant, times=4)
    request = answer(filed)
    attempts = 1
    while request.status == "processing":
        request = try_again(filed)
        attempts += 1
    assert (attempts, request.status, request.error) == (4, "failed", "residue_found")
    assert client().get(f"/api/v1/dsar/{request.pk}").json()["error"] == "residue_found"
    assert client().get(f"/api/v1/dsar/{request.pk}/certificate").json()["error"]["code"] == "not_completed"
    with transaction():
        verification = ErasureStep.objects.get(request=request.pk, name=Step.VERIFICATION)
        assert (verification.attempts, verification.error) == (4, "residue_found")
        retried = services.retry_request(request=request, now=clock.now())
    assert answer(retried).outcome == "completed"
    with transaction():
        assert not m.Customer.objects.filter(customer_id=NUMBER).exists()
