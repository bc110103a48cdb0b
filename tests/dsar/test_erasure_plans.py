"""The plan of an erasure says what the erasure then does, and changes nothing."""

from datetime import date
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from compliance.models import Matter
from customers import models as m
from customers.catalogue import CATALOGUE, Erasure
from dsar.erasing import plans
from dsar.erasing.erased import Action
from dsar.models import DsarRequest, ErasurePlan
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ADA, PASSWORD
from tests.compliance.rows import hold
from tests.dsar.conftest import EMAIL, NUMBER, answer, client, file, make_customer
from tests.dsar.test_erasure import _hold, _left

ACTION_OF = {Erasure.DELETE: "erase", Erasure.EVIDENCE: "anonymise", Erasure.SHRED: "shred"}


def plan_of(filed: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client().get(f"/api/v1/dsar/{filed.request.pk}/plan").json()
    return answer


def counted(plan: dict[str, Any], action: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in plan["items"]:
        if item["action"] == action:
            found[item["entity"]] = found.get(item["entity"], 0) + item["count"]
    return found


def test_it_has_a_line_for_every_entity_and_changes_nothing(jane: m.Customer) -> None:
    answer(file())
    filed, before = file("delete"), _left(jane)
    plan = plan_of(filed)
    assert (plan["subject"], plan["frozen"]) == ("known", False)
    for entity in CATALOGUE:
        if before.get(entity.name):
            [line] = [i for i in plan["items"] if i["entity"] == entity.name]
            assert (line["action"], line["count"]) == (ACTION_OF[entity.erasure], before[entity.name])
            assert (line["ground"], line["until"]) == (None, None)
    assert counted(plan, "erase")["attachmentObject"] == 1
    assert counted(plan, "shred")["subjectKey"] == 1
    assert plan["totals"]["retain"] == 0
    assert _left(jane) == before
    assert not client().get("/api/v1/audit-logs?action=dsar.erasure.plan").json()["total"]


@pytest.mark.parametrize("data_class", ["", "interactions", "decisions", "consents", "attachments", "profiles", "dsar"])
def test_what_it_says_is_what_happens(jane: m.Customer, data_class: str) -> None:
    answer(file())
    if data_class:
        _hold(data_class)
    filed = file("delete")
    plan = plan_of(filed)
    request = answer(filed)
    deleted = {name: count for name, count in request.counts["deleted"].items() if count}
    planned = {n: c for n, c in counted(plan, "erase").items() if not n.endswith("Object")}
    assert planned == deleted
    reduced = {name: count for name, count in request.counts["reduced"].items() if count}
    said = {**counted(plan, "anonymise"), **counted(plan, "shred")}
    assert {n: c for n, c in said.items() if n not in ("customer", "subjectKey")} == reduced
    kept = {r["entity"]: r["count"] for r in request.retained}
    assert {**counted(plan, "retain"), **{n: 1 for n in counted(plan, "anonymise") if n == "customer"}} == kept
    # Afterwards the plan is what was done, and whose rows it was is in it.
    after = plan_of(filed)
    assert after["frozen"]
    assert counted(after, "erase") == counted(plan, "erase")


def test_a_matter_says_when_it_is_looked_at_again(jane: m.Customer) -> None:
    placed = hold(jane, entity="attachment")
    with transaction():
        Matter.objects.filter(pk=placed.matter_id).update(review_on=date(2031, 5, 1))
    filed = file("delete")
    [line] = [i for i in plan_of(filed)["items"] if i["entity"] == "attachment"]
    assert (line["action"], line["ground"], line["until"]) == ("retain", "legal_hold", "2031-05-01")
    [kept] = [r for r in answer(filed).retained if r["entity"] == "attachment"]
    assert kept["until"] == "2031-05-01"


def test_whose_rows_are_meant_is_frozen(jane: m.Customer) -> None:
    """The address belongs to somebody else by the time the work begins: they are not erased."""
    filed = file("delete", EMAIL, subject_type="email")
    with transaction():
        plan = plans.renew(DsarRequest.objects.get(pk=filed.request.pk), now=clock.now())
        assert plan.refs == [str(jane.pk)]
        m.Customer.objects.filter(pk=jane.pk).update(email="moved@example.com")
        m.IdentityLink.objects.filter(customer=jane, kind="email").delete()
        heir = make_customer("C-18", interactions=1)
    assert plan_of(filed)["digest"] == plan.digest
    assert answer(filed).outcome == "completed"
    assert set(_left(jane)) == {"dsarRequest"}
    assert _left(heir)["interactionHistory"] == 1


def test_a_number_of_an_erased_person_and_their_remnants_stand_in_one_plan(jane: m.Customer) -> None:
    _hold("interactions")
    answer(file("delete"))
    with transaction():
        returned = make_customer(interactions=0)
    filed = file("delete")
    plan = plan_of(filed)
    with transaction():
        draft = plans.draft(DsarRequest.objects.get(pk=filed.request.pk), now=clock.now())
    assert draft.refs == [str(jane.pk), str(returned.pk)]
    assert counted(plan, "retain")["interactionHistory"] == 3
    # The one is emptied already, the other will be.
    assert (counted(plan, "retain")["customer"], counted(plan, "anonymise")["customer"]) == (1, 1)


def test_nobody_and_several_are_said(jane: m.Customer) -> None:
    nobody = plan_of(file("delete", "nobody"))
    assert (nobody["subject"], nobody["items"], nobody["totals"]["erase"]) == ("unknown", [], 0)
    with transaction():
        m.Customer.objects.create(customer_id="C-20", email=EMAIL)
    several = plan_of(file("delete", EMAIL, subject_type="email"))
    assert (several["subject"], several["items"]) == ("ambiguous", [])


def test_the_digest_is_over_all_it_says(jane: m.Customer) -> None:
    filed = file("delete")
    with transaction():
        plan = plans.renew(DsarRequest.objects.get(pk=filed.request.pk), now=clock.now())
        assert plans.digest(plan) == plan.digest
        for change in ({"refs": []}, {"subject": "unknown"}, {"items": plan.items[1:]}, {"made_at": clock.now()}):
            stored = ErasurePlan.objects.get(pk=plan.pk)
            for name, value in change.items():
                setattr(stored, name, value)
            assert plans.digest(stored) != plan.digest


def test_only_an_erasure_has_one_and_none_is_made_up_afterwards(jane: m.Customer) -> None:
    export = client().get(f"/api/v1/dsar/{file().request.pk}/plan")
    assert (export.status_code, export.json()["error"]["code"]) == (409, "not_an_erasure")
    filed = file("delete")
    answer(filed)
    with transaction():
        ErasurePlan.objects.all().delete()
    gone = client().get(f"/api/v1/dsar/{filed.request.pk}/plan")
    assert (gone.status_code, gone.json()["error"]["code"]) == (409, "plan_gone")


def test_the_command_and_the_page_show_it(jane: m.Customer) -> None:
    _hold("consents")
    filed = file("delete")
    text = call_command("dsar", "plan", str(filed.request.pk), tenant="acme")
    assert "consentRecord\tconsents\tretain\t1\tlegal_hold" in text
    assert NUMBER not in text
    with pytest.raises(CommandError, match="only a request for erasure"):
        call_command("dsar", "plan", str(file().request.pk), tenant="acme")
    browser = Client()
    browser.post("/admin/login/", {"username": ADA.email, "password": PASSWORD})
    page = browser.get(f"/admin/dsar/dsarrequest/{filed.request.pk}/plan/")
    content = page.content.decode()
    assert page.status_code == 200
    assert 'data-entity="consentRecord" data-action="retain"' in content
    assert "Stored file of: Attachment and its object" in content
    assert {str(action) for action in Action} == set(plan_of(filed)["totals"])
