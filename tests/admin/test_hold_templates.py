"""Templates of holds in the admin: made, changed, placed by, removed."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from compliance.holding import templates
from compliance.holding.matters import ScopeRefused
from compliance.models import Hold, HoldTemplate
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.admin.hold_pages import PLACE, opened, place, preview, said
from tests.cast import ADA, AUD, MALLORY, VI
from tests.compliance.rows import customer, interactions

TEMPLATES = "/admin/compliance/holdtemplate/"
NEW = f"{TEMPLATES}new/"
VISITS = {
    "name": "Dispute over visits",
    "about": "A customer disputes a visit.",
    "dataClass": "",
    "entity": "interactionHistory",
    "lookBackDays": "730",
    "rows": "3",
    "field0": "kind",
    "op0": "in",
    "value0": "visit, click",
    "step": "save",
}


@pytest.fixture
def ada(sign_in: SignIn) -> Client:
    return sign_in(ADA)


def made(**given: Any) -> HoldTemplate:
    with ADA.here(), transaction():
        return templates.create(name=given.pop("name", "Dispute"), given=given, now=clock.now())


def all_there() -> list[HoldTemplate]:
    with ADA.here(), transaction():
        return list(HoldTemplate.objects.order_by("name"))


def test_it_is_made_and_a_hold_is_placed_by_it(ada: Client) -> None:
    interactions(customer("ann"), 1, 2)
    assert "Agree beforehand" in said(ada.get(TEMPLATES))
    # The columns of an entity are asked for once it is chosen.
    columns = ada.post(NEW, {**VISITS, "step": "columns", "name": ""})
    assert columns.status_code == 200
    assert b'name="field5"' in columns.content
    answer = ada.post(NEW, VISITS)
    [template] = all_there()
    assert answer["Location"] == f"{TEMPLATES}{template.pk}/change/"
    assert (template.look_back_days, template.query) == (
        730,
        [{"field": "kind", "op": "in", "value": ["visit", "click"]}],
    )
    assert "interaction history of everybody where kind is one of visit, click, of the last 730 days" in said(
        ada.get(TEMPLATES)
    )
    matter = opened()
    form = ada.get(f"{PLACE}?matter={matter.pk}&template={template.pk}").context["form"]
    begins = clock.now().date() - timedelta(days=730)
    assert form.initial["begins"] == begins
    given = {name: form[name].initial or "" for name in form.fields if name not in ("subjects", "ends", "custodians")}
    assert (given["field0"], given["op0"], given["value0"]) == ("kind", "in", "visit, click")
    seen = preview(ada, **{**given, "matter": matter, "begins": begins.isoformat()})
    # Those two are all there is of it.
    place(ada, seen, confirm="on")
    with ADA.here(), transaction():
        hold = Hold.objects.get()
    assert (hold.entity, hold.query) == (template.entity, template.query)
    assert hold.from_at is not None
    assert hold.from_at.date() == begins
    # It does not follow what becomes of the template.
    page = ada.get(f"{TEMPLATES}{template.pk}/alter/")
    assert page.context["form"]["value0"].initial == "visit, click"
    ada.post(f"{TEMPLATES}{template.pk}/alter/", {**VISITS, "entity": "delivery", "field0": "", "value0": ""})
    assert [row.query for row in all_there()] == [None]
    ada.post(f"{TEMPLATES}{template.pk}/remove/", {})
    assert all_there() == []
    with ADA.here(), transaction():
        assert Hold.objects.get().query == hold.query


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"name": "  "}, "This field is required."),
        ({"name": "Dispute"}, "Is taken by another template."),
        ({"lookBackDays": "0"}, "greater than or equal to 1"),
        ({"lookBackDays": "36501"}, "less than or equal to 36500"),
        ({"value0": ""}, "Condition 1 needs a column and a value."),
        ({"entity": "nothing"}, "Select a valid choice"),
        ({"field0": "amount", "op0": "gt", "value0": "many"}, "condition 1: this is no value of amount."),
    ],
)
def test_what_is_none_is_refused_and_nothing_is_kept(ada: Client, given: dict[str, str], problem: str) -> None:
    made(entity="delivery")
    answer = ada.post(NEW, {**VISITS, **given})
    assert answer.status_code == 200
    assert problem.lower() in said(answer).lower()
    assert [row.name for row in all_there()] == ["Dispute"]


def test_there_are_so_many_and_no_more(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MOST_TEMPLATES", 1)
    made()
    with pytest.raises(ScopeRefused, match="there are 1 templates already"):
        made(name="Other")


def test_only_who_manages_retention_changes_them_and_a_tenant_sees_its_own(sign_in: SignIn) -> None:
    template = made()
    for person in (AUD, VI):
        client = sign_in(person)
        assert client.get(NEW).status_code == 403
        assert client.post(f"{TEMPLATES}{template.pk}/remove/", {}).status_code == 403
    stranger = sign_in(MALLORY)
    for verb in ("alter", "remove", "place"):
        assert stranger.post(f"{TEMPLATES}{template.pk}/{verb}/", VISITS).status_code in (302, 404)
    # Another tenant's template is none.
    assert stranger.get(f"{PLACE}?template={template.pk}").context["form"].initial.get("entity") is None
    assert [row.name for row in all_there()] == ["Dispute"]
