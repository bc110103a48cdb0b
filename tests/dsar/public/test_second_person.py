"""An erasure asked for on the page, where the tenant demands a second person: no member asked, so two must agree."""

from datetime import timedelta

import pytest

from customers import models as m
from dsar.erasing import gates
from dsar.models import ErasurePlan
from dsar.requests import services
from kaireon.approvals import inbox
from kaireon.approvals import services as approvals
from kaireon.approvals.models import ApprovalRequest
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Role
from tests.admin.conftest import SignIn, sign_in  # noqa: F401
from tests.admin.test_erasure_confirming import looked_at
from tests.approvals.conftest import BEA, CY, admins, decide  # noqa: F401
from tests.cast import ADA, Person
from tests.dsar.conftest import EMAIL
from tests.dsar.public.conftest import Visitor, requests, text_of, work

PAGE = "/admin/approvals/approvalrequest"


@pytest.fixture
def demanded(admins: str, acme: str) -> str:  # noqa: F811
    with transaction():
        approvals.demand_second_person(gates.VERB, demanded=True, now=clock.now())
    return acme


def asked() -> list[ApprovalRequest]:
    with transaction():
        return list(ApprovalRequest.objects.order_by("requested_at", "id"))


def waiting_for(person: Person) -> list[ApprovalRequest]:
    with person.here(), transaction():
        return inbox.waiting(person=person.actor.id, role=Role.ADMIN, now=clock.now())


def is_there() -> bool:
    with transaction():
        return m.Customer.objects.filter(email=EMAIL).exists()


def test_it_waits_in_the_inbox_until_two_members_agreed(demanded: str) -> None:
    jane = Visitor()
    page = text_of(jane.arrive("delete"))
    assert "Your request is with our staff." in page
    assert "Withdraw the request" in page
    [row] = requests()
    assert (row.status, row.state, row.error, row.identity_method) == ("queued", "approval", "", "code")
    assert row.deadline_on == row.due_on
    [approval] = asked()
    assert (approval.verb, approval.requested_by, approval.requested_by_type) == (gates.FOR_SUBJECT_VERB, "", "system")
    assert EMAIL not in approval.summary
    assert [[each.pk for each in waiting_for(who)] for who in (ADA, BEA)] == [[approval.pk], [approval.pk]]
    # One is not enough, and nobody is two.
    assert decide(approval, ADA, now=clock.now()).state == "pending"
    with pytest.raises(approvals.AlreadyAnswered):
        decide(approval, ADA, now=clock.now())
    assert waiting_for(ADA) == []
    work()
    assert ([row.state for row in requests()], is_there()) == (["approval"], True)
    assert decide(approval, BEA, now=clock.now()).state == "approved"
    work()
    [row] = requests()
    assert (row.outcome, is_there()) == ("completed", False)
    assert "Your request is completed." in text_of(jane.get("request/"))


def test_its_clock_runs_on_and_nobodys_yes_in_time_is_told(demanded: str) -> None:
    jane = Visitor()
    jane.arrive("delete")
    [row] = requests()
    with clock.freeze(clock.now() + timedelta(days=40)), transaction():
        # It still can be agreed to: late is better than never.
        assert approvals.expire_due(now=clock.now()) == 0
        assert inbox.waiting(person=ADA.actor.id, role=Role.ADMIN, now=clock.now())
    with clock.freeze(clock.now() + timedelta(days=40)):
        assert "The answer is late." in text_of(jane.get("request/"))
    with transaction():
        assert approvals.expire_due(now=clock.now() + timedelta(days=93)) == 1
    assert [(again.state, again.error, again.due_on) for again in requests()] == [
        ("failed", "approval_expired", row.due_on)
    ]


def test_a_no_leaves_it_to_an_officer_who_asks_another(demanded: str) -> None:
    jane = Visitor()
    jane.arrive("delete")
    assert decide(asked()[0], ADA, "reject", now=clock.now()).state == "rejected"
    [row] = requests()
    assert (row.state, row.error) == ("failed", "approval_rejected")
    assert "Your request is with our staff." in text_of(jane.get("request/"))
    with transaction():
        services.retry_request(request=row, now=clock.now())
    assert [one.verb for one in asked()] == [gates.FOR_SUBJECT_VERB, gates.VERB]
    with pytest.raises(approvals.OwnRequest):
        decide(asked()[1], ADA, now=clock.now())
    decide(asked()[1], BEA, now=clock.now())
    work()
    assert ([row.outcome for row in requests()], is_there()) == (["completed"], False)


def test_who_withdraws_asks_nobody_any_more_and_a_second_asking_takes_over(demanded: str) -> None:
    first, second = Visitor(), Visitor()
    first.arrive("delete")
    assert "You asked for the same before" in text_of(second.arrive("delete"))
    assert first.post("request/withdraw/").status_code == 303
    assert [row.state for row in requests()] == ["completed", "approval"]
    assert [one.state for one in asked()] == ["cancelled", "pending"]
    assert waiting_for(BEA) == [asked()[1]]
    assert "Your request is with our staff." in text_of(second.get("request/"))
    second.post("request/withdraw/")
    assert ([one.state for one in asked()], waiting_for(BEA)) == (["cancelled", "cancelled"], [])


def test_in_the_admin_each_of_the_two_types_what_it_is_about(demanded: str, sign_in: SignIn) -> None:  # noqa: F811
    Visitor().arrive("delete")
    [row], [approval] = requests(), asked()
    path = f"{PAGE}/{approval.pk}"
    for who, agreed, said in ((BEA, 0, "Others must agree too."), (CY, 1, "approved.")):
        browser = sign_in(who)
        listed = browser.get(f"{PAGE}/inbox/").content.decode()
        assert "Erase a customer who asked for it · asked by public page" in listed
        assert f"<b>{agreed} of 2 agreed</b>" in browser.get(f"{path}/change/").content.decode()
        shown = browser.get(f"{path}/approve/").content.decode()
        assert "Two members must agree." in shown
        assert row.reference in shown
        answer = {"typed": "NOT-THIS", "looked_at": looked_at(shown)}
        assert "This is not the reference" in browser.post(f"{path}/approve/", answer).content.decode()
        given = browser.post(f"{path}/approve/", {**answer, "typed": row.reference}, follow=True)
        assert said in given.content.decode()
    with transaction():
        assert ErasurePlan.objects.get().approved_by == CY.actor.id
    assert [again.state for again in requests()] == ["queued"]
