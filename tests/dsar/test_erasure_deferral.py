"""What a hold keeps of an erasure is deferred, and goes by itself when the hold ends."""

import os
import signal
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from audit.sealing import subject_keys
from compliance.holding import matters
from compliance.holding.signals import released
from compliance.models import Hold, HoldState
from cron import runner as cron
from cron.models import Trigger
from customers import models as m
from dsar.erasing import deferrals, erasure
from dsar.models import DsarRequest, ErasureStep, Step
from dsar.requests import services
from kaireon.jobs import runner
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.audit.kills.child import fork, killed
from tests.cast import ACME, ADA, MALLORY, PASSWORD
from tests.compliance.rows import AGREED, end, hold
from tests.dsar.conftest import NUMBER, again, answer, client, file, make_customer
from tests.dsar.test_erasure import _hold, _left, _release


def work_off() -> int:
    """What a worker does with all that is due; how many jobs."""
    worked = 0
    while True:
        with transaction():
            job = Job.objects.filter(state=JobState.QUEUED, due_at__lte=clock.now()).order_by("created_at").first()
        if job is None:
            return worked
        runner.run(job_id=job.pk)
        worked += 1


def turns(filed: services.Filed) -> list[tuple[int, str, str]]:
    with transaction():
        steps = ErasureStep.objects.filter(request=filed.request.pk).in_order()
        return [(step.turn, step.name, step.state) for step in steps]


DONE = [(1, "rows", "done"), (1, "journal", "done"), (1, "objects", "done"), (1, "verification", "done")]
AGAIN = [(2, "rows", "done"), (2, "journal", "done"), (2, "objects", "done"), (2, "verification", "done")]


@pytest.mark.parametrize(
    "data_class",
    ["interactions", "decisions", "metrics", "consents", "deliveries", "attachments", "profiles", "dsar", "audit"],
)
def test_releasing_the_hold_finishes_it_by_itself(jane: m.Customer, data_class: str) -> None:
    """Whatever is held: the rows, the person's requests and packages, or the log that tells of them."""
    answer(file())
    neighbour = m.Customer.objects.numbered("C-99")
    with transaction():
        other = neighbour.get()
    before = _left(other)
    _hold(data_class)
    filed = file("delete")
    first = answer(filed)
    assert (first.status, first.state, first.outcome) == ("processing", "deferred", "partially_completed")
    assert (first.closed_at, first.answered_at is not None) == (None, True)
    assert turns(filed) == DONE
    _release(data_class)
    assert work_off() == 2
    request = again(filed)
    assert (request.status, request.outcome, request.retained) == ("completed", "completed", [])
    assert request.answered_at == first.answered_at < request.closed_at  # type: ignore[operator]
    assert turns(filed) == DONE + AGAIN
    assert set(_left(jane)) == {"dsarRequest"}
    assert request.is_shredded
    with transaction():
        assert not DsarRequest.objects.filter(customer_ref=jane.pk, subject_sealed__isnull=False).exists()
        assert not subject_keys.alive([str(jane.pk)])
    assert _left(other) == before
    assert work_off() == 0


def test_both_times_and_what_went_in_each_are_told(jane: m.Customer) -> None:
    _hold("interactions")
    filed = file("delete")
    answer(filed)
    _release("interactions")
    work_off()
    said = client().get(f"/api/v1/dsar/{filed.request.pk}").json()
    first, second = (step for step in said["steps"] if step["name"] == "rows")
    assert first["finishedAt"] < said["answeredAt"] < second["finishedAt"] < said["completedAt"]
    assert first["counts"]["retained"] == 5
    assert (first["counts"]["deleted"]["interactionHistory"], second["counts"]["deleted"]["interactionHistory"]) == (
        0,
        3,
    )
    assert second["counts"]["retained"] == 0
    assert {step["attempts"] for step in said["steps"]} == {1}
    verbs = ("dsar.erasure.deferred", "dsar.erasure.resume", "dsar.erasure.completed")
    assert [client().get(f"/api/v1/audit-logs?action={verb}").json()["total"] for verb in verbs] == [1, 1, 1]


def test_a_hold_between_plan_and_erasure_defers_exactly_its_rows(jane: m.Customer) -> None:
    filed = file("delete")
    planned = client().get(f"/api/v1/dsar/{filed.request.pk}/plan").json()
    placed = hold(jane, entity="attachment")
    request = answer(filed)
    assert planned["totals"]["retain"] == 0
    assert {r["entity"]: r["count"] for r in request.retained if r["ground"] == "legal_hold"} == {"attachment": 1}
    assert set(_left(jane)) == {"attachment", "customer", "dsarRequest"}
    with transaction():
        Hold.objects.filter(pk=placed.pk).update(**AGREED, releases_at=clock.now())
        matters.finish_releases(now=clock.now())
    work_off()
    assert again(filed).outcome == "completed"
    assert set(_left(jane)) == {"dsarRequest"}
    assert again(filed).counts["objects"] == {"deleted": 1, "wereMissing": 0}


def test_of_two_holds_the_end_of_one_is_not_enough_for_what_the_other_keeps(jane: m.Customer) -> None:
    _hold("interactions")
    _hold("decisions")
    filed = file("delete")
    answer(filed)
    _release("interactions")
    work_off()
    request = again(filed)
    assert (request.state, request.outcome) == ("deferred", "partially_completed")
    assert "interactionHistory" not in {r["entity"] for r in request.retained}
    assert "decisionTrace" in _left(jane)
    _release("decisions")
    work_off()
    assert again(filed).outcome == "completed"
    assert [turn for turn, name, _ in turns(filed) if name == "rows"] == [1, 2, 3]


def test_a_release_that_frees_nothing_of_them_begins_no_turn(jane: m.Customer) -> None:
    _hold("interactions")
    _hold("deliveries")
    filed = file("delete")
    answer(filed)
    with transaction():
        m.Delivery.objects.filter(customer=jane).update(customer=m.Customer.objects.numbered("C-99").get())
    hold_of_all = hold(entity="interactionHistory")
    _release("interactions")
    hold(entity="journeyEnrollment")
    with transaction():
        assert Job.objects.filter(type=deferrals.RESUME_JOB).count() == 1
        Job.objects.all().update(state=JobState.DONE, finished_at=clock.now(), lease_token=None, lease_until=None)
    assert deferrals.resume_due(now=clock.now(), dry_run=True) == 0
    assert deferrals.resume_due(now=clock.now()) == 0
    assert again(filed).state == "deferred"
    end(hold_of_all)
    assert deferrals.resume_due(now=clock.now(), dry_run=True) == 1
    assert deferrals.resume_due(now=clock.now()) == 1
    assert deferrals.resume_due(now=clock.now()) == 0


def test_cleanup_finds_what_no_release_told_of(jane: m.Customer) -> None:
    """The hold ended, and whoever should have said so did not."""
    placed = hold(jane, entity="attachment")
    filed = file("delete")
    answer(filed)
    end(placed)
    with transaction():
        assert not Job.objects.filter(type=deferrals.RESUME_JOB).exists()
    dry = cron.run_job("cleanup", trigger=Trigger.COMMAND, dry_run=True).body
    assert next(e for e in dry["perTenant"] if e["tenantId"] == ACME)["erasuresResumed"] == 1
    body = cron.run_job("cleanup", trigger=Trigger.COMMAND).body
    assert next(e for e in body["perTenant"] if e["tenantId"] == ACME)["erasuresResumed"] == 1
    work_off()
    assert again(filed).outcome == "completed"


@pytest.mark.parametrize("asked_first", [True, False])
def test_a_cooling_off_ends_by_itself(jane: m.Customer, asked_first: bool) -> None:
    """Whether the release was agreed to before the erasure or after it."""
    placed, filed = hold(jane, entity="attachment"), file("delete")
    ends = clock.now() + timedelta(hours=24)

    def agree() -> None:
        with transaction():
            Hold.objects.filter(pk=placed.pk).update(**AGREED, releases_at=ends)
            released.send(sender=Hold, at=ends)

    if asked_first:
        agree()
    answer(filed)
    if not asked_first:
        agree()
    assert work_off() == 0
    with clock.freeze(ends + timedelta(seconds=1)):
        work_off()
        assert again(filed).outcome == "completed"
    with transaction():
        assert Hold.objects.get(pk=placed.pk).state == HoldState.RELEASED


def test_while_it_waits_no_deadline_runs_and_retention_goes_on(jane: m.Customer) -> None:
    _hold("interactions")
    filed = file("delete")
    answer(filed)
    with transaction():
        assert not DsarRequest.objects.unanswered().exists()
        assert DsarRequest.objects.open().count() == 1
    with clock.freeze(clock.now() + timedelta(days=400)):
        with transaction(), connection.cursor() as cursor:
            cursor.execute("SELECT * FROM public.gauge_requests(%s)", [clock.now()])
            assert cursor.fetchall() == [("processing", 1, 0, None)]
        page = client_page(f"/admin/dsar/dsarrequest/{filed.request.pk}/change/")
    assert "in time" in page
    assert "Deferred while something must stay" in page


def client_page(path: str) -> str:
    browser = Client()
    browser.post("/admin/login/", {"username": ADA.email, "password": PASSWORD})
    return browser.get(path).content.decode()


def test_another_tenants_release_wakes_nobody_here(jane: m.Customer) -> None:
    _hold("interactions")
    filed = file("delete")
    answer(filed)
    with MALLORY.here():
        with transaction():
            make_customer()
        _hold("interactions")
        _release("interactions")
        assert deferrals.resume_due(now=clock.now()) == 0
    assert again(filed).state == "deferred"


def test_the_endpoint_tells_what_stays_and_that_it_goes_on(jane: m.Customer) -> None:
    _hold("interactions")
    said = client().post("/api/v1/gdpr/erasure", {"customerId": NUMBER}, format="json")
    assert (said.status_code, said.json()["success"]) == (200, True)
    assert {r["entity"] for r in said.json()["retained"]} >= {"interactionHistory", "journeyEnrollment"}
    row = client().get(f"/api/v1/dsar/{said.json()['requestId']}").json()
    assert (row["status"], row["state"]) == ("processing", "deferred")


def test_killed_after_every_step_it_goes_on_behind_it_and_does_everything_once(
    jane: m.Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies between every two steps."""
    _hold("interactions")
    filed = file("delete")
    for step in Step:
        real = erasure._WORK[step]

        def dies_after(run: Any, request_id: Any, real: Any = real) -> Any:
            real(run, request_id)
            os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setitem(erasure._WORK, step, dies_after)
        assert killed(fork(partial(runner.run, job_id=filed.job.pk)))
        monkeypatch.setitem(erasure._WORK, step, real)
        with transaction():
            Job.objects.filter(pk=filed.job.pk, state=JobState.RUNNING).update(lease_until=clock.now())
    assert turns(filed) == DONE
    assert again(filed).state == "deferred"
    assert again(filed).counts["deleted"]["decisionTrace"] == 1
    _release("interactions")
    work_off()
    assert again(filed).outcome == "completed"
    with transaction():
        attempts = ErasureStep.objects.in_order().values_list("attempts", flat=True)
        # Each step begins with the end of the one before: whoever died had begun it, and another took it up.
        assert list(attempts) == [1, 2, 2, 2, 1, 1, 1, 1]
