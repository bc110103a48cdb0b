"""An erasure: all of it or nothing, and what may not go is said."""

import threading
from functools import partial
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import connections

from compliance.holding import holds
from customers import consents, removals, suppressions
from customers import models as m
from customers.catalogue import CATALOGUE, Erasure
from dsar.erasing import contents, rows
from dsar.models import Dossier, DsarRequest
from dsar.requests import services, subjects
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.outbox.models import Payload
from kaireon.tenancy.context import current, transaction
from tests.cast import ADA, MALLORY
from tests.dsar.conftest import EMAIL, NUMBER, again, answer, file, make_customer, upload
from tests.race import at_once


def _hold(data_class: str) -> None:
    with transaction():
        holds.place_hold(data_class=data_class, reason="litigation", actor=current().actor, now=clock.now())


def _release(data_class: str) -> None:
    with transaction():
        holds.release_hold(data_class=data_class, actor=current().actor, now=clock.now())


def _left(customer: m.Customer) -> dict[str, int]:
    with transaction():
        return {e.name: n for e in CATALOGUE if (n := e.about(customer.pk).count())}


def _dump(superuser_url: str) -> str:
    """Everything every table of ours holds, as text."""
    import psycopg

    with psycopg.connect(superuser_url) as root:
        tables = root.execute(
            "SELECT c.oid::regclass::text FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        ).fetchall()
        return "\n".join(
            str(row[0]) for (table,) in tables for row in root.execute(f"SELECT t::text FROM {table} t").fetchall()
        )


def test_it_leaves_nothing_of_the_person_anywhere(jane: m.Customer, superuser_url: str) -> None:
    answer(file())
    answer(file(subject_id=EMAIL, subject_type="email"))
    with transaction():
        objects = list(m.Attachment.objects.filter(customer=jane).values_list("file", flat=True))
        before = {e.name: e.about(jane.pk).count() for e in CATALOGUE}
    assert EMAIL in _dump(superuser_url)
    request = answer(file("delete"))
    assert (request.status, request.outcome, request.retained) == ("completed", "completed", [])
    deleted = request.counts["deleted"]
    kinds = {e.name: e.erasure for e in CATALOGUE}
    assert deleted == {name: before[name] for name, kind in kinds.items() if kind == Erasure.DELETE}
    assert request.counts["reduced"] == {"consentRecord": before["consentRecord"], "dsarRequest": 3}
    assert request.counts["objects"] == {"deleted": 1, "wereMissing": 0}
    assert _left(jane) == {"dsarRequest": 3}
    assert not any(default_storage.exists(name) for name in objects)
    rest = _dump(superuser_url).replace("neighbour@example.com", "")
    with transaction():
        neighbour = m.Customer.objects.numbered("C-99").get()
    assert _left(neighbour)["interactionHistory"] == 3
    for secret in (EMAIL, f"alias.{EMAIL}", f"device-4711-{NUMBER}", objects[0]):
        assert secret not in rest
    assert not Dossier_count()


def Dossier_count() -> int:
    with transaction():
        return Dossier.objects.count()


def test_requests_keep_a_pseudonym_and_no_name(jane: m.Customer) -> None:
    first, second = file(), file("export", EMAIL, subject_type="email")
    request = answer(file("delete"))
    names = {again(first).subject_id, again(second).subject_id, request.subject_id}
    assert len(names) == 1
    assert names.pop().startswith("erased-v1-")
    # What was still open is answered, with nothing.
    assert answer(first).outcome == "no_data"
    assert Dossier_count() == 0


def test_opt_outs_keep_their_effect(jane: m.Customer) -> None:
    answer(file("delete"))
    with transaction():
        returned = m.Customer.objects.create(customer_id=NUMBER, email="new@example.com")
        assert suppressions.is_suppressed(returned, channel="email", now=clock.now())
        assert consents.standing(returned) == {("email", "news"): "withdrawn"}


def test_an_unknown_subject_leaves_everything(jane: m.Customer) -> None:
    before = _left(jane)
    request = answer(file("delete", "nobody"))
    assert (request.status, request.outcome) == ("completed", "no_data")
    assert _left(jane) == before


@pytest.mark.parametrize(
    "data_class", ["interactions", "decisions", "metrics", "consents", "deliveries", "attachments"]
)
def test_a_held_class_stays_and_the_rest_goes(jane: m.Customer, data_class: str) -> None:
    before = _left(jane)
    _hold(data_class)
    request = answer(file("delete"))
    assert (request.status, request.outcome) == ("processing", "partially_completed")
    held = {e.name for e in CATALOGUE if e.data_class == data_class}
    assert {r["entity"]: r["count"] for r in request.retained if r["ground"] == "legal_hold"} == {
        name: before[name] for name in held
    }
    assert all(r["until"] is None for r in request.retained)
    assert set(_left(jane)) == {*held, "customer", "dsarRequest"}
    assert {"entity": "customer", "count": 1, "ground": "referenced_by_held_rows", "until": None} in request.retained
    with transaction():
        remnant = m.Customer.objects.get(pk=jane.pk)
    assert subjects.is_remnant(remnant)
    assert (remnant.email, remnant.name, remnant.phone, remnant.attributes) == ("", "", "", {})


@pytest.mark.parametrize("data_class", ["interactions", "consents", "attachments"])
def test_after_the_release_the_same_number_erases_the_rest(jane: m.Customer, data_class: str) -> None:
    _hold(data_class)
    answer(file("delete"))
    _release(data_class)
    request = answer(file("delete"))
    assert (request.outcome, request.retained) == ("completed", [])
    assert set(_left(jane)) == {"dsarRequest"}
    # Statements that stayed under hold are evidence now, still under the key of the number.
    with transaction():
        returned = m.Customer.objects.create(customer_id=NUMBER)
        assert consents.standing(returned) == {("email", "news"): "withdrawn"}
        assert suppressions.is_suppressed(returned, channel="email", now=clock.now())


def test_a_number_that_came_back_is_erased_again_and_with_what_was_held(jane: m.Customer) -> None:
    _hold("interactions")
    answer(file("delete"))
    with transaction():
        returned = make_customer(interactions=0)
        m.Interaction.objects.create(customer=returned, kind="view", external_id="later", occurred_at=clock.now())
    held = answer(file("delete"))
    assert (held.status, held.outcome) == ("processing", "partially_completed")
    assert {r["entity"]: r["count"] for r in held.retained} == {
        "interactionHistory": 4,
        "journeyEnrollment": 2,
        "customer": 2,
        "subjectKey": 1,
    }
    with transaction():
        third = make_customer(interactions=0)
    _release("interactions")

    request = answer(file("delete"))

    assert (request.outcome, request.retained) == ("completed", [])
    assert request.counts["deleted"]["interactionHistory"] == 4
    assert request.counts["deleted"]["customer"] == 3
    for customer in (jane, returned, third):
        assert set(_left(customer)) <= {"dsarRequest"}


def test_a_held_profile_stays_as_it_is(jane: m.Customer) -> None:
    _hold("profiles")
    request = answer(file("delete"))
    assert {(r["entity"], r["ground"]) for r in request.retained} == {
        ("customer", "legal_hold"),
        ("identityLink", "legal_hold"),
        ("dynamicSchemaRows", "legal_hold"),
        ("subjectKey", "tells_of_held_rows"),
    }
    with transaction():
        assert m.Customer.objects.get(pk=jane.pk).email == EMAIL


def test_held_requests_stay_readable(jane: m.Customer) -> None:
    answer(file())
    _hold("dsar")
    request = answer(file("delete"))
    assert {r["entity"] for r in request.retained} == {"dossier", "dsarRequest", "subjectKey"}
    assert request.subject_id == NUMBER
    assert Dossier_count() == 1


def test_a_hold_that_comes_in_the_middle_waits_and_holds_what_comes_later(
    jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hold is placed by another connection while the erasure is between two of its statements."""
    placed, thread = threading.Event(), None

    def place() -> None:
        try:
            with ADA.here():
                _hold("interactions")
                placed.set()
        finally:
            connections.close_all()

    thread = threading.Thread(target=place)
    leave = rows._PREPARE["suppression"]

    def held_meanwhile(work: object) -> None:
        thread.start()
        assert not placed.wait(0.5)
        leave(work)  # type: ignore[arg-type]

    monkeypatch.setitem(rows._PREPARE, "suppression", held_meanwhile)
    request = answer(file("delete"))
    thread.join(10)
    assert placed.is_set()
    assert (request.outcome, request.retained) == ("completed", [])


@pytest.mark.parametrize("is_held", [True, False])
def test_what_is_written_about_them_before_the_end_goes_too_unless_it_is_held(
    jane: m.Customer, monkeypatch: pytest.MonkeyPatch, is_held: bool
) -> None:
    """By somebody who still saw the customer: rows that name them by id alone, which no reference stops."""
    late = file("export", "C-18")
    look = contents.look

    def write_late(*given: Any, **more: Any) -> contents.Found:
        with transaction():
            DsarRequest.objects.filter(pk=late.request.pk).update(customer_ref=jane.pk)
            Payload.objects.create(subject_ref=jane.pk, sealed=b"x")
        if is_held:
            _hold("dsar")
            _hold("jobs")
        return look(*given, **more)

    monkeypatch.setattr(contents, "look", write_late)
    request = answer(file("delete"))
    assert request.status == ("processing" if is_held else "completed")
    assert {r["entity"]: r["count"] for r in request.retained} == (
        {"outboxPayload": 1, "dsarRequest": 1, "subjectKey": 1} if is_held else {}
    )
    assert request.counts["deleted"]["outboxPayload"] == (0 if is_held else 1)
    assert (again(late).subject_id == "C-18") is is_held
    with transaction():
        assert Payload.objects.exists() is is_held


@pytest.mark.parametrize("entity", ["interactionHistory", "attachment", "suppression", "dossier", "customer"])
def test_a_failure_anywhere_rolls_all_of_it_back(
    jane: m.Customer, entity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _left(jane)
    monkeypatch.setitem(rows._PREPARE, entity, lambda work: 1 / 0)
    filed = file("delete")
    request = answer(filed)
    assert (request.status, request.erased_at) == ("processing", None)
    assert _left(jane) == {**before, "dsarRequest": 1}
    assert request.subject_id == NUMBER
    with transaction():
        assert not m.ObjectRemoval.objects.exists()
        Job.objects.filter(pk=filed.job.pk).update(due_at=clock.now())
    monkeypatch.undo()
    assert answer(filed).status == "completed"


def test_a_residue_is_a_failure(jane: m.Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _left(jane)
    delete = rows._BY_KIND[Erasure.DELETE]

    def forgetful(entity: object, work: object) -> None:
        if entity.name != "journeyEnrollment":  # type: ignore[attr-defined]
            delete(entity, work)  # type: ignore[arg-type]

    monkeypatch.setitem(rows._BY_KIND, Erasure.DELETE, forgetful)
    monkeypatch.setitem(rows._PREPARE, "customer", lambda work: work.erased.retain("customer", 1, "x"))
    monkeypatch.setattr(rows, "_referring", lambda work: True)
    filed = file("delete")
    answer(filed)
    with transaction():
        assert Job.objects.get(pk=filed.job.pk).error == "residue_found"
    assert _left(jane) == {**before, "dsarRequest": 1}


def test_storage_that_fails_is_finished_later_and_the_rows_are_erased_once(
    jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction():
        upload(jane, "2.pdf", b"2")
    remove = removals.remove_object
    calls: list[str] = []

    def breaks_on_the_second(name: str) -> bool:
        calls.append(name)
        if len(calls) == 2:
            raise OSError("storage is away")
        return remove(name)

    monkeypatch.setattr(removals, "remove_object", breaks_on_the_second)
    filed = file("delete")
    request = answer(filed)
    assert (request.status, request.state) == ("processing", "finishing")
    erased_at = request.erased_at
    with transaction():
        assert m.ObjectRemoval.objects.doomed().count() == 1
        Job.objects.filter(pk=filed.job.pk).update(due_at=clock.now())
    request = answer(filed)
    assert (request.status, request.erased_at) == ("completed", erased_at)
    assert calls[1] == calls[2]
    assert request.counts["objects"] == {"deleted": 2, "wereMissing": 0}


def test_an_object_that_was_gone_already_is_no_failure(jane: m.Customer) -> None:
    with transaction():
        removals.remove_object(str(m.Attachment.objects.get(customer=jane).file))
    request = answer(file("delete"))
    assert request.status == "completed"
    assert request.counts["objects"] == {"deleted": 1, "wereMissing": 1}


def test_two_erasures_of_one_customer_erase_once(jane: m.Customer) -> None:
    # By two names: by one, the second would wait for the first.
    first, second = file("delete"), file("delete", EMAIL, subject_type="email")

    def work(filed: services.Filed) -> None:
        with ADA.here():
            answer(filed)

    at_once(partial(work, first), partial(work, second))
    totals = sorted(sum(again(f).counts["deleted"].values()) for f in (first, second))
    assert [again(f).status for f in (first, second)] == ["completed", "completed"]
    assert totals[0] == 0
    assert totals[1] > 10


def test_the_same_number_in_another_tenant_is_somebody_else(jane: m.Customer) -> None:
    with MALLORY.here():
        with transaction():
            theirs = make_customer()
        answer(file("delete"))
        assert set(_left(theirs)) == {"dsarRequest"}
    assert _left(jane)["interactionHistory"] == 3
