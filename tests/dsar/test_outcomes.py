"""How requests end beside being answered: rejected, withdrawn, released after review. Refusals first."""

from typing import Any

import pytest

from audit import services as log
from audit.models import AuditRecord
from customers import models as m
from dsar.dossiers import export
from dsar.erasing import contents
from dsar.models import Dossier, DsarRequest
from dsar.requests import demands, outcomes
from dsar.requests.demands import demand
from kaireon.jobs import runner
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA
from tests.dsar.conftest import again, answer, client, file
from tests.race import at_once

DSAR = "/api/v1/dsar"


def post(row: DsarRequest, verb: str, body: Any = None, nick: str = "ada", **headers: str) -> Any:
    return client(nick).post(f"{DSAR}/{row.pk}/{verb}", body or {}, format="json", headers=headers)


def code_of(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def verbs_of(row: DsarRequest) -> list[str]:
    return [event["action"] for event in client().get(f"{DSAR}/{row.pk}/timeline").json()["events"]]


def test_a_rejection_names_ground_and_article_and_nothing_runs(jane: m.Customer) -> None:
    filed = file("delete")
    ended = post(filed.request, "reject", {"ground": "legal_claims", "reason": "Jane Roe sues us"})
    assert (ended.status_code, ended.json()["outcome"]) == (200, "rejected")
    shown = client().get(f"{DSAR}/{filed.request.pk}").json()
    assert shown["rejected"] == {"ground": "legal_claims", "article": "GDPR Art. 17(3)(e), 21(1)"}
    assert answer(filed).outcome == "rejected"
    with transaction():
        assert m.Customer.objects.filter(pk=jane.pk).exists()
        assert again_notes(filed.request) == {"refusal": "Jane Roe sues us"}
    assert verbs_of(filed.request)[-1] == "dsar.reject"


def again_notes(row: DsarRequest) -> dict[str, str]:
    return DsarRequest.objects.get(pk=row.pk).notes


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, 400),
        ({"ground": "excessive"}, 400),
        ({"ground": "because", "reason": "x"}, 400),
        ({"ground": "excessive", "reason": ""}, 400),
        ({"ground": "excessive", "reason": "x" * 10_000}, 400),
        ({"ground": "excessive", "reason": "x", "article": "mine"}, 400),
        # Of an erasure alone.
        ({"ground": "legal_obligation", "reason": "x"}, 400),
    ],
)
def test_a_rejection_that_no_law_knows_is_refused(jane: m.Customer, body: Any, expected: int) -> None:
    filed = file("export")
    assert post(filed.request, "reject", body).status_code == expected
    assert again(filed).status == "queued"


def test_a_completed_request_is_neither_rejected_nor_withdrawn(jane: m.Customer) -> None:
    filed = file("export")
    answer(filed)
    for verb, body in (
        ("reject", {"ground": "excessive", "reason": "x"}),
        ("withdraw", None),
        ("assign", {"to": None}),
    ):
        assert code_of(post(filed.request, verb, body)) == (409, "already_completed")
    assert again(filed).outcome == "completed"


def test_a_failed_request_is_still_open(jane: m.Customer) -> None:
    with transaction():
        m.Customer.objects.create(customer_id="C-18", email="jane.doe@example.com")
    filed = file("delete", "jane.doe@example.com", subject_type="email")
    assert answer(filed).status == "failed"
    assert post(filed.request, "withdraw").json()["outcome"] == "withdrawn"
    assert again(filed).error == ""


def test_a_withdrawn_request_is_not_run(jane: m.Customer) -> None:
    for kind in ("export", "delete", "opt_out"):
        filed = file(kind)
        assert post(filed.request, "withdraw").json() == {
            "requestId": str(filed.request.pk),
            "status": "completed",
            "state": "completed",
            "outcome": "withdrawn",
        }
        assert answer(filed).outcome == "withdrawn"
        with transaction():
            assert Job.objects.get(pk=filed.job.pk).state == "done"
    with transaction():
        assert not Dossier.objects.exists()
        assert m.Customer.objects.filter(pk=jane.pk).exists()
        assert m.Suppression.objects.filter(customer=jane).count() == 1


def test_an_export_withdrawn_while_it_is_made_is_dropped(jane: m.Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    filed = file("export")
    read = export._read

    def read_and_lose_interest(*given: Any, **more: Any) -> Any:
        found = read(*given, **more)
        [answered] = at_once(lambda: post(filed.request, "withdraw"))
        assert answered.status_code == 200
        return found

    monkeypatch.setattr(export, "_read", read_and_lose_interest)
    row = answer(filed)
    assert (row.status, row.outcome, row.package_expires_at) == ("completed", "withdrawn", None)
    with transaction():
        assert not Dossier.objects.exists()


def test_an_erasure_is_withdrawn_until_rows_are_gone_and_never_after(
    jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = file("delete")
    look = contents.look

    def too_late(*given: Any, **more: Any) -> contents.Found:
        for verb, body in (("withdraw", None), ("reject", {"ground": "excessive", "reason": "x"})):
            [refused] = at_once(lambda verb=verb, body=body: post(filed.request, verb, body))  # type: ignore[misc]
            assert code_of(refused) == (409, "already_erased")
        return look(*given, **more)

    monkeypatch.setattr(contents, "look", too_late)
    assert answer(filed).outcome == "completed"


def test_a_withdrawal_and_a_worker_that_start_together_end_in_one_way(jane: m.Customer) -> None:
    filed = file("delete")

    def work() -> None:
        with ADA.here():
            runner.run(job_id=filed.job.pk)

    answered, _ = at_once(lambda: post(filed.request, "withdraw"), work)
    row = again(filed)
    with transaction():
        there = m.Customer.objects.filter(pk=jane.pk).exists()
    if answered.status_code == 200:
        assert (row.outcome, there, row.counts) == ("withdrawn", True, {})
    else:
        assert (answered.status_code, row.outcome, there) == (409, "completed", False)


def test_of_two_ends_at_once_one_counts(jane: m.Customer) -> None:
    filed = file("grievance")
    answers = at_once(
        lambda: post(filed.request, "withdraw"),
        lambda: post(filed.request, "complete", {"resolution": "x"}),
        lambda: post(filed.request, "reject", {"ground": "excessive", "reason": "x"}),
    )
    assert sorted(a.status_code for a in answers) == [200, 409, 409]  # type: ignore[union-attr]
    log.drain(ACME)
    with transaction():
        ends = AuditRecord.objects.filter(
            entity_id=str(filed.request.pk), action__in=["dsar.withdraw", "dsar.complete", "dsar.reject"]
        )
        assert ends.count() == 1


def test_the_same_call_twice_under_one_key_happens_once(jane: m.Customer) -> None:
    filed = file("grievance")
    first, second = (post(filed.request, "withdraw", **{"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.json(), second.json()) == (first.json(), first.json())
    assert second.headers["Idempotency-Replayed"] == "true"


def test_a_package_waits_for_an_officer_where_the_tenant_wants_it(jane: m.Customer) -> None:
    with transaction():
        demand("review", demanded=True, now=clock.now())
    kept, thrown = file("export"), file("portability")
    for filed in (kept, thrown):
        row = answer(filed)
        assert (row.status, row.state, row.closed_at) == ("processing", "review", None)
        shown = client().get(f"{DSAR}/{row.pk}").json()
        assert ("exportedData" in shown, shown["outcome"]) == (False, None)
        assert client().get(f"{DSAR}/{row.pk}/download").status_code == 409
        # What was made once is not made again by a message that comes twice.
        runner.run(job_id=filed.job.pk)
        assert again(filed).state == "review"
    assert post(kept.request, "complete", {"resolution": "ok", "outcome": "no_data"}).status_code == 400
    assert post(kept.request, "complete", {"resolution": "looked at"}).json()["outcome"] == "completed"
    assert "exportedData" in client().get(f"{DSAR}/{kept.request.pk}").json()
    post(thrown.request, "reject", {"ground": "rights_of_others", "reason": "a letter names the brother"})
    with transaction():
        assert list(Dossier.objects.values_list("request_id", flat=True)) == [kept.request.pk]
    assert client().get(f"{DSAR}/{thrown.request.pk}/download").status_code == 410
    assert verbs_of(kept.request) == [
        *("dsar.create", "dsar.start", "dsar.review", "dsar.release", "dsar.export.downloaded")
    ]
    with transaction():
        demand("review", demanded=False, now=clock.now())
        assert not demands.is_demanded("review")
    assert answer(file("export")).status == "completed"


def test_an_expired_package_is_not_released(jane: m.Customer) -> None:
    with transaction():
        demand("review", demanded=True, now=clock.now())
    filed = file("export")
    answer(filed)
    with transaction():
        Dossier.objects.update(expires_at=clock.now())
    assert code_of(post(filed.request, "complete", {"resolution": "late"})) == (409, "package_gone")
    assert again(filed).state == "review"


@pytest.mark.parametrize("to", ["vi@acme.example", "mallory@globex.example", "nobody", "x" * 255])
def test_requests_are_given_to_officers_of_the_tenant_alone(jane: m.Customer, to: str) -> None:
    filed = file("grievance")
    assert post(filed.request, "assign", {"to": to}).status_code == 400
    assert again(filed).state == "queued"


def test_an_erasure_takes_what_officers_wrote_about_the_subject(jane: m.Customer) -> None:
    filed = file("rectification", details="I am Jane")
    post(filed.request, "complete", {"resolution": "Jane she is"})
    assert answer(file("delete")).outcome == "completed"
    row = again(filed)
    assert (row.is_shredded, row.notes, row.notes_sealed) == (True, {}, None)
    # And nothing personal can be added to it afterwards.
    row.note(resolution="more")
    assert row.notes_sealed is None


def test_only_the_open_are_moved_by_services_too(jane: m.Customer) -> None:
    filed = file("grievance")
    with transaction():
        outcomes.withdraw(request=filed.request, actor=ADA.actor, now=clock.now())
    with pytest.raises(outcomes.RequestClosed), transaction():
        outcomes.complete(request=filed.request, resolution="x", now=clock.now())


def test_the_timeline_says_which_state_each_move_brought(jane: m.Customer) -> None:
    filed = file("rectification", details="Roe")
    post(filed.request, "assign", {"to": "ada@acme.example"})
    post(filed.request, "complete", {"resolution": "Name corrected"})
    events = client().get(f"{DSAR}/{filed.request.pk}/timeline").json()["events"]
    assert [(event["action"], event["state"]) for event in events] == [
        ("dsar.create", "queued"),
        ("dsar.assign", "review"),
        ("dsar.complete", "completed"),
    ]
