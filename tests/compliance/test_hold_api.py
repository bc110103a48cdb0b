"""/api/v1/admin/legal-holds and /api/v1/admin/matters."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.conf import settings as product

from audit import services as log
from audit.models import AuditRecord
from compliance.holding import matters
from compliance.models import Hold, Matter
from compliance.purging import purge
from customers.models import Interaction
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.roles import Role
from tests.caller import Caller, error_of, nobody, with_key
from tests.cast import ACME, ADA, Person
from tests.compliance.holders import BEA, MATTER, URL, again, agree, join, place, placed, release, session
from tests.compliance.rows import NOW, count, customer, interactions, policy

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def bea(db):
    return join(BEA, "Bea")


def refusals():
    log.drain(ACME)
    with ADA.here(), transaction():
        rows = AuditRecord.objects.filter(action="legal_hold.refused").order_by("seq")
        return list(rows.values_list("entity_type", "changes__reason", "changes__field"))


class TestPlacing:
    def test_it_holds_from_the_answer_on(self):
        ann, bo = customer("ann"), customer("bo")
        for who in (ann, bo):
            interactions(who, 40)
        policy("interactions", 30)
        answer = place(confirm=False, subjects=["ann"], dataClass="interactions", **{"from": "2020-01-01"})
        assert answer.status_code == 201
        row = answer.json()
        assert row == {
            "id": row["id"],
            "matter": row["matter"],
            "dataClass": "interactions",
            "entity": None,
            "subjectCount": 1,
            "from": "2020-01-01T00:00:00.000000Z",
            "until": None,
            "query": None,
            "state": "active",
            "placedBy": row["placedBy"],
            "placedAt": row["placedAt"],
            "recordedAt": row["recordedAt"],
            "releaseAskedBy": None,
            "releaseReason": None,
            "releaseAgreedBy": None,
            "releasesAt": None,
            "releasedAt": None,
            "noticesSent": 0,
            "noticesAcknowledged": 0,
        }
        assert row["recordedAt"] is not None
        assert {name: row["matter"][name] for name in MATTER} == MATTER
        with ADA.here():
            purge.purge_expired(now=NOW, actor=ADA.actor)
        with ADA.here(), transaction():
            assert [i.customer_id for i in Interaction.objects.all()] == [ann.pk]

    def test_it_is_for_a_matter_that_is_there(self):
        matter = with_key("ada").post("/admin/matters", MATTER).json()["id"]
        row = with_key("ada").post(URL, {"matterId": matter, "confirm": True}).json()
        assert row["matter"]["id"] == matter
        assert count(Matter) == 1

    def test_a_day_counts_to_its_end(self):
        assert placed(until="2026-01-15")["until"].startswith("2026-01-16T00:00:00")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"dataClass": "nonsense"}, "dataClass"),
            ({"entity": "nonsense"}, "entity"),
            ({"entity": 5}, "entity"),
            ({"query": [{"field": "kind", "op": "eq", "value": "visit"}]}, "query"),
            ({"entity": "interactionHistory", "query": "kind"}, "query"),
            *(
                ({"entity": "interactionHistory", "query": [{"field": "kind", "op": op, "value": value}]}, "query")
                for op, value in (("eq", "half \ud83d"), ("in", ["\udfff"]), ("ne", "nul \0"), ({}, "x"), (["eq"], "x"))
            ),
            ({"entity": "interactionHistory", "query": [{"field": "email", "op": "eq", "value": "x"}]}, "query"),
            ({"from": "2026-01-15T09:00:00"}, "from"),
            ({"until": "yesterday"}, "until"),
            ({"until": None}, "until"),
            ({"from": "2026-02-01", "until": "2026-01-01"}, "until"),
            ({"subjects": ["nobody"]}, "subjects"),
            ({"subjects": []}, "subjects"),
            ({"subjects": "ann"}, "subjects"),
            ({"custodians": [str(uuid4())]}, "custodians"),
            ({"custodians": ["ada"]}, "custodians"),
            ({"confirm": "yes"}, "confirm"),
            ({"confirm": None}, "confirm"),
            ({"matter": {"name": "Case 7"}}, "matter.reason"),
            ({"matter": {"name": "Case 7", "reason": "  "}}, "matter.reason"),
            ({"matter": {"name": "", "reason": "order"}}, "matter.name"),
            ({"matter": {**MATTER, "reviewOn": "2020-01-01"}}, "matter.reviewOn"),
            ({"matter": {**MATTER, "openedBy": "x"}}, "matter.openedBy"),
            ({"matterId": str(uuid4())}, "matterId"),
            ({"tenantId": "globex"}, "tenantId"),
        ],
    )
    def test_what_is_wrong_is_refused_by_its_field(self, body, field):
        customer("ann")
        error = error_of(place(**body))
        assert error["status"] == 400
        assert error["message"].startswith(f"{field}"), error["message"]
        assert (count(Hold), count(Matter)) == (0, 0)

    def test_unknown_customers_are_told_by_their_place(self):
        customer("ann")
        error = error_of(place(subjects=["bo", "ann", "cy", "bo"]))
        assert "number 1, 3, 4 in the list" in error["message"]
        assert "bo" not in error["message"]
        assert refusals() == [("LegalHold", "scope_refused", "subjects")]

    def test_it_wants_a_matter(self):
        error = error_of(with_key("ada").post(URL, {"confirm": True}))
        assert error["message"].startswith("matterId: ")

    @pytest.mark.parametrize(
        ("scope", "words"),
        [
            ({}, "everything there is"),
            ({"entity": "variantAssignment"}, "nothing at all"),
            (
                {"entity": "interactionHistory", "query": [{"field": "kind", "op": "eq", "value": "x"}]},
                "nothing at all",
            ),
        ],
    )
    def test_nothing_and_everything_want_a_word_and_the_refusal_is_recorded(self, scope, words):
        interactions(customer(), 1)
        error = error_of(place(confirm=False, **scope))
        assert (error["status"], error["code"]) == (400, "confirm_required")
        assert words in error["message"]
        [(kind, reason, field)] = refusals()
        assert (kind, reason) == ("LegalHold", "confirm_required")
        assert field == ("query" if "query" in scope else "scope")
        assert place(**scope).status_code == 201

    def test_the_same_post_twice_places_one(self):
        first, second = (place_with_key("k-1") for _ in range(2))
        assert first.json() == second.json()
        assert second["Idempotency-Replayed"] == "true"
        assert (count(Hold), count(Matter)) == (1, 1)

    def test_nothing_is_held_for_a_closed_matter(self):
        matter = with_key("ada").post("/admin/matters", MATTER).json()["id"]
        assert with_key("ada").post(f"/admin/matters/{matter}/close").json()["closedAt"] is not None
        answer = with_key("ada").post(URL, {"matterId": matter, "confirm": True})
        assert error_of(answer)["code"] == "matter_closed"


def place_with_key(key):
    return with_key("ada").post(URL, {"matter": MATTER, "confirm": True}, idempotency_key=key)


class TestLooking:
    def test_a_preview_counts_and_holds_nothing(self):
        ann, bo = customer("ann"), customer("bo")
        interactions(ann, 1, 40)
        interactions(bo, 1)
        ask = with_key("ada").post
        assert ask(f"{URL}/preview", {"subjects": ["ann"]}).json() == {
            "rows": 3,
            "byEntity": {"interactionHistory": 2, "customer": 1},
            "confirm": "",
        }
        assert ask(f"{URL}/preview", {}).json()["confirm"] == "everything there is"
        assert ask(f"{URL}/preview", {"entity": "delivery"}).json() == {
            "rows": 0,
            "byEntity": {},
            "confirm": "nothing at all",
        }
        assert error_of(ask(f"{URL}/preview", {"dataClass": "x"}))["message"].startswith("dataClass: ")
        assert count(Hold) == 0

    def test_the_list_is_newest_first_in_pages_and_filtered(self):
        customer("ann"), customer("bo")
        of_ann = placed(subjects=["ann"], dataClass="interactions")
        of_all = placed(dataClass="decisions")
        of_bo = placed(subjects=["bo"])

        def ids(query=""):
            answer = with_key("ada").get(f"{URL}?{query}").json()
            return [row["id"] for row in answer["holds"]]

        every = [of_bo["id"], of_all["id"], of_ann["id"]]
        assert ids() == every
        answer = with_key("ada").get(f"{URL}?limit=1&page=2").json()
        assert (answer["total"], [row["id"] for row in answer["holds"]]) == (3, every[1:2])
        assert ids(f"matter={of_all['matter']['id']}") == [of_all["id"]]
        assert ids("state=released") == []
        assert ids("dataClass=interactions") == [of_bo["id"], of_ann["id"]]
        # What holds something of hers: what names her, and what is of everybody.
        assert ids("subject=ann") == [of_all["id"], of_ann["id"]]

    @pytest.mark.parametrize("query", ["matter=x", "state=held", "dataClass=x", "subject=nobody", "page=0", "limit=x"])
    def test_a_filter_that_is_none_is_named(self, query):
        error = error_of(with_key("ada").get(f"{URL}?{query}"))
        assert error["message"].startswith(f"{query.partition('=')[0]}: ")

    def test_one_hold_tells_its_notices_and_what_happened(self, bea):
        customer("ann")
        row = placed(subjects=["ann"], custodians=[bea.actor.id])
        asked = release(row["id"]).json()["approval"]
        found = with_key("ada").get(f"{URL}/{row['id']}").json()
        assert {name: found[name] for name in row} == {**row, "noticesSent": 1}
        assert found["subjects"] == ["ann"]
        assert [(n["memberId"], n["acknowledgedAt"]) for n in found["notices"]] == [(bea.actor.id, None)]
        assert found["approval"]["id"] == asked["id"]
        agree(asked["id"])
        found = with_key("ada").get(f"{URL}/{row['id']}").json()
        assert [h["action"] for h in found["history"]] == ["legal_hold.place", "legal_hold.release_agreed"]
        assert found["history"][1]["userName"] == "Bea"
        assert found["approval"] is None

    def test_the_pause_of_a_request_is_no_legal_hold(self):
        customer("c-1")
        with_key("ada").post("/dsar", {"requestType": "export", "subjectId": "c-1"})
        assert count(Hold) == 1
        assert with_key("ada").get(URL).json()["total"] == 0
        with ADA.here(), transaction():
            paused = Hold.objects.get().pk
        assert with_key("ada").get(f"{URL}/{paused}").status_code == 404
        assert release(paused).status_code == 404


class TestReleasing:
    def test_two_people_release_after_the_cooling_off(self, bea):
        hold = placed()["id"]
        answer = release(hold)
        assert answer.status_code == 202
        assert answer.json()["approval"]["verb"] == "legal_hold.release"
        assert again(hold).state == "active"
        agree(answer.json()["approval"]["id"])
        row = with_key("ada").get(f"{URL}/{hold}").json()
        assert (row["state"], row["releaseAskedBy"] is not None, row["releaseReason"]) == ("releasing", True, "settled")
        hours = product.HOLD_COOLING_OFF_HOURS
        with ADA.here(), transaction():
            assert matters.finish_releases(now=clock.now() + timedelta(hours=hours, minutes=1)) == 1
        assert error_of(release(hold))["code"] == "hold_not_active"

    def test_who_asked_has_no_yes_to_give(self, bea):
        asked = session(ADA).post(f"{URL}/{placed()['id']}/release", {"reason": "settled"}).json()["approval"]["id"]
        answer = session(ADA).post(f"/approvals/{asked}", {"action": "approve"})
        assert error_of(answer)["code"] == "own_request"

    def test_a_second_release_is_refused_and_recorded(self, bea):
        hold = placed()["id"]
        asked = release(hold).json()["approval"]["id"]
        assert error_of(release(hold))["code"] == "release_asked_already"
        agree(asked)
        answer = release(hold)
        assert (answer.status_code, error_of(answer)["code"]) == (409, "hold_not_active")
        assert [reason for _, reason, _ in refusals()] == ["release_asked_already", "hold_not_active"]

    def test_a_release_has_a_reason(self):
        hold = placed()["id"]
        for reason in ("", "  ", None, 5, "x" * 501):
            assert error_of(release(hold, reason))["message"].startswith("reason: ")

    def test_it_is_taken_back_in_the_cooling_off(self, bea):
        hold = placed()["id"]
        take_back = f"{URL}/{hold}/take-back"
        assert error_of(with_key("ada").post(take_back))["code"] == "hold_not_releasing"
        agree(release(hold).json()["approval"]["id"])
        row = with_key("ada").post(take_back).json()
        assert (row["state"], row["releasesAt"], row["releaseAskedBy"]) == ("active", None, None)

    def test_a_key_that_may_only_read_releases_and_places_nothing(self):
        hold = placed()["id"]
        key = with_key("ada").post("/api-keys", {"name": "r", "role": "admin", "scopes": ["read_retention"]}).json()
        reader = Caller(authorization=f"Bearer {key['key']}")
        assert reader.get(f"{URL}/{hold}").json()["subjects"] is None
        # Nor does it find out whether somebody is a customer, and how much there is of them.
        assert reader.get(f"{URL}?subject=nobody").status_code == 403
        assert reader.post(f"{URL}/preview", {"subjects": ["nobody"]}).status_code == 403
        assert reader.post(f"{URL}/preview", {"dataClass": "decisions"}).status_code == 200
        assert reader.post(f"{URL}/{hold}/release", {"reason": "settled"}).status_code == 403
        assert place(reader).status_code == 403


class TestMatters:
    def test_a_matter_closes_when_nothing_is_held_for_it(self, bea):
        hold = placed()
        matter = f"/admin/matters/{hold['matter']['id']}"
        assert error_of(with_key("ada").post(f"{matter}/close"))["code"] == "matter_holds"
        agree(release(hold["id"]).json()["approval"]["id"])
        with ADA.here(), transaction():
            matters.finish_releases(now=clock.now() + timedelta(days=2))
        assert with_key("ada").post(f"{matter}/close").status_code == 200
        assert error_of(with_key("ada").post(f"{matter}/close"))["code"] == "matter_closed"
        assert refusals() == [("Matter", "matter_holds", None), ("Matter", "matter_closed", None)]
        for state, total in (("open", 0), ("closed", 1)):
            assert with_key("ada").get(f"/admin/matters?state={state}").json()["total"] == total
        assert error_of(with_key("ada").get("/admin/matters?state=x"))["message"].startswith("state: ")

    def test_its_next_review_is_set(self):
        matter = f"/admin/matters/{placed()['matter']['id']}"
        day = (clock.now() + timedelta(days=30)).date().isoformat()
        assert with_key("ada")("PATCH", matter, {"reviewOn": day}).json()["reviewOn"] == day
        for bad in ("2020-01-01", "soon", 5):
            assert error_of(with_key("ada")("PATCH", matter, {"reviewOn": bad}))["message"].startswith("reviewOn: ")
        assert with_key("ada").get(matter).json()["reviewOn"] == day


class TestAcknowledging:
    def test_a_custodian_in_any_role_says_so_once(self):
        vi = Person("vi@acme.example", ACME, Role.VIEWER)
        hold = placed(custodians=[vi.actor.id], dataClass="decisions")["id"]
        caller = session(vi)
        [waiting] = caller.get(f"{URL}/notices").json()["notices"]
        assert (waiting["holdId"], waiting["matter"], waiting["dataClass"]) == (hold, "Case 7", "decisions")
        first = caller.post(f"{URL}/{hold}/acknowledge")
        assert first.status_code == 200
        assert caller.post(f"{URL}/{hold}/acknowledge").json() == first.json()
        assert caller.get(f"{URL}/notices").json()["total"] == 0
        assert with_key("ada").get(f"{URL}/{hold}").json()["noticesAcknowledged"] == 1

    def test_nobody_else_has_a_word_to_give(self):
        hold = placed(custodians=[ADA.actor.id])["id"]
        # Her key is not she.
        for caller in (with_key("ada"), with_key("vi"), with_key("mallory")):
            assert caller.get(f"{URL}/notices").json()["total"] == 0
            assert caller.post(f"{URL}/{hold}/acknowledge").status_code == 404
        assert nobody().get(f"{URL}/notices").status_code == 401


def test_next_door_finds_and_names_nothing_of_it(bea):
    customer("ann")
    hold = placed(subjects=["ann"])
    mallory = with_key("mallory")
    assert mallory.get(URL).json()["total"] == 0
    assert mallory.get(f"{URL}/{hold['id']}").status_code == 404
    assert mallory.get(f"{URL}?matter={hold['matter']['id']}").json()["total"] == 0
    answer = mallory.post(URL, {"matterId": hold["matter"]["id"], "confirm": True})
    assert error_of(answer)["message"].startswith("matterId: ")
    for body, field in (({"subjects": ["ann"]}, "subjects"), ({"custodians": [bea.actor.id]}, "custodians")):
        assert error_of(place(mallory, **body))["message"].startswith(f"{field}: ")
