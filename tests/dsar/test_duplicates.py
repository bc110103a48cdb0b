"""The same subject asking for the same twice."""

from datetime import timedelta
from typing import Any

import pytest

from customers import models as m
from dsar.models import DsarRequest
from dsar.requests import services
from kaireon.jobs import runner
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.dsar.conftest import EMAIL, NUMBER, again, answer, client, file
from tests.race import at_once

DSAR = "/api/v1/dsar"


def get(row: DsarRequest) -> Any:
    return client().get(f"{DSAR}/{row.pk}").json()


def test_the_answer_to_the_first_answers_the_second(jane: m.Customer) -> None:
    first = file("export", EMAIL, subject_type="email")
    second = file("export", f" {EMAIL.upper()} ", subject_type="email", encrypt=True)
    assert second.queued is None
    assert (get(second.request)["status"], get(second.request)["duplicateOf"]) == ("queued", str(first.request.pk))
    answer(first)
    shown = get(second.request)
    assert (shown["status"], shown["outcome"]) == ("completed", "duplicate")
    assert (get(first.request)["exportedData"]["encrypted"], shown["exportedData"]["encrypted"]) == (False, True)
    assert client().get(f"{DSAR}/{second.request.pk}/download").status_code == 200
    # Answered is answered: the next one is new.
    assert file("export", EMAIL, subject_type="email").queued is not None


@pytest.mark.parametrize(
    "other",
    [
        {"request_type": "portability"},
        {"subject_id": "C-99"},
        {"subject_id": EMAIL, "subject_type": "email"},
    ],
)
def test_another_kind_or_name_is_another_request(jane: m.Customer, other: dict[str, Any]) -> None:
    file("export")
    assert file(**{"request_type": "export", **other}).queued is not None


def test_two_corrections_are_two_requests_unless_they_say_the_same(ada: None) -> None:
    first = file("rectification", details="name")
    assert file("rectification", details="address").request.duplicate_of is None
    assert file("rectification", details="name").request.duplicate_of == first.request.pk


def test_the_earlier_clock_is_kept_whichever_was_filed_first(jane: m.Customer) -> None:
    now = clock.now()
    late = file("export", received_at=now - timedelta(days=2))
    early = file("export", received_at=now - timedelta(days=9))
    later = file("export", received_at=now - timedelta(days=1))
    survivor = again(late)
    assert survivor.received_at == early.request.received_at
    assert survivor.due_on == early.request.due_on < late.request.due_on
    # So does the day that counts; see dsar/requests/clocks.py.
    assert survivor.deadline_on == survivor.due_on
    assert (early.request.duplicate_of, later.request.duplicate_of) == (survivor.pk, survivor.pk)
    client().post(f"{DSAR}/{survivor.pk}/withdraw", {}, format="json")
    heir = again(early)
    assert (heir.duplicate_of, heir.received_at) == (None, early.request.received_at)
    assert again(later).duplicate_of == heir.pk
    with transaction():
        assert Job.objects.filter(pk=heir.job_ref, state="queued").exists()
    runner.run(job_id=heir.job_ref)  # type: ignore[arg-type]
    assert [again(filed).outcome for filed in (late, early, later)] == ["withdrawn", "completed", "duplicate"]


def test_a_withdrawn_duplicate_leaves_the_first_alone(jane: m.Customer) -> None:
    first, second = file("delete"), file("delete")
    client().post(f"{DSAR}/{second.request.pk}/withdraw", {}, format="json")
    assert (again(first).state, again(second).outcome) == ("queued", "withdrawn")
    assert answer(first).outcome == "completed"
    assert again(second).outcome == "withdrawn"


def test_a_duplicate_is_not_completed_by_hand(ada: None) -> None:
    file("grievance")
    second = file("grievance").request
    refused = client().post(f"{DSAR}/{second.pk}/complete", {"resolution": "x"}, format="json")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "is_duplicate")


def test_when_the_first_fails_the_second_is_tried(jane: m.Customer) -> None:
    with transaction():
        twin = m.Customer.objects.create(customer_id="C-18", email=EMAIL)
    first, second = (file("export", EMAIL, subject_type="email") for _ in range(2))
    assert answer(first).error == "ambiguous_subject"
    with transaction():
        m.Customer.objects.filter(pk=twin.pk).delete()
    heir = again(second)
    assert heir.duplicate_of is None
    runner.run(job_id=heir.job_ref)  # type: ignore[arg-type]
    assert again(second).outcome == "completed"
    # Nobody waits for a failed one.
    assert file("export", EMAIL, subject_type="email").queued is not None


def test_an_erasure_answers_its_duplicates_and_leaves_nobodys_name_in_them(jane: m.Customer) -> None:
    first, second = file("delete"), file("delete")
    answer(first)
    row = again(second)
    assert (row.outcome, row.is_shredded, row.subject_id) == ("duplicate", True, again(first).subject_id)


def test_an_erasure_at_once_waits_for_nobody(jane: m.Customer) -> None:
    waiting = file("delete")
    done = client().post("/api/v1/gdpr/erasure", {"customerId": NUMBER}, format="json")
    assert done.status_code == 200
    assert answer(waiting).status == "completed"


def test_of_filings_at_once_one_is_the_first(jane: m.Customer) -> None:
    body = {"requestType": "delete", "subjectId": NUMBER}
    answers = at_once(*[lambda: client().post(DSAR, body, format="json") for _ in range(4)])
    assert [a.status_code for a in answers] == [202] * 4  # type: ignore[union-attr]
    with transaction():
        rows = list(DsarRequest.objects.all())
        [first] = [row for row in rows if row.duplicate_of is None]
        assert {row.duplicate_of for row in rows} == {None, first.pk}
        job = Job.objects.get()
    assert answer(services.Filed(request=first, queued=job)).outcome == "completed"
    with transaction():
        assert sorted(DsarRequest.objects.values_list("outcome", flat=True)) == ["completed", *["duplicate"] * 3]


def test_filing_while_the_first_is_answered_loses_nobody(jane: m.Customer) -> None:
    from tests.cast import ADA

    first = file("export")

    def work() -> None:
        with ADA.here():
            runner.run(job_id=first.job.pk)

    def ask() -> services.Filed:
        with ADA.here():
            return file("export")

    _, second = at_once(work, ask)
    assert isinstance(second, services.Filed)
    row = again(second)
    # Answered with the first, or on its own: never left waiting for what is over.
    assert (row.outcome == "duplicate") == (second.queued is None)
    if second.queued is not None:
        assert answer(second).outcome == "completed"
