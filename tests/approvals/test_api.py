"""GET /approvals, GET and POST /approvals/{id}, and members, whose roles may need a second person."""

from datetime import timedelta
from uuid import uuid4

import pytest

from audit import services as log
from audit.models import AuditRecord
from kaireon.approvals import members as approved_members
from kaireon.approvals import services
from kaireon.approvals.models import ApprovalRequest, State
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Membership, User
from kaireon.tenancy.roles import Role, permissions_of
from tests.approvals.conftest import BEA, NOON, again, ask, decide
from tests.caller import error_of, nobody, with_key, with_session
from tests.cast import ACME, ADA, ED, MALLORY
from tests.race import at_once

NEW = {"email": "New@Acme.example", "role": "editor", "name": "Nia"}


@pytest.fixture
def demanded(admins):
    with ADA.here(), transaction():
        for verb in (approved_members.GRANT, approved_members.REMOVE):
            assert services.demand_second_person(verb, demanded=True, now=clock.now())


def roles():
    with ADA.here(), transaction():
        return {m.user.email: m.role for m in Membership.objects.select_related("user")}


def membership_of(person):
    with ADA.here(), transaction():
        return Membership.objects.get(user=person.user)


def asked_for(body=NEW, by="ada"):
    answer = with_key(by).post("/members", body)
    assert answer.status_code == 202, answer.content
    return answer.json()["approval"]


def test_a_role_waits_for_a_second_person(demanded):
    approval = asked_for()
    assert "new@acme.example" not in roles()
    assert (approval["verb"], approval["state"]) == ("role.grant", "pending")
    assert approval["summary"] == "Editor for n***@acme.example"
    bea = with_session(BEA.email)
    shown = bea.get(f"/approvals/{approval['id']}").json()
    assert shown["payload"] == {"email": "new@acme.example", "role": "editor", "name": "Nia"}
    assert shown["mayAnswer"] is True
    done = bea.post(f"/approvals/{approval['id']}", {"action": "approve", "comments": "Welcome. 好"})
    assert (done.status_code, done.json()["state"]) == (200, "approved")
    assert [a["comments"] for a in done.json()["answers"]] == ["Welcome. 好"]
    assert roles()["new@acme.example"] == "editor"
    assert User.objects.get(email="new@acme.example").has_usable_password() is False


def test_the_same_role_is_asked_for_once_until_it_is_answered(demanded):
    first = asked_for()
    assert asked_for({**NEW, "email": "new@acme.example", "name": ""})["id"] == first["id"]
    # Who else asks may as well say yes to what is there.
    bea = with_session(BEA.email)
    assert bea.post("/members", NEW).json()["approval"]["id"] == first["id"]
    others = {asked_for({**NEW, "role": "viewer"})["id"], asked_for({**NEW, "email": "other@acme.example"})["id"]}
    assert len(others | {first["id"]}) == 3
    assert bea.post(f"/approvals/{first['id']}", {"action": "reject"}).status_code == 200
    assert asked_for()["id"] != first["id"]


def test_two_who_ask_at_once_make_one_request(demanded):
    def grant(person):
        with person.here(), transaction():
            done, _ = approved_members.grant(
                email="new@acme.example",
                role=Role.EDITOR,
                name="",
                actor=person.actor,
                permissions=permissions_of(Role.ADMIN),
                now=clock.now(),
            )
            return done.pk

    assert len(set(at_once(lambda: grant(ADA), lambda: grant(BEA)))) == 1


def test_own_twice_late_and_unknown_have_clear_codes(demanded):
    ada, bea = with_session(ADA.email), with_session(BEA.email)
    own = ada.post("/members", NEW).json()["approval"]["id"]
    assert error_of(ada.post(f"/approvals/{own}", {"action": "approve"}))["code"] == "own_request"
    assert ada.post(f"/approvals/{own}", {"action": "approve"}).status_code == 403
    assert error_of(with_key("ada").post(f"/approvals/{own}", {"action": "approve"}))["code"] == "person_required"
    assert bea.post(f"/approvals/{own}", {"action": "reject"}).status_code == 200
    twice = bea.post(f"/approvals/{own}", {"action": "approve"})
    assert (twice.status_code, error_of(twice)["code"]) == (409, "already_answered")
    with clock.freeze(clock.now() - timedelta(days=8)):
        late = ask(ADA, {"email": "x@acme.example", "role": "viewer"}, "role.grant", now=clock.now())
    answer = bea.post(f"/approvals/{late.pk}", {"action": "approve"})
    assert (answer.status_code, error_of(answer)["code"]) == (409, "too_late")
    assert bea.post(f"/approvals/{uuid4()}", {"action": "approve"}).status_code == 404
    log.drain(ACME)
    with ADA.here(), transaction():
        refused = AuditRecord.objects.filter(action="access.refused").values_list("entity_id", flat=True)
        assert list(refused.order_by("seq")) == ["approval.own_request"] * 2 + ["approval.person_required"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "action"),
        ({"action": "maybe"}, "action"),
        ({"action": None}, "action"),
        ({"action": "approve", "comments": "x" * 2001}, "comments"),
        ({"action": "approve", "comments": "a\x00b"}, "comments"),
        ({"action": "approve", "comments": {"a": 1}}, "comments"),
        ({"action": "approve", "yes": True}, "yes"),
    ],
)
def test_a_malformed_answer_is_named(demanded, body, field):
    approval = asked_for()
    answer = with_session(BEA.email).post(f"/approvals/{approval['id']}", body)
    assert answer.status_code == 400
    assert error_of(answer)["message"].startswith(field)
    assert roles().get("new@acme.example") is None


def test_comments_are_kept_to_the_letter(demanded):
    text = "Ü 秘密 🎉 \u202ertl" + "x" * 1900
    approval = asked_for()
    bea = with_session(BEA.email)
    answer = bea.post(f"/approvals/{approval['id']}", {"action": "reject", "comments": text})
    assert answer.json()["answers"][0]["comments"] == text
    assert answer.json()["state"] == "rejected"


@pytest.mark.parametrize("nick", ["ed", "aud", "vi"])
def test_other_roles_see_and_answer_nothing(demanded, nick):
    approval = asked_for()
    caller = with_key(nick)
    assert caller.get("/approvals").status_code == 403
    assert caller.get(f"/approvals/{approval['id']}").status_code == 403
    assert caller.post(f"/approvals/{approval['id']}", {"action": "approve"}).status_code == 403
    assert caller.delete(f"/approvals/{approval['id']}").status_code == 403
    for method, path in (("GET", "/members"), ("POST", "/members")):
        assert caller(method, path, NEW if method == "POST" else None).status_code == 403
    assert nobody().get("/approvals").status_code == 401


def test_another_tenant_finds_nothing(demanded):
    approval = asked_for()
    mallory = with_session(MALLORY.email)
    assert mallory.get("/approvals").json()["approvals"] == []
    assert mallory.get(f"/approvals/{approval['id']}").status_code == 404
    assert mallory.post(f"/approvals/{approval['id']}", {"action": "approve"}).status_code == 404
    assert mallory.delete(f"/approvals/{approval['id']}").status_code == 404
    ada = str(membership_of(ADA).pk)
    assert mallory("PATCH", f"/members/{ada}", {"role": "viewer"}).status_code == 404
    assert mallory.delete(f"/members/{ada}").status_code == 404
    # What one tenant demands, the other need not.
    assert mallory.post("/members", NEW).status_code == 201


def test_the_same_key_answers_the_same_and_happens_once(demanded):
    ada, bea = with_key("ada"), with_session(BEA.email)
    first = ada.post("/members", NEW, idempotency_key="k-1")
    again = ada.post("/members", NEW, idempotency_key="k-1")
    assert (first.status_code, again.status_code, first.json()) == (202, 202, again.json())
    assert again["Idempotency-Replayed"] == "true"
    path, body = f"/approvals/{first.json()['approval']['id']}", {"action": "approve"}
    yes = bea.post(path, body, idempotency_key="k-2")
    replay = bea.post(path, body, idempotency_key="k-2")
    assert (yes.status_code, replay.status_code, yes.json()) == (200, 200, replay.json())
    assert bea.post(path, {"action": "reject"}, idempotency_key="k-2").status_code == 422
    with ADA.here(), transaction():
        assert ApprovalRequest.objects.count() == 1


def test_the_list_is_paged_and_filtered(demanded):
    ids = [asked_for({**NEW, "email": f"n{i}@acme.example"})["id"] for i in range(3)]
    ada = with_key("ada")
    page = ada.get("/approvals?limit=2").json()
    assert ([a["id"] for a in page["approvals"]], page["total"], page["limit"]) == (ids[:0:-1], 3, 2)
    assert ada.get("/approvals?state=approved").json()["total"] == 0
    assert ada.get("/approvals?state=nonsense").status_code == 400
    assert ada.get("/approvals?limit=0").status_code == 400


def test_who_asked_takes_it_back(demanded):
    approval = asked_for()
    bea = with_session(BEA.email)
    assert error_of(bea.delete(f"/approvals/{approval['id']}"))["code"] == "not_yours"
    assert with_key("ada").delete(f"/approvals/{approval['id']}").status_code == 204
    assert with_key("ada").delete(f"/approvals/{approval['id']}").status_code == 409


def test_what_cannot_be_done_any_more_is_closed_and_said(demanded):
    target = membership_of(ED)
    approval = with_key("ada").delete(f"/members/{target.pk}").json()["approval"]
    with ADA.here(), transaction():
        Membership.objects.filter(pk=target.pk).delete()
    answer = with_session(BEA.email).post(f"/approvals/{approval['id']}", {"action": "approve"})
    assert (answer.status_code, error_of(answer)["code"]) == (409, "not_applied")
    shown = with_key("ada").get(f"/approvals/{approval['id']}").json()
    assert (shown["state"], shown["error"], shown["answers"]) == ("failed", "not_a_member", [])


def test_a_payload_that_was_altered_is_not_shown(admins, verb, superuser_url):
    import psycopg

    verb()
    row = ask()
    with psycopg.connect(superuser_url) as root:
        root.execute("SET session_replication_role = replica")
        root.execute("UPDATE approvals_approvalrequest SET digest = repeat('0', 64)")
    assert with_key("ada").get(f"/approvals/{row.pk}").json()["payload"] is None


# -- members without a second person -----------------------------------------------------------------------------------


def test_members_are_listed_granted_changed_and_removed(db):
    ada = with_key("ada")
    assert [m["email"] for m in ada.get("/members").json()["members"]][:2] == [ADA.email, ED.email]
    made = ada.post("/members", NEW)
    assert (made.status_code, made.json()["email"], made.json()["role"]) == (201, "new@acme.example", "editor")
    changed = ada.post("/members", {**NEW, "role": "auditor"})
    assert (changed.status_code, changed.json()["role"]) == (200, "auditor")
    path = f"/members/{made.json()['id']}"
    assert ada("PATCH", path, {"role": "viewer"}).json()["role"] == "viewer"
    assert ada.delete(path).status_code == 204
    assert ada.delete(path).status_code == 404
    assert "new@acme.example" not in roles()


def test_the_last_admin_stays(db):
    ada, path = with_key("ada"), f"/members/{membership_of(ADA).pk}"
    for answer in (
        ada.delete(path),
        ada("PATCH", path, {"role": "viewer"}),
        ada.post("/members", {"email": ADA.email, "role": "editor"}),
    ):
        assert (answer.status_code, error_of(answer)["code"]) == (409, "last_admin")
    assert ada("PATCH", path, {"role": "admin"}).status_code == 200
    assert roles()[ADA.email] == "admin"


def test_an_admin_whose_account_is_closed_does_not_count_as_one(admins):
    with ADA.here(), transaction():
        User.objects.exclude(pk=ADA.user.pk).update(is_active=False)
    assert with_key("ada").delete(f"/members/{membership_of(ADA).pk}").status_code == 409


def test_the_last_admin_stays_also_when_two_agreed_on_it(demanded):
    approval = with_key("ada").delete(f"/members/{membership_of(BEA).pk}").json()["approval"]
    with ADA.here(), transaction():
        # Everybody else has left meanwhile.
        Membership.objects.exclude(user=BEA.user).exclude(user=ADA.user).delete()
        row = ApprovalRequest.objects.get(pk=approval["id"])
    assert decide(row, BEA, now=clock.now()).state == State.APPROVED
    assert set(roles()) == {ADA.email}


def test_two_admins_who_remove_each_other_leave_one(admins):
    import threading

    from django.db import connections

    from kaireon.tenancy import members

    with ADA.here(), transaction():
        members.remove_member(membership_id=Membership.objects.get(user__email="cy@acme.example").pk)
    targets = {ADA: membership_of(BEA).pk, BEA: membership_of(ADA).pk}
    start, results = threading.Barrier(2), []

    def remove(person):
        try:
            start.wait(10)
            with person.here(), transaction():
                members.remove_member(membership_id=targets[person])
            results.append("removed")
        except members.LastAdmin:
            results.append("refused")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=remove, args=(p,)) for p in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(results) == ["refused", "removed"]
    assert list(roles().values()).count(Role.ADMIN) == 1


def test_nobody_grants_more_than_they_may(db):
    made = with_key("ada").post("/api-keys", {"name": "hr", "scopes": ["manage_members", "read_tenant"]}).json()["key"]
    from tests.caller import Caller

    hr = Caller(authorization=f"Bearer {made}")
    assert error_of(hr.post("/members", NEW))["code"] == "beyond_own_permissions"
    assert hr.get("/members").status_code == 200


@pytest.mark.parametrize("email", ["", "nobody", "a@b", "x" * 260 + "@acme.example", "a@acme.example\x00", 7])
def test_a_malformed_address_is_refused(db, email):
    assert with_key("ada").post("/members", {**NEW, "email": email}).status_code == 400


def test_a_person_of_another_tenant_becomes_a_member_under_the_one_account(db):
    made = with_key("ada").post("/members", {**NEW, "email": "MALLORY@globex.example"})
    assert made.status_code == 201
    assert User.objects.filter(email="mallory@globex.example").count() == 1


def test_deciding_from_the_service_and_the_wire_is_one_thing(demanded):
    row = ask(ADA, {"email": "x@acme.example", "role": "viewer"}, "role.grant", now=NOON)
    assert decide(row, BEA).state == State.APPROVED
    assert again(row).decided_at == NOON
    assert roles()["x@acme.example"] == "viewer"
