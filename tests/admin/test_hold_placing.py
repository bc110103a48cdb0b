"""Placing a hold in the admin: a form, then what it finds, then the hold."""

from typing import Any

import pytest
from django.test import Client

from compliance.holding import matters
from compliance.models import Hold, HoldSubject, Matter, Notice
from kaireon.lib import clock
from kaireon.tenancy import members
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Membership
from tests.admin.conftest import SignIn
from tests.admin.hold_pages import DESK, MATTERS, PLACE, filled, opened, place, preview, refusals, said
from tests.cast import ADA, AUD, ED, VI
from tests.compliance.holders import BEA, join
from tests.compliance.rows import count, customer, interactions


@pytest.fixture
def ada(sign_in: SignIn) -> Client:
    return sign_in(ADA)


class TestPlacing:
    def test_it_is_previewed_then_placed(self, ada: Client, db: str) -> None:
        ann, bo = customer("ann"), customer("Bo Ümlaut 9")
        interactions(ann, 1, 2)
        interactions(bo, 3)
        interactions(customer("other"), 1)
        matter = opened()
        page = preview(
            ada,
            matter,
            entity="interactionHistory",
            subjects="\r\n  ann \r\n\r\nBo Ümlaut 9\nann",
            begins="2020-01-01",
            custodians=[VI.actor.id],
            rows="3",
            field0="kind",
            op0="eq",
            value0="visit",
        )
        text = said(page)
        assert "Interaction history of 2 customers from 2020-01-01 where kind is visit" in text
        assert "3 rows" in text
        assert "that is what I mean" not in text
        assert count(Hold) == 0
        answer = place(ada, page)
        with ADA.here(), transaction():
            hold = Hold.objects.get()
            assert {s.subject_id for s in HoldSubject.objects.all()} == {ann.pk, bo.pk}
            assert Notice.objects.get().member_id == VI.actor.id
        assert answer["Location"] == f"{DESK}{hold.pk}/change/"
        assert (hold.matter_id, hold.placed_by, hold.query) == (
            matter.pk,
            ADA.actor.id,
            [{"field": "kind", "op": "eq", "value": "visit"}],
        )
        shown = said(ada.get(answer["Location"]))
        assert "It holds, from this moment on: 3 rows." in shown
        assert "Since you looked" not in shown
        # Sent again, as by a second click, it is the same hold.
        again = place(ada, page)
        assert again["Location"] == answer["Location"]
        assert count(Hold) == 1

    def test_what_changed_since_the_preview_is_told_and_held(self, ada: Client, db: str) -> None:
        ann = customer("ann")
        customer("bo")
        page = preview(ada, opened(), dataClass="interactions", subjects="ann")
        assert "It finds nothing at all" in said(page)
        interactions(ann, 1)
        # It finds something now, and not everything: no word is needed.
        interactions(customer("cy"), 1)
        text = said(ada.get(place(ada, page)["Location"]))
        assert "Since you looked that changed: Interaction history 0 then, 1 now" in text

    @pytest.mark.parametrize(
        "change",
        [
            {"subjects": "bo"},
            {"dataClass": ""},
            {"ends": "2026-12-31"},
            {"custodians": ["ed"]},
            {"seen": "x"},
            {"seen": ""},
        ],
        ids=str,
    )
    def test_nothing_is_placed_but_what_was_looked_at(self, change: dict[str, Any], ada: Client, db: str) -> None:
        interactions(customer("ann"), 1)
        interactions(customer("bo"), 1)
        page = preview(ada, opened(), dataClass="interactions", subjects="ann")
        if "custodians" in change:
            change = {"custodians": [ED.actor.id]}
        answer = place(ada, page, **change)
        assert "not what you looked at" in said(answer)
        assert count(Hold) == 0
        # That was another look, which counts.
        assert place(ada, answer).status_code == 302

    def test_somebody_elses_look_is_none(self, ada: Client, sign_in: SignIn, db: str) -> None:
        join(BEA, "Bea")
        interactions(customer("ann"), 1)
        interactions(customer("bo"), 1)
        page = preview(ada, opened(), subjects="ann")
        assert "not what you looked at" in said(place(sign_in(BEA), page))
        assert count(Hold) == 0

    @pytest.mark.parametrize(
        ("scope", "words"), [({}, "everything there is"), ({"entity": "delivery"}, "nothing at all")], ids=str
    )
    def test_nothing_and_everything_want_a_word(self, scope: dict[str, str], words: str, ada: Client, db: str) -> None:
        interactions(customer("ann"), 1)
        page = preview(ada, opened(), **scope)
        assert f"It finds {words}, and that is what I mean" in said(page)
        without = place(ada, page)
        assert f"It finds {words}: tick the box." in said(without)
        assert count(Hold) == 0
        assert place(ada, without, confirm="on").status_code == 302
        assert refusals() == [("LegalHold", "confirm_required", "scope")]

    def test_unknown_customers_are_told_by_line_and_not_by_number(self, ada: Client, db: str) -> None:
        customer("ann")
        matter = opened()
        text = said(preview(ada, matter, subjects="ann\n\nnobody-1\nann\nnobody-2"))
        assert "Lines 3, 5 are no customer of yours." in text
        many = "\n".join(f"x{n}" for n in range(30))
        assert "and 20 more are no customer" in said(preview(ada, matter, subjects=many))
        # Who only looks wants nothing yet; who places does.
        assert refusals() == []
        page = preview(ada, matter, subjects="ann")
        assert "Line 1 is no customer of yours." in said(place(ada, page, subjects="nobody-1"))
        assert refusals() == [("LegalHold", "scope_refused", "subjects")]

    def test_ten_thousand_are_placed_and_one_more_is_not(self, ada: Client, db: str) -> None:
        from customers.models import Customer

        numbers = [f"n-{n:05}" for n in range(10_001)]
        with ADA.here(), transaction():
            Customer.objects.bulk_create(Customer(customer_id=number) for number in numbers)
        matter = opened()
        assert "At most 10,000 customers" in said(preview(ada, matter, subjects="\n".join(numbers)))
        page = preview(ada, matter, subjects="\n".join(numbers[:-1]))
        assert "10,000 rows" in said(page)
        answer = place(ada, page)
        assert count(HoldSubject) == 10_000
        # They are shown in pages.
        shown = said(ada.get(f"{answer['Location']}?customers=200"))
        assert "Everything of 10,000 customers" in shown
        assert "Page 200 of 200" in shown
        assert "n-09999" in shown
        assert "n-00000" not in shown

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"dataClass": "nonsense"}, "Select a valid choice"),
            ({"entity": "subjectKey"}, "Select a valid choice"),
            ({"matterId": ""}, "This field is required"),
            ({"matterId": "x"}, "Select a valid choice"),
            ({"begins": "yesterday"}, "Enter a valid date"),
            ({"ends": "9999-12-31"}, "must be a moment"),
            ({"begins": "2026-02-01", "ends": "2026-01-01"}, "Must not lie before"),
            ({"custodians": ["x"]}, "Select a valid choice"),
            ({"subjects": "a\x00b"}, "Null characters"),
            ({"subjects": "y" * 257}, "Line 1 is longer"),
            ({"entity": "interactionHistory", "field0": "external_id", "value0": "x"}, "Select a valid choice"),
            ({"entity": "interactionHistory", "field1": "kind"}, "Condition 2 needs a column and a value"),
            ({"entity": "interactionHistory", "value1": "kind"}, "Condition 2 needs a column and a value"),
            (
                {"entity": "interactionHistory", "field1": "quantity", "op1": "gt", "value1": "1.5"},
                "Condition 2: this is no value of quantity",
            ),
            (
                {"entity": "interactionHistory", "field0": "kind", "op0": "contains_key", "value0": "x"},
                "contains_key is for documents",
            ),
            ({"entity": "interactionHistory", "field0": "kind", "op0": "in", "value0": ","}, "in takes a list"),
        ],
        ids=str,
    )
    def test_what_is_wrong_is_said(self, given: dict[str, Any], words: str, ada: Client, db: str) -> None:
        interactions(customer("ann"), 1)
        answer = preview(ada, opened(), **given)
        assert answer.status_code == 200
        assert words in said(answer)
        assert count(Hold) == 0

    def test_the_form_offers_the_columns_of_the_entity_without_script(self, ada: Client, db: str) -> None:
        matter = opened()
        plain = ada.get(PLACE, {"matter": str(matter.pk)})
        assert f'value="{matter.pk}" selected' in plain.content.decode()
        assert "Choose an entity" in said(plain)
        given = {"step": "columns", **filled(matter, entity="decisionTrace", subjects="half typed")}
        page = ada.post(PLACE, given).content.decode()
        assert page.count('<option value="outcome">') == 3
        assert ada.post(PLACE, {**given, "rows": "3"}).content.decode().count('<option value="outcome">') == 6
        assert "half typed" in page
        assert "errorlist" not in page
        assert "no columns to ask for" in said(ada.post(PLACE, {**given, "entity": "outboxPayload"}))
        back = ada.post(PLACE, {**given, "step": "back", "rows": "3", "field0": "score", "op0": "gte", "value0": "0.5"})
        assert '<option value="score" selected>' in back.content.decode()
        for rows in ("99", "-1", "٣", "x" * 50):
            assert ada.post(PLACE, {**given, "rows": rows}).content.decode().count('<option value="outcome">') <= 10

    def test_nothing_is_held_for_a_matter_that_was_closed_meanwhile(self, ada: Client, db: str) -> None:
        interactions(customer("ann"), 1)
        matter = opened()
        page = preview(ada, matter, entity="interactionHistory")
        with ADA.here(), transaction():
            matters.close_matter(matter=matter, now=clock.now())
        assert "This matter is closed" in said(place(ada, page, confirm="on"))
        assert refusals() == [("LegalHold", "matter_closed", None)]
        assert count(Hold) == 0

    def test_a_custodian_who_left_meanwhile_is_none(self, ada: Client, db: str) -> None:
        interactions(customer("ann"), 1)
        page = preview(ada, opened(), custodians=[VI.actor.id])
        with ADA.here(), transaction():
            members.remove_member(membership_id=Membership.objects.get(user=VI.user).pk)
        assert "Select a valid choice" in said(place(ada, page, confirm="on"))
        assert count(Hold) == 0

    @pytest.mark.parametrize("person", [ED, AUD, VI], ids=lambda p: p.role)
    def test_other_roles_place_nothing(self, person: Any, sign_in: SignIn, db: str) -> None:
        matter, client = opened(), sign_in(person)
        for step in ("preview", "place", "columns"):
            assert client.post(PLACE, {"step": step, **filled(matter)}).status_code == 403
        assert client.get(DESK).status_code == 403
        assert client.post(f"{MATTERS}new/", {"name": "x", "reason": "y"}).status_code == 403
        assert client.post(f"{MATTERS}{matter.pk}/close/").status_code == 403
        assert (count(Hold), count(Matter)) == (0, 1)
