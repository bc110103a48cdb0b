"""Every endpoint, asked by nobody, by each role, and by Mallory with Acme's ids in path, body, query and header."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.urls import reverse

from audit import services as log
from audit.models import AuditRecord
from audit.tree import checkpoints
from customers.models import Customer
from dsar.models import DsarRequest, Letter, RecipientNotice
from kaireon.approvals import services as approvals
from kaireon.lib import clock
from kaireon.outbox import destinations
from kaireon.tenancy import tenants
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.models import ApiKey
from kaireon.tenancy.roles import Role
from tests.caller import Caller, error_of, nobody, with_key, with_session
from tests.cast import ACME, ADA, AUD, ED, GLOBEX, KEYS, MALLORY, SETUP, VI
from tests.product.matrix import (
    ALERT,
    CONSENT,
    FLOW,
    HELD,
    INTERACTION,
    MATRIX,
    METHODS,
    OPEN,
    PROVIDER,
    ROLES,
    SCHEDULE,
    path_of,
    routes,
)


@pytest.fixture
def things(db: str) -> dict[str, str]:
    """One of everything of Acme's that a path can name."""
    with_key("ada").post(
        "/customers", {"customers": [{"customerId": "c-1", "name": "Cleo", "email": "c@acme.example"}]}
    )
    filed = with_key("ada").post("/dsar", {"requestType": "export", "subjectId": "c-1"}).json()
    letters = f"/dsar/{filed['requestId']}/letters"
    letter = with_key("ada").post(letters, {"kind": "acknowledgement"}).json()["id"]
    with ADA.here(), transaction():
        Letter.objects.filter(pk=letter).update(state="failed")
    with ADA.here(), transaction():
        destinations.save(name="shop", kind="stream", given={"stream": "shop"}, now=clock.now())
    shop = with_key("ada").post("/dsar/recipients", {"name": "The Shop", "destination": "shop"}).json()["id"]
    with ADA.here(), transaction():
        told = {"kind": "erasure", "state": "told", "made_at": clock.now()}
        notice = RecipientNotice.objects.create(request_id=filed["requestId"], recipient_id=shop, **told)
    pipeline = with_key("ada").post("/pipelines", FLOW).json()["id"]
    run = with_key("ada").post(f"/pipelines/{pipeline}/execute").json()["runId"]
    made = with_key("ada").post("/api-keys", {"name": "target", "role": "viewer"}).json()
    export = with_key("ada").post("/audit-exports", {"format": "csv"}).json()["exportId"]
    policy = with_key("ada").post("/admin/retention-configs", {"dataClass": "metrics", "retentionDays": 365}).json()
    log.drain(ACME)
    checkpoints.make(ACME)
    with ADA.here(), transaction():
        record = AuditRecord.objects.order_by("seq").first()
        role = {"email": "new@acme.example", "role": "viewer"}
        approval = approvals.ask(verb="role.grant", payload=role, actor=ADA.actor, now=clock.now())
    assert record is not None
    bea = tenants.create_user(email="bea@acme.example", name="Bea", password="", actor=SETUP)
    actor = Actor(id=str(bea.pk), name="Bea", type="user")
    with scope(tenant_id=ACME, actor=actor), transaction():
        member = tenants.add_member(user=bea, role=Role.ADMIN)
        theirs = approvals.ask(verb="role.grant", payload=role, actor=actor, now=clock.now())
    held = {**HELD, "custodians": [str(bea.pk)]}
    hold = with_key("ada").post("/admin/legal-holds", held).json()["id"]
    matter = with_key("ada").post("/admin/matters", {"name": "Case 8", "reason": "order"}).json()["id"]
    schedule = with_key("ada").post("/reports/schedules", SCHEDULE).json()["id"]
    return {
        "schedule": schedule,
        "report": with_key("ada").post(f"/reports/schedules/{schedule}/run", {}).json()["id"],
        "alert": with_key("ada").post("/alerts", ALERT).json()["id"],
        "provider": with_key("ada").post("/notifications/providers", PROVIDER).json()["id"],
        "hold": hold,
        "matter": matter,
        "customer": "c-1",
        "plan": with_key("ada").post("/retention/plans", {}).json()["id"],
        "request": filed["requestId"],
        "letter": letter,
        "notice": str(notice.pk),
        "key": made["id"],
        "policy": policy["id"],
        "record": str(record.pk),
        "export": export,
        "pipeline": pipeline,
        "run": run,
        "member": str(member.pk),
        "approval": str(approval.pk),
        "theirs": str(theirs.pk),
    }


def snapshot(superuser_url: str, tenant: str) -> dict[str, Any]:
    """A digest of every row the tenant has, by table."""
    with psycopg.connect(superuser_url) as root:
        names = root.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'"
        ).fetchall()
        digest = "SELECT count(*), md5(string_agg(r::text, '' ORDER BY r::text)) FROM {} r WHERE tenant_id = %s"
        digests = {
            name: root.execute(psycopg.sql.SQL(digest).format(psycopg.sql.Identifier(name)), [tenant]).fetchone()
            for (name,) in names
        }
    return {name: found for name, found in digests.items() if found != (0, None)}


def test_the_matrix_knows_every_endpoint() -> None:
    implemented = {
        (method, name) for name, view in routes().items() for method in METHODS if hasattr(view, method.lower())
    }
    assert implemented == set(MATRIX) | set(OPEN)


@pytest.mark.usefixtures("db")
def test_nobody_is_let_in(things: dict[str, str]) -> None:
    strangers = (
        nobody(),
        Caller(authorization="Bearer krn_nobody_nothing"),
        Caller(authorization="Bearer a.b.c"),
        Caller(x_api_key="krn_ada_wrong"),
        Caller(authorization="Basic YWRhOmFkYQ=="),
        Caller(cookie="kaireon_access=a.b.c"),
    )
    for (method, name), rule in MATRIX.items():
        for stranger in strangers:
            response = stranger(method, path_of(name, rule, things), rule.body)
            assert response.status_code == 401, (method, name)
            error_of(response)


@pytest.mark.parametrize("nick", ROLES)
def test_each_role_may_what_the_matrix_says(nick: str, things: dict[str, str]) -> None:
    for (method, name), rule in MATRIX.items():
        response = with_key(nick)(method, path_of(name, rule, things), rule.body)
        expected = rule.status if nick in rule.who else 403
        assert response.status_code == expected, (method, name, response.content[:300])


@pytest.mark.parametrize("person", [ADA, ED, AUD, VI], ids=str)
def test_a_session_may_what_a_key_of_its_role_may(person: Any, things: dict[str, str]) -> None:
    nick = person.email.split("@")[0]
    caller = with_session(person.email)
    for (method, name), rule in MATRIX.items():
        response = caller(method, path_of(name, rule, things), rule.body)
        expected = rule.status if nick in rule.who else 403
        assert response.status_code == expected, (method, name, response.content[:300])


def test_what_a_role_may_not_changes_nothing_and_is_recorded(things: dict[str, str], superuser_url: str) -> None:
    log.drain(ACME)
    before = snapshot(superuser_url, ACME)
    refused = 0
    for (method, name), rule in MATRIX.items():
        for nick in set(ROLES) - rule.who:
            error = error_of(with_key(nick)(method, path_of(name, rule, things), rule.body))
            assert error["code"] == "forbidden"
            refused += 1
    after = snapshot(superuser_url, ACME)
    changed = {table for table in {**before, **after} if before.get(table) != after.get(table)}
    # What a refusal is recorded by, and the keys, whose last use is noted.
    assert changed <= {"audit_inbox", "audit_arrival", "tenancy_apikey"}
    log.drain(ACME)
    with ADA.here(), transaction():
        assert AuditRecord.objects.filter(action="access.refused").count() == refused


def test_every_other_method_is_405(things: dict[str, str]) -> None:
    rules = {name: rule for (_, name), rule in MATRIX.items()}
    for name, rule in rules.items():
        for method in METHODS:
            if (method, name) not in MATRIX:
                response = with_key("ada")(method, path_of(name, rule, things), {})
                assert response.status_code == 405, (method, name)
                assert method not in response["Allow"].split(", ")


def test_head_and_options_follow_get(things: dict[str, str]) -> None:
    for (method, name), rule in MATRIX.items():
        path = path_of(name, rule, things)
        assert with_key("ada")("OPTIONS", path).status_code == 200, name
        assert nobody()("OPTIONS", path).status_code == 401, name
        if method == "GET":
            for nick in ROLES:
                expected = rule.status if nick in rule.who else 403
                assert with_key(nick)("HEAD", path).status_code == expected, (name, nick)


class TestMallory:
    """An admin next door, who knows all of Acme's ids."""

    def test_finds_nothing_by_path(self, things: dict[str, str], superuser_url: str) -> None:
        before = snapshot(superuser_url, ACME)
        for caller in (with_key("mallory"), with_session(MALLORY.email)):
            for (method, name), rule in MATRIX.items():
                if rule.names:
                    response = caller(method, path_of(name, rule, things), rule.body)
                    assert response.status_code == 404, (method, name)
                    # The same words as for what never was.
                    never = {kind: str(uuid4()) for kind in things}
                    assert _words(response) == _words(caller(method, path_of(name, rule, never), rule.body))
        assert snapshot(superuser_url, ACME) == before

    def test_reaches_nothing_by_body(self, things: dict[str, str], superuser_url: str) -> None:
        before = snapshot(superuser_url, ACME)
        mallory = with_key("mallory")
        answer = mallory.post("/interactions", {"interactions": [INTERACTION]}).json()
        assert (answer["created"], len(answer["errors"])) == (0, 1)
        answer = mallory.post("/consents", {"consents": [CONSENT]}).json()
        assert (answer["created"], len(answer["errors"])) == (0, 1)
        assert mallory.post("/gdpr/erasure", {"customerId": "c-1"}).status_code == 404
        assert mallory.post("/customers", {"customers": [{"customerId": "c-1", "name": "Mine"}]}).json()["created"] == 1
        assert mallory.post("/dsar", {"requestType": "delete", "subjectId": "c@acme.example", "subjectType": "email"})
        for field_name in ("tenantId", "tenant_id", "tenant"):
            response = mallory.post("/api-keys", {"name": "x", field_name: ACME})
            assert field_name in error_of(response)["message"]
        assert snapshot(superuser_url, ACME) == before

    def test_lists_nothing_by_query(self, things: dict[str, str]) -> None:
        mallory = with_key("mallory")
        for path, plural in (("/customers", "customers"), ("/interactions", "interactions"), ("/consents", "consents")):
            for query in ("", "?customerId=c-1", "?tenantId=acme", "?tenant_id=acme"):
                assert mallory.get(path + query).json()[plural] == [], path + query
        assert mallory.get("/customers?email=c@acme.example").json()["customers"] == []
        for query in ("", f"?entityId={things['request']}", f"?userId={ADA.actor.id}", "?entityType=Customer"):
            logs = mallory.get(f"/audit-logs{query}").json()["logs"]
            assert {record["tenantId"] for record in logs} <= {GLOBEX}, query
        assert mallory.get("/dsar").json()["requests"] == []
        assert {key["name"] for key in mallory.get("/api-keys").json()["apiKeys"]} == {"mallory"}

    def test_enters_nowhere_by_header(self, things: dict[str, str], superuser_url: str) -> None:
        before = snapshot(superuser_url, ACME)
        session = with_session(MALLORY.email)
        for (method, name), rule in MATRIX.items():
            path = path_of(name, rule, things)
            assert error_of(session(method, path, rule.body, x_tenant_id=ACME))["code"] == "unknown_tenant", name
        # A key's tenant is its own, whatever the header says.
        key = Caller(authorization=f"Bearer {KEYS['mallory']}", x_tenant_id=ACME)
        assert key.get("/auth/me").json()["tenantId"] == GLOBEX
        assert key.get("/customers").json()["customers"] == []
        assert snapshot(superuser_url, ACME) == before

    def test_leaves_everything_there(self, things: dict[str, str]) -> None:
        with ADA.here(), transaction():
            assert Customer.objects.get().customer_id == "c-1"
            assert DsarRequest.objects.count() == 1
            assert ApiKey.objects.get(pk=things["key"]).revoked_at is None


class TestCronDoor:
    def test_it_opens_to_its_secret_only(self, db: str) -> None:
        path = reverse("cron", kwargs={"name": "cleanup"})
        wrong = [nobody(), *(with_key(nick) for nick in KEYS), Caller(authorization="Bearer test-cron-secre")]
        for caller in wrong:
            assert caller("POST", path).status_code == 401
        assert Caller(authorization="Bearer test-cron-secret")("POST", path).status_code == 200
        assert Caller(authorization="Bearer test-cron-secret")("GET", path).status_code == 405


def _words(response: Any) -> tuple[str, str]:
    error = error_of(response)
    return error["code"], error["message"]
