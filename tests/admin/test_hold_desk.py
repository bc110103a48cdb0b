"""The hold desk: what is held, matters, releasing by two people, and custodians in any role."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit import services as log
from audit.models import AuditRecord
from compliance.holding import holds, matters
from compliance.holding.matters import What
from compliance.models import Hold, Matter, Notice
from kaireon.approvals.models import ApprovalRequest
from kaireon.lib import clock
from kaireon.tenancy import members
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Membership
from kaireon.tenancy.roles import Permission
from tests.admin.conftest import SignIn
from tests.admin.hold_pages import DESK, MATTERS, PLACE, hidden, opened, placed, refusals, released, role_without, said
from tests.cast import ACME, ADA, AUD, ED, MALLORY, VI
from tests.compliance.holders import BEA, join
from tests.compliance.rows import count, customer, interactions


@pytest.fixture
def ada(sign_in: SignIn) -> Client:
    return sign_in(ADA)


class TestDesk:
    def test_it_says_so_when_nothing_is_held(self, ada: Client) -> None:
        assert "Nothing is held" in said(ada.get(DESK))
        assert "Nothing matches" in said(ada.get(DESK, {"state": "released"}))

    def test_it_shows_everything_that_is_held_in_words(self, ada: Client, db: str) -> None:
        ann, bo = customer("ann"), customer("bo")
        interactions(ann, 1)
        query = [{"field": "kind", "op": "in", "value": ["visit", "<b>call</b>"]}]
        what = What(
            entity="interactionHistory",
            subjects=[ann.pk, bo.pk],
            from_at=clock.at("00:00"),
            until_at=clock.at("00:00") + timedelta(days=2),
            query=query,
        )
        day = clock.at("00:00").date()
        matter = opened("Fall Öl & Gas <i>", reference="7 O 12/26", counsel="Roth", review_on=clock.now().date())
        hold = placed(what, matter=matter, custodians=[VI.actor.id, ED.actor.id])
        with VI.here(), transaction():
            matters.acknowledge(hold=hold, actor=VI.actor, now=clock.now())
        with ADA.here(), transaction():
            holds.place_hold(data_class="metrics", reason="audit 2026", actor=ADA.actor, now=clock.now())
        page = ada.get(DESK)
        text = said(page)
        where = "where kind is one of visit, <b>call</b>"
        covers = f"Interaction history of 2 customers from {day} to {day + timedelta(days=1)} {where}"
        for part in (covers, "1 of 2 acknowledged", "Fall Öl & Gas <i>", "7 O 12/26", "Roth", "1 hold in force"):
            assert part in text
        assert f"{clock.now():%Y-%m-%d}, due" in text
        assert "metrics of everybody" in text
        assert "audit 2026" in text
        assert "<b>call" not in page.content.decode()
        # Beside its own numbers nothing names a customer.
        assert "ann" not in text.replace("Channel", "")

    def test_filters_narrow_it(self, ada: Client, db: str) -> None:
        ann = customer("ann")
        customer("bo")
        one, other = opened("Case One"), opened("Case Other")
        placed(What(data_class="interactions", subjects=[ann.pk]), matter=one)
        placed(What(data_class="decisions"), matter=other)
        with ADA.here(), transaction():
            holds.place_hold(data_class="metrics", reason="order", actor=ADA.actor, now=clock.now())

        def found(**query: str) -> list[str]:
            text = said(ada.get(DESK, query)).partition("Show all")[2]
            names = ("interactions of 1 customer", "Decisions of everybody", "metrics of everybody")
            return [name for name in names if name.lower() in text.lower()]

        interactions_, decisions, metrics = (
            "interactions of 1 customer",
            "Decisions of everybody",
            "metrics of everybody",
        )
        assert found(matter=str(one.pk)) == [interactions_]
        assert found(**{"class": "decisions"}) == [decisions]
        assert found(state="active") == [interactions_, decisions, metrics]
        assert found(state="released") == []
        # What is of everybody is his too.
        assert found(customer="bo") == [decisions, metrics]

    @pytest.mark.parametrize(
        "query",
        [{"matter": "x"}, {"matter": str(uuid4())}, {"state": "held"}, {"class": "x"}, {"customer": "nobody\x00"}],
    )
    def test_a_filter_that_is_none_is_told(self, query: dict[str, str], ada: Client) -> None:
        answer = ada.get(DESK, query)
        assert answer.status_code == 200
        assert 'role="alert"' in answer.content.decode()

    def test_it_comes_in_pages_and_asks_no_more_for_more(self, ada: Client, db: str) -> None:
        many = opened("Many")
        for _ in range(7):
            placed(matter=many)
        assert "All 7 holds" in said(ada.get(DESK))
        with CaptureQueriesContext(connection) as few:
            ada.get(DESK)
        for number in range(11):
            placed(matter=opened(f"Case {number}"))
        with CaptureQueriesContext(connection) as more:
            assert "Page 1 of 2" in said(ada.get(DESK))
        # One look at the holds of each matter that is shown, and nothing for each hold.
        assert len(more) - len(few) <= 10
        last = said(ada.get(DESK, {"p": "2"}))
        assert "Many" in last
        for odd in ("0", "999", "x", "-1"):
            assert ada.get(DESK, {"p": odd}).status_code == 200
        assert said(ada.get(DESK, {"matter": str(many.pk)})).count("Decisions of everybody") == 7

    def test_pauses_of_open_requests_are_told_apart(self, ada: Client, db: str) -> None:
        from dsar.requests import services

        customer("c-1")
        with ADA.here(), transaction():
            services.create_request(request_type="export", subject_id="c-1", actor=ADA.actor, now=clock.now())
            paused = Hold.objects.get().pk
        text = said(ada.get(DESK))
        assert "1 open request of customers keeps retention" in text
        assert ada.get(f"{DESK}{paused}/change/").status_code == 302
        assert ada.get(f"{DESK}{paused}/release/").status_code == 404

    def test_the_neighbour_sees_none_of_it(self, sign_in: SignIn, db: str) -> None:
        customer("ann")
        hold = placed(custodians=[VI.actor.id])
        mallory = sign_in(MALLORY)
        assert "Case 7" not in said(mallory.get(DESK))
        for path in (f"{DESK}?matter={hold.matter_id}", f"{DESK}?customer=ann"):
            assert 'role="alert"' in mallory.get(path).content.decode()
        assert mallory.post(f"{DESK}{hold.pk}/acknowledge/").status_code == 404
        # Neither her matter, nor her colleagues, nor her customers.
        own = {"step": "preview", "matterId": str(hold.matter_id)}
        assert "Select a valid choice" in said(mallory.post(PLACE, own))
        assert count(Hold) == 1


class TestMatters:
    def test_one_is_opened_once_reviewed_and_closed(self, ada: Client) -> None:
        page = ada.get(f"{MATTERS}new/")
        once = hidden(page)["once"][0]
        given = {"name": "Fall 7 – Öl", "reason": "order", "reference": "7 O 12/26", "once": once}
        first, second = (ada.post(f"{MATTERS}new/", given) for _ in range(2))
        assert first["Location"] == second["Location"]
        assert count(Matter) == 1
        url = first["Location"].removesuffix("change/")
        assert ada.post(f"{MATTERS}new/", {**given, "once": "altered"})["Location"] != first["Location"]
        day = (clock.now() + timedelta(days=30)).date()
        assert ada.post(f"{url}review/", {"reviewOn": day.isoformat()}).status_code == 302
        assert f"{day}" in said(ada.get(f"{url}change/"))
        assert "Must not be over." in said(ada.post(f"{url}review/", {"reviewOn": "2020-01-01"}))
        assert "Must not be over." in said(ada.post(f"{MATTERS}new/", {**given, "reviewOn": "2020-01-01"}))
        assert ada.post(f"{url}review/", {"reviewOn": ""}).status_code == 302
        assert ada.post(f"{url}close/").status_code == 302
        shown = ada.get(f"{url}change/").content.decode()
        assert f"{url}place/" not in shown
        assert "This matter is closed" in said(ada.post(f"{url}close/"))
        assert "This matter is closed" in said(ada.post(f"{url}review/", {"reviewOn": ""}))
        assert [reason for _, reason, _ in refusals()] == ["scope_refused"] * 2 + ["matter_closed"] * 2
        assert {kind for kind, _, _ in refusals()} == {"Matter"}

    def test_one_that_holds_is_not_closed(self, ada: Client) -> None:
        hold = placed()
        url = f"{MATTERS}{hold.matter_id}/"
        assert f"{url}close/" not in ada.get(f"{url}change/").content.decode()
        assert "it closes when its last hold has ended" in said(ada.post(f"{url}close/"))
        assert refusals() == [("Matter", "matter_holds", None)]

    @pytest.mark.parametrize(
        "given", [{"name": " "}, {"name": "x" * 201}, {"reason": ""}, {"reason": "a\x00"}], ids=str
    )
    def test_what_is_none_is_refused(self, given: dict[str, str], ada: Client) -> None:
        assert ada.post(f"{MATTERS}new/", {"name": "Case", "reason": "order", **given}).status_code == 200
        assert count(Matter) == 0

    def test_those_to_review_are_marked_listed_and_told_at_home(self, ada: Client) -> None:
        today = clock.now()
        with clock.freeze(today - timedelta(days=9)):
            opened("Late", review_on=(today - timedelta(days=3)).date())
        opened("Fresh", review_on=(today + timedelta(days=3)).date())
        text = said(ada.get(f"{MATTERS}?standing=review"))
        assert "Late" in text
        assert "Fresh" not in text
        assert "overdue" in text
        assert "1 matter waits to be reviewed" in said(ada.get("/admin/"))


class TestReleasing:
    def test_one_asks_another_agrees_and_it_is_taken_back(self, ada: Client, sign_in: SignIn) -> None:
        join(BEA, "Bea")
        hold = placed()
        url = f"{DESK}{hold.pk}/"
        assert f"{url}release/" in ada.get(f"{url}change/").content.decode()
        assert "This field is required" in said(ada.post(f"{url}release/", {"reason": " "}))
        assert ada.post(f"{url}release/", {"reason": "settled"}).status_code == 302
        page = ada.get(f"{url}change/")
        with ADA.here(), transaction():
            asked = ApprovalRequest.objects.get()
        assert f"/admin/approvals/approvalrequest/{asked.pk}/change/" in page.content.decode()
        assert "Ada asked for it" in said(page)
        # It is asked for once: no button, and the forced form is refused and recorded.
        assert f"{url}release/" not in page.content.decode()
        assert "waits for an answer already" in said(ada.post(f"{url}release/", {"reason": "again"}))
        assert "nothing to take back" in said(ada.post(f"{url}take-back/"))
        approve = f"/admin/approvals/approvalrequest/{asked.pk}/approve/"
        assert "somebody else must answer it" in said(ada.post(approve, {"comments": ""}))
        assert sign_in(BEA).post(approve, {"comments": ""}).status_code == 302
        page = ada.get(f"{url}change/")
        text = said(page)
        for part in ("Being released", "settled", "Agreed by Bea", "Cooling-off ends"):
            assert part in text
        assert "Being released until" in said(ada.get(DESK))
        assert "somebody was faster" in said(ada.post(f"{url}release/", {"reason": "again"}))
        assert f"{url}take-back/" in page.content.decode()
        assert ada.post(f"{url}take-back/").status_code == 302
        text = said(ada.get(f"{url}change/"))
        assert "Active" in text
        for done in ("Placed Ada", "Its release was agreed to Bea", "Its release was taken back Ada"):
            assert done in text
        expected = ["release_asked_already", "hold_not_releasing", "hold_not_active"]
        assert refusals() == [("LegalHold", reason, None) for reason in expected]

    def test_who_may_only_look_has_no_buttons(self, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
        join(BEA, "Bea")
        hold = placed()
        url = f"{DESK}{hold.pk}/"
        ada = sign_in(ADA)
        with role_without(monkeypatch, Permission.MANAGE_RETENTION):
            for path in (f"{url}change/", DESK, f"{MATTERS}{hold.matter_id}/change/"):
                page = ada.get(path).content.decode()
                for verb in ("/release/", "/hold/place/", "/matter/new/", "/close/", "/place/"):
                    assert verb not in page.replace("/retentionpolicy/", ""), path
            for verb in ("release", "take-back"):
                assert ada.post(f"{url}{verb}/", {"reason": "x"}).status_code == 403
        released(hold)
        with role_without(monkeypatch, Permission.MANAGE_RETENTION):
            assert "take-back" not in ada.get(f"{url}change/").content.decode()
            assert ada.post(f"{url}take-back/").status_code == 403

    def test_numbers_of_customers_are_for_who_may_look_at_customers(
        self, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ann = customer("ann-4711")
        hold = placed(What(subjects=[ann.pk]))
        ada, url = sign_in(ADA), f"{DESK}{hold.pk}/change/"
        assert "ann-4711" in said(ada.get(url))
        log.drain(ACME)
        with ADA.here(), transaction():
            seen = AuditRecord.objects.get(action="personal.view")
            assert (seen.entity_type, seen.entity_id, seen.changes) == (
                "Customer",
                str(ann.pk),
                {"fields": ["customer_id"]},
            )
        with role_without(monkeypatch, Permission.READ_PERSONAL):
            assert "ann-4711" not in said(ada.get(url))
            assert str(ann.pk) in ada.get(url).content.decode()
        with role_without(monkeypatch, Permission.READ_CUSTOMERS):
            page = ada.get(url).content.decode()
            assert "ann-4711" not in page
            assert str(ann.pk) not in page
            # Nor may they ask whether somebody is a customer.
            assert 'name="customer"' not in ada.get(DESK).content.decode()
            assert 'role="alert"' not in ada.get(DESK, {"customer": "nobody"}).content.decode()


class TestCustodians:
    @pytest.mark.parametrize("person", [ED, AUD, VI, ADA], ids=lambda p: p.role)
    def test_members_in_any_role_find_and_acknowledge_what_they_are_asked(self, person: Any, sign_in: SignIn) -> None:
        client = sign_in(person)
        assert f"{DESK}asked/" not in client.get("/admin/").content.decode()
        assert "Nothing waits for your word" in said(client.get(f"{DESK}asked/"))
        hold = placed(custodians=[person.actor.id])
        home = client.get("/admin/")
        assert home.content.decode().count(f'href="{DESK}asked/"') == 2
        assert "1 legal hold asks you to keep something" in said(home)
        asked = client.get(f"{DESK}asked/")
        leads = set(re.findall(r'href="(/admin/compliance/[^"?]*)"', asked.content.decode()))
        assert {client.get(link).status_code for link in leads} <= {200}
        text = said(asked)
        assert "Decisions of everybody" in text
        assert "Case 7" in text
        assert client.get(f"{DESK}{hold.pk}/acknowledge/").status_code == 302
        assert "1 legal hold asks" in said(client.get("/admin/"))
        for _ in range(2):
            assert client.post(f"{DESK}{hold.pk}/acknowledge/").status_code == 302
        assert "You said you keep" in said(client.get(f"{DESK}asked/"))
        assert f"{DESK}asked/" not in client.get("/admin/").content.decode()

    def test_nobody_acknowledges_what_others_are_asked(self, sign_in: SignIn) -> None:
        hold = placed(custodians=[ED.actor.id])
        for person in (VI, ADA):
            client = sign_in(person)
            assert client.post(f"{DESK}{hold.pk}/acknowledge/").status_code == 404
            assert "Case 7" not in said(client.get(f"{DESK}asked/"))
        assert client.post(f"{DESK}{uuid4()}/acknowledge/").status_code == 404
        assert Client().post(f"{DESK}{hold.pk}/acknowledge/").status_code == 302
        with ADA.here(), transaction():
            assert Notice.objects.get().acknowledged_at is None

    def test_who_left_is_named_as_such(self, sign_in: SignIn) -> None:
        hold = placed(custodians=[VI.actor.id, ED.actor.id])
        with ADA.here(), transaction():
            members.remove_member(membership_id=Membership.objects.get(user=VI.user).pk)
        text = said(sign_in(ADA).get(f"{DESK}{hold.pk}/change/"))
        assert "No member any more" in text
        assert "Ed " in text
