"""What an erasure waits for before it begins: another person's yes, and a window in which it can be cancelled."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from compliance.holding import pauses
from customers import models as m
from dsar.erasing import cancelling, gates
from dsar.models import DsarRequest, ErasurePlan
from dsar.requests import services
from kaireon.approvals import services as approvals
from kaireon.approvals.models import ApprovalRequest
from kaireon.jobs import runner
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.tenancy import tenants
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.roles import Role
from tests.cast import ACME, ADA, MALLORY, PASSWORD
from tests.dsar.conftest import NUMBER, again, answer, client, file
from tests.dsar.test_erasure import _hold, _left

DAY = timedelta(days=1)


@pytest.fixture
def demanded(ada: None) -> None:
    with transaction():
        approvals.demand_second_person(gates.VERB, demanded=True, now=clock.now())


@pytest.fixture
def bea(ada: None) -> Actor:
    with scope(tenant_id=ACME, actor=ADA.actor):
        user = tenants.create_user(email="bea@acme.example", name="Bea", password="", actor=ADA.actor)
        with transaction():
            tenants.add_member(user=user, role=Role.ADMIN)
    return Actor(id=str(user.pk), name="Bea", type="user")


def decide(actor: Actor, given: str = "approve") -> ApprovalRequest:
    with scope(tenant_id=ACME, actor=actor), transaction():
        row = ApprovalRequest.objects.filter(verb=gates.VERB).latest("requested_at")
        return approvals.decide(request_id=row.pk, answer=given, actor=actor, now=clock.now())


def state_of(filed: services.Filed) -> tuple[str, str, str]:
    row = again(filed)
    return row.status, row.state, row.outcome


def cancel(filed: services.Filed, nick: str = "ada") -> Any:
    return client(nick).post(f"/api/v1/dsar/{filed.request.pk}/cancel", format="json")


def work(filed: services.Filed) -> DsarRequest:
    """Whatever job the request has by now."""
    with transaction():
        job = DsarRequest.objects.get(pk=filed.request.pk).job_ref
    if job is not None:
        runner.run(job_id=job)
    return again(filed)


def test_a_second_persons_yes_begins_it(jane: m.Customer, demanded: None, bea: Actor) -> None:
    before = _left(jane)
    filed = file("delete")
    assert state_of(filed) == ("queued", "approval", "")
    assert work(filed).state == "approval"
    with pytest.raises(approvals.OwnRequest):
        decide(ADA.actor)
    assert _left(jane) == {**before, "dsarRequest": 1}
    assert decide(bea).state == "approved"
    assert state_of(filed) == ("queued", "queued", "")
    assert work(filed).outcome == "completed"
    with transaction():
        plan = ErasurePlan.objects.get()
        assert (plan.approved_by, plan.window_until) == (bea.id, None)
    found = client().get("/api/v1/audit-logs?action=dsar.erasure.agreed").json()
    assert [log["userName"] for log in found["logs"]] == ["Bea"]
    with pytest.raises(approvals.AlreadyAnswered):
        decide(bea)


def test_the_endpoint_answers_202_and_nothing_is_erased_meanwhile(jane: m.Customer, demanded: None, bea: Actor) -> None:
    said = client().post("/api/v1/gdpr/erasure", {"customerId": NUMBER}, format="json")
    body = said.json()
    assert (said.status_code, body["status"], body["state"]) == (202, "queued", "approval")
    assert client().get(f"/api/v1/approvals/{body['approvalId']}").json()["summary"].startswith("Erase a customer by")
    assert NUMBER not in str(client().get(f"/api/v1/approvals/{body['approvalId']}").json())
    assert _left(jane)["interactionHistory"] == 3
    decide(bea)
    with transaction():
        row = DsarRequest.objects.get(pk=body["requestId"])
    runner.run(job_id=row.job_ref)  # type: ignore[arg-type]
    assert client().get(f"/api/v1/dsar/{row.pk}").json()["outcome"] == "completed"


@pytest.mark.parametrize("end", ["reject", "expire", "cancel"])
def test_without_a_yes_it_failed_and_is_asked_for_anew(jane: m.Customer, demanded: None, bea: Actor, end: str) -> None:
    filed = file("delete")
    if end == "reject":
        decide(bea, "reject")
    elif end == "expire":
        with transaction():
            assert approvals.expire_due(now=clock.now() + 8 * DAY) == 1
    else:
        with transaction():
            approvals.cancel(request_id=ApprovalRequest.objects.get().pk, actor=ADA.actor, now=clock.now())
    code = {"reject": "approval_rejected", "expire": "approval_expired", "cancel": "approval_cancelled"}[end]
    assert (again(filed).status, again(filed).error) == ("failed", code)
    assert _left(jane)["interactionHistory"] == 3
    # Bea asks again for what Ada filed: neither of them may agree to it.
    with scope(tenant_id=ACME, actor=bea), transaction():
        services.retry_request(request=again(filed), now=clock.now())
    assert state_of(filed) == ("queued", "approval", "")
    with pytest.raises(approvals.OwnRequest):
        decide(bea)
    failed = decide(ADA.actor)
    assert (failed.state, failed.error) == ("failed", "request_by_the_same_person")
    assert again(filed).error == "approval_failed"
    assert _left(jane)["interactionHistory"] == 3


def test_a_plan_that_says_something_else_by_then_was_not_agreed_to(
    jane: m.Customer, demanded: None, bea: Actor
) -> None:
    filed = file("delete")
    with transaction():
        other = m.Customer.objects.numbered("C-99").get()
        ErasurePlan.objects.update(refs=[str(other.pk)])
    assert decide(bea).error == "plan_changed"
    assert work(filed).status == "failed"
    assert _left(other)["interactionHistory"] == 3


def test_a_hold_after_the_yes_keeps_its_rows(jane: m.Customer, demanded: None, bea: Actor) -> None:
    filed = file("delete")
    decide(bea)
    _hold("interactions")
    assert {r["entity"]: r["count"] for r in work(filed).retained if r["ground"] == "legal_hold"} == {
        "interactionHistory": 3,
        "journeyEnrollment": 1,
    }


def test_commands_ask_nobody(jane: m.Customer, demanded: None) -> None:
    with pytest.raises(CommandError, match="a person must ask"):
        call_command("dsar", "create", type="delete", subject_id=NUMBER, tenant="acme")
    with transaction():
        assert not DsarRequest.objects.exists()


def test_in_the_window_it_is_cancelled_and_nothing_is_erased(jane: m.Customer, settings: Any) -> None:
    settings.DSAR_ERASURE_WINDOW_HOURS = 24
    before = _left(jane)
    said = client().post("/api/v1/gdpr/erasure", {"customerId": NUMBER}, format="json")
    assert (said.status_code, said.json()["state"], said.json()["approvalId"]) == (202, "window", None)
    with transaction():
        filed = services.Filed(request=DsarRequest.objects.get(), queued=Job.objects.get())
    assert work(filed).state == "window"
    assert cancel(filed, "ed").status_code == 403
    with MALLORY.here():
        assert cancel(filed, "mallory").status_code == 404
    done = cancel(filed)
    assert (done.status_code, done.json()["outcome"]) == (200, "withdrawn")
    assert cancel(filed).json()["error"]["code"] == "not_cancellable"
    with clock.freeze(clock.now() + 2 * DAY):
        assert work(filed).outcome == "withdrawn"
    with transaction():
        assert Job.objects.get().state == JobState.CANCELLED
        assert pauses.paused_since(filed.request.pk) is None
    assert _left(jane) == {**before, "dsarRequest": 1}
    assert client().get("/api/v1/audit-logs?action=dsar.cancel").json()["total"] == 1


def test_after_the_window_it_is_too_late_and_the_work_begins(jane: m.Customer, settings: Any) -> None:
    settings.DSAR_ERASURE_WINDOW_HOURS = 1
    filed = file("delete")
    until = again(filed).requested_at + timedelta(hours=1)
    with clock.freeze(until - timedelta(seconds=1)):
        assert work(filed).state == "window"
    with clock.freeze(until):
        assert cancel(filed).json()["error"]["code"] == "too_late_to_cancel"
        assert work(filed).outcome == "completed"
        assert cancel(filed).json()["error"]["code"] == "not_cancellable"


def test_first_the_yes_and_then_the_window(jane: m.Customer, demanded: None, bea: Actor, settings: Any) -> None:
    settings.DSAR_ERASURE_WINDOW_HOURS = 1
    filed = file("delete")
    assert state_of(filed)[1] == "approval"
    with clock.freeze(clock.now() + DAY):
        decide(bea)
        assert state_of(filed)[1] == "window"
        assert work(filed).state == "window"
    with clock.freeze(clock.now() + DAY + timedelta(hours=2)):
        assert work(filed).outcome == "completed"


def test_what_waits_for_a_yes_is_cancelled_and_cannot_be_agreed_to_any_more(
    jane: m.Customer, demanded: None, bea: Actor
) -> None:
    filed = file("delete")
    with scope(tenant_id=ACME, actor=bea), transaction():
        cancelling.cancel(again(filed), actor=bea, now=clock.now())
    assert decide(bea).error == "request_not_waiting"
    assert state_of(filed) == ("completed", "completed", "withdrawn")
    assert _left(jane)["interactionHistory"] == 3


def test_the_page_has_the_button_only_while_it_can_be_cancelled(jane: m.Customer, settings: Any) -> None:
    settings.DSAR_ERASURE_WINDOW_HOURS = 1
    filed = file("delete")
    browser = Client()
    browser.post("/admin/login/", {"username": ADA.email, "password": PASSWORD})
    page = f"/admin/dsar/dsarrequest/{filed.request.pk}"
    assert "Cancel the erasure" in browser.get(f"{page}/change/").content.decode()
    assert browser.post(f"{page}/cancel/").status_code == 302
    assert state_of(filed) == ("completed", "completed", "withdrawn")
    assert "Cancel the erasure" not in browser.get(f"{page}/change/").content.decode()
    assert "cannot be cancelled any more" in browser.post(f"{page}/cancel/").content.decode()


def test_without_a_demand_nothing_waits(jane: m.Customer) -> None:
    assert answer(file("delete")).outcome == "completed"
