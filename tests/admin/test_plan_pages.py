"""The pages of purge plans: made after a look, compared, agreed to, applied, followed, refused."""

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from audit import services as log
from audit.models import AuditRecord
from compliance.models import PlanState, PurgePlan
from compliance.purging import applying, forecast, plan_page, plans, refusals
from customers.models import Customer, Interaction
from kaireon.approvals import services as approvals
from kaireon.jobs import runner
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.admin.inline import refused
from tests.approvals.conftest import BEA, admins  # noqa: F401
from tests.cast import ACME, ADA, ED, MALLORY, VI, Person
from tests.compliance.rows import NOW, count, customer, end, hold, interactions, policy, traces

PLANS = "/admin/compliance/purgeplan/"
NEW = f"{PLANS}new/"


@pytest.fixture(autouse=True)
def _noon() -> Iterator[None]:
    with clock.freeze(NOW):
        yield


@pytest.fixture
def old(db: str) -> Customer:
    """Five interactions and two decisions past their time, and one interaction that is not."""
    who = customer()
    interactions(who, 40, 50, 60, 70, 80, 1)
    traces(who, 100, 200)
    policy("interactions", 30)
    policy("decisions", 90)
    return who


@pytest.fixture
def two_people(admins: str) -> None:  # noqa: F811
    with ADA.here(), transaction():
        approvals.demand_second_person(plans.VERB, demanded=True, now=NOW)


def text_of(answer: Any) -> str:
    """The words of a page, one space between them."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.unescape(answer.content.decode())).split())


def look(client: Client, **asked: Any) -> Any:
    answer = client.get(NEW, {"look": "1", **asked})
    assert refused(answer) == []
    return answer


def token(answer: Any) -> str:
    found = re.search(r'name="token" value="([^"]+)"', answer.content.decode())
    assert found
    return found[1]


def make(client: Client, **asked: Any) -> PurgePlan:
    answer = client.post(NEW, {"token": token(look(client, **asked))})
    assert answer.status_code == 302, text_of(answer)
    return newest()


def newest() -> PurgePlan:
    with ADA.here(), transaction():
        plan = PurgePlan.objects.newest_first().first()
        assert plan is not None
        return plan


def page_of(plan: PurgePlan) -> str:
    return f"{PLANS}{plan.pk}/change/"


def refusals_of(plan: PurgePlan) -> list[Any]:
    log.drain(ACME)
    with ADA.here(), transaction():
        found = AuditRecord.objects.filter(action=refusals.VERB, entity_id=str(plan.pk)).order_by("seq")
        return [(record.user_name, record.changes) for record in found]


def objections(client: Client, plan: PurgePlan) -> set[str]:
    answer = client.get(page_of(plan))
    assert refused(answer) == []
    return set(re.findall(r'data-code="(\w+)"', answer.content.decode()))


def test_it_is_looked_at_made_applied_followed_and_written_down(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    assert "Make one to look" in client.get(PLANS).content.decode()
    looked = look(client)
    assert "7 rows" in text_of(looked)
    assert "30 days, version 1 of the policy" in text_of(looked)
    with ADA.here(), transaction():
        assert not PurgePlan.objects.exists()
    plan = make(client)
    assert (plan.rows, plan.classes, plan.made_by_name) == (7, None, "Ada")
    page = text_of(client.get(page_of(plan)))
    assert "Everything is as it was planned: it may be applied." in page
    assert "Nothing is deleted before somebody applies it." in page
    apply = f"{PLANS}{plan.pk}/apply/"
    assert "Delete 7 rows" in text_of(client.get(apply))
    assert client.post(apply).status_code == 302
    follows = client.get(page_of(plan), headers={"HX-Request": "true"})
    assert follows.content.decode().strip().startswith("<section")
    assert 'hx-trigger="every 2s"' in follows.content.decode()
    assert "HX-Refresh" not in follows.headers
    with ADA.here():
        with transaction():
            job = Job.objects.get(type=applying.JOB_TYPE)
        runner.run(job_id=job.pk)
    ended = client.get(page_of(plan), headers={"HX-Request": "true"})
    assert ended.headers["HX-Refresh"] == "true"
    assert dict(re.findall(r'data-figure="(\w+)">([^<]+)<', ended.content.decode())) == {
        "planned": "7",
        "deleted": "7",
        "percent": "100 %",
    }
    assert count(Interaction) == 1
    assert f"/admin/compliance/disposition/?plan={plan.pk}" in ended.content.decode()
    listed = text_of(client.get(PLANS))
    assert "Applied" in listed
    assert "7 deleted" in listed


def test_only_the_classes_that_were_chosen(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    plan = make(client, classes=["decisions"])
    assert (plan.rows, plan.classes) == (2, ["decisions"])
    for asked in (["nothing-of-ours"], ["decisions", "<b>"]):
        answer = look(client, classes=asked)
        assert "is no data class" in text_of(answer)
        assert "Make the plan" not in text_of(answer)


def test_a_form_that_is_sent_twice_makes_one_plan_and_a_plan_is_applied_once(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    given = {"token": token(look(client))}
    first, second = client.post(NEW, given), client.post(NEW, given)
    assert first["Location"] == second["Location"]
    assert count(PurgePlan) == 1
    apply = f"{PLANS}{newest().pk}/apply/"
    assert client.post(apply).status_code == 302
    again = client.post(apply)
    assert again.status_code == 200
    assert "A job is applying this plan. Wait for it." in text_of(again)
    assert refusals_of(newest()) == [("Ada", {"reason": "plan_under_way"})]
    with ADA.here(), transaction():
        assert Job.objects.filter(type=applying.JOB_TYPE).count() == 1


def test_a_look_counts_for_who_had_it_and_not_for_ever(
    old: Customer,
    admins: str,  # noqa: F811
    sign_in: SignIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = sign_in(ADA)
    given = token(look(client))
    for text, person in ((given, BEA), (given, MALLORY), (given[:-1] + "?", ADA), ("", ADA)):
        answer = sign_in(person).post(NEW, {"token": text})
        assert answer.status_code == 200
        assert "Look again" in text_of(answer)
    monkeypatch.setattr("compliance.purging.making_admin._LOOKED_AT", -1)
    assert "Look again" in text_of(client.post(NEW, {"token": given}))
    assert count(PurgePlan) == 0
    assert count(PurgePlan, who=MALLORY) == 0


def test_what_begin_would_refuse_stands_on_the_page_and_is_recorded_when_tried(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    plan = make(client)
    assert objections(client, plan) == set()
    interactions(old, 45, 46)
    hold(old, data_class="decisions")
    policy("interactions", 42)
    assert objections(client, plan) == {"set_grew", "hold_appeared", "policy_changed"}
    page = text_of(client.get(page_of(plan)))
    assert "42 days now, version 2" in page
    assert "Hold: Case 7" in page
    assert "0 2 fewer" in page
    answer = client.post(f"{PLANS}{plan.pk}/apply/")
    assert answer.status_code == 200
    said = {refusals.ADVICE[reason] for reason in refusals.Reason if refusals.ADVICE[reason] in text_of(answer)}
    assert len(said) == 1
    ((who, changes),) = refusals_of(plan)
    assert who == "Ada"
    assert changes["reason"] in {"set_grew", "hold_appeared", "policy_changed"}
    assert (newest().state, count(Interaction)) == (PlanState.PLANNED, 8)


def test_rows_more_and_fewer_are_told(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    plan = make(client)
    interactions(old, 45, 46)
    assert "7 2 more" in text_of(client.get(page_of(plan)))
    with ADA.here(), transaction():
        Interaction.objects.filter(occurred_at__lt=NOW - timedelta(days=42)).delete()
    assert "1 4 fewer" in text_of(client.get(page_of(plan)))


def test_beside_the_plan_before_it_says_what_changed(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    make(client)
    interactions(old, 45, 46)
    other = make(client, classes=["interactions"])
    assert "plan before" not in text_of(client.get(page_of(other)))
    policy("decisions", 300)
    with clock.freeze(NOW + timedelta(minutes=1)):
        again = make(client)
        page = text_of(client.get(page_of(again)))
    assert "7 5 +2" in page
    assert "Only that one named" in page
    assert "planned, with 7 rows" in page


def test_too_old_it_offers_nothing(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    plan = make(client)
    with clock.freeze(NOW + timedelta(days=1, seconds=1)):
        client = sign_in(ADA)
        page = client.get(page_of(plan)).content.decode()
        assert f"{plan.pk}/apply/" not in page
        assert objections(client, plan) == {"plan_stale"}
        assert "Too old" in text_of(client.get(PLANS))
        assert "older than a day" in text_of(client.post(f"{PLANS}{plan.pk}/apply/"))
    assert refusals_of(plan) == [("Ada", {"reason": "plan_stale"})]


def test_a_second_person_agrees_on_its_page_and_its_author_does_not(
    two_people: None, old: Customer, sign_in: SignIn
) -> None:
    ada, bea = sign_in(ADA), sign_in(BEA)
    assert "Somebody else has to agree to it first" in text_of(look(ada))
    plan = make(ada)
    approve, apply = f"{PLANS}{plan.pk}/approve/", f"{PLANS}{plan.pk}/apply/"
    page = ada.get(page_of(plan)).content.decode()
    assert approve not in page
    assert apply not in page
    assert "Waits for a second person" in text_of(ada.get(PLANS))
    assert "This is your own request" in text_of(ada.post(approve))
    assert "A second person must agree" in text_of(ada.post(apply))
    assert refusals_of(plan) == [("Ada", {"reason": "plan_not_approved"})]
    assert approve in bea.get(page_of(plan)).content.decode()
    assert bea.post(approve, {"comments": "Counted."}).status_code == 302
    assert (newest().state, newest().approved_by_name) == (PlanState.APPROVED, "Bea")
    assert "You have answered this request before." in text_of(bea.post(approve))
    assert apply in ada.get(page_of(plan)).content.decode()
    assert ada.post(apply).status_code == 302


def test_nobody_was_asked_to_agree(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    plan = make(client)
    assert f"{plan.pk}/approve/" not in client.get(page_of(plan)).content.decode()
    assert "Nobody was asked" in text_of(client.post(f"{PLANS}{plan.pk}/approve/"))


def test_stopped_on_the_way_it_says_why_and_links_what_went(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    plan = make(client, classes=["interactions"])
    client.post(f"{PLANS}{plan.pk}/apply/")
    with ADA.here(), pytest.raises(refusals.PlanRefused):
        applying.go_on(
            plan_id=plan.pk, now=NOW, budget=applying.Budget(60), size=2, told=lambda done, _: done == 2 and hold(old)
        )
    page = client.get(page_of(plan))
    assert "It was stopped for good. A hold came since the plan was made" in text_of(page)
    assert f"/admin/compliance/disposition/?plan={plan.pk}" in page.content.decode()
    assert "2 deleted, then: A hold came" in text_of(client.get(PLANS))
    assert "stopped for good" in text_of(client.post(f"{PLANS}{plan.pk}/apply/"))


def test_one_that_nobody_applies_any_more_is_taken_up_again(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    plan = make(client)
    with ADA.here():
        applying.begin(plan_id=plan.pk, actor=ADA.actor, now=NOW)
        applying.go_on(plan_id=plan.pk, now=NOW, budget=applying.Budget(0), size=2)
    page = client.get(page_of(plan))
    assert "No worker applies it" in text_of(page)
    assert "hx-trigger" not in page.content.decode()
    assert f"{plan.pk}/apply/" in page.content.decode()
    assert client.post(f"{PLANS}{plan.pk}/apply/").status_code == 302
    assert 'hx-trigger="every' in client.get(page_of(plan)).content.decode()


@pytest.mark.parametrize("person", [ED, VI, MALLORY], ids=lambda p: p.role)
def test_nobody_else_makes_sees_or_applies_one(person: Person, old: Customer, sign_in: SignIn) -> None:
    plan = make(sign_in(ADA))
    client = sign_in(person)
    for path in (f"{PLANS}{plan.pk}/apply/", f"{PLANS}{plan.pk}/approve/"):
        assert client.post(path).status_code in (403, 404)
    part = client.get(page_of(plan), headers={"HX-Request": "true"})
    assert part.status_code in (403, 404) or (person is not MALLORY and part.status_code == 200)
    if person is MALLORY:
        assert part.status_code == 404
        assert str(plan.pk) not in client.get(PLANS).content.decode()
    else:
        assert client.post(NEW, {"token": "x"}).status_code == 403
    assert newest().state == PlanState.PLANNED


def test_nothing_to_delete_is_a_plan_too(db: str, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    answer = look(client)
    assert "Nothing is past its time" in text_of(answer)
    assert "Kept because nobody said how long" in text_of(answer)
    plan = make(client)
    assert "Nothing was past its time." in text_of(client.get(page_of(plan)))
    assert client.post(f"{PLANS}{plan.pk}/apply/").status_code == 302


def test_what_is_too_much_to_count_while_one_waits_is_said_so(
    old: Customer, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = sign_in(ADA)
    plan = make(client)
    monkeypatch.setattr(forecast, "MOST_COUNTED", 3)
    assert "3 or more" in text_of(look(client))
    # Every statement takes longer than no time at all; which one does not matter.
    slow = "SELECT pg_sleep(5)"
    for module in (forecast, plan_page):
        monkeypatch.setattr(module, "at_most", lambda seconds, plain=module.at_most: _slowed(plain, slow))
    assert "took too long to count" in text_of(look(client))
    page = text_of(client.get(page_of(plan)))
    assert "There are too many rows to compare" in page
    assert "not compared" in page
    assert "may be applied." not in page


def _slowed(plain: Any, statement: str) -> Any:
    @contextmanager
    def slowed() -> Iterator[None]:
        with plain(0.001), connection.cursor() as cursor:
            cursor.execute(statement)
            yield

    return slowed()


def test_a_hold_that_keeps_some_is_named_and_its_people_are_not(old: Customer, sign_in: SignIn) -> None:
    client = sign_in(ADA)
    placed = hold(old, data_class="decisions")
    plan = make(client)
    assert plan.rows == 5
    answer = look(client)
    assert "Hold: Case 7" in text_of(answer)
    for page in (answer, client.get(page_of(plan))):
        assert "c-1" not in re.findall(r"\bc-1\b", page.content.decode())
    end(placed)
    assert objections(client, plan) == set()
