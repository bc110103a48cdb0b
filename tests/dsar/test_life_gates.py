"""Proof, duplicates and withdrawal of an erasure that has to wait for a second person, or in its window."""

from typing import Any

import pytest

from customers import models as m
from dsar.erasing import gates
from dsar.requests import outcomes, services
from dsar.requests.demands import demand
from kaireon.approvals import services as approvals
from kaireon.approvals.models import ApprovalRequest
from kaireon.jobs import runner
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ADA
from tests.dsar.conftest import NUMBER, again, client, file

DSAR = "/api/v1/dsar"


def post(path: str, body: Any = None) -> Any:
    return client().post(path, body or {}, format="json")


@pytest.fixture
def second_person(jane: m.Customer) -> None:
    with transaction():
        approvals.demand_second_person(gates.VERB, demanded=True, now=clock.now())


def approval_states() -> list[str]:
    with transaction():
        return list(ApprovalRequest.objects.order_by("requested_at").values_list("state", flat=True))


@pytest.mark.usefixtures("second_person")
def test_after_proof_the_second_person_is_asked() -> None:
    with transaction():
        demand("identity", demanded=True, now=clock.now())
    waits = post("/api/v1/gdpr/erasure", {"customerId": NUMBER})
    assert (waits.status_code, waits.json()["state"], waits.json()["approvalId"]) == (202, "identity", None)
    assert approval_states() == []
    path = f"{DSAR}/{waits.json()['requestId']}"
    proved = post(f"{path}/identity/vouch", {"method": "vouched", "reason": "Known to me"})
    assert (proved.status_code, proved.json()["state"]) == (200, "approval")
    assert approval_states() == ["pending"]


def withdraw(filed: services.Filed) -> None:
    with transaction():
        outcomes.withdraw(request=filed.request, actor=ADA.actor, now=clock.now())


@pytest.mark.usefixtures("second_person")
def test_what_ends_before_the_yes_asks_nobody_any_more() -> None:
    filed = file("delete")
    assert filed.request.state == "approval"
    withdraw(filed)
    assert (again(filed).outcome, approval_states()) == ("withdrawn", ["cancelled"])
    rejected = file("delete")
    with transaction():
        outcomes.reject(request=rejected.request, ground="excessive", reason="x", actor=ADA.actor, now=clock.now())
    assert (again(rejected).outcome, approval_states()) == ("rejected", ["cancelled", "cancelled"])


@pytest.mark.usefixtures("second_person")
def test_a_duplicate_of_what_waits_for_a_yes_asks_when_it_takes_over() -> None:
    first, second = file("delete"), file("delete")
    assert (second.request.duplicate_of, len(approval_states())) == (first.request.pk, 1)
    withdraw(first)
    heir = again(second)
    assert (heir.duplicate_of, heir.state) == (None, "approval")
    assert approval_states() == ["cancelled", "pending"]


def test_in_its_window_it_is_withdrawn_and_its_job_does_nothing(jane: m.Customer, settings: Any) -> None:
    settings.DSAR_ERASURE_WINDOW_HOURS = 1
    filed = file("delete")
    assert filed.request.state == "window"
    assert post(f"{DSAR}/{filed.request.pk}/withdraw").json()["outcome"] == "withdrawn"
    with clock.freeze(clock.now() + gates.window() * 2):
        runner.run(job_id=filed.job.pk)
    assert again(filed).outcome == "withdrawn"
    with transaction():
        assert m.Customer.objects.filter(pk=jane.pk).exists()
