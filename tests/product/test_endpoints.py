"""Every endpoint, asked by nobody, by each role, and by Mallory with Acme's ids in path, body, query and header."""

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.urls import URLPattern, URLResolver, get_resolver, reverse

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

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ROLES = {"ada": "admin", "ed": "editor", "aud": "auditor", "vi": "viewer"}

ADMIN = {"ada"}
INGEST = {"ada", "ed"}
READ = {"ada", "ed", "vi"}
AUDIT = {"ada", "aud"}
ALL = set(ROLES)


@dataclass(frozen=True)
class Rule:
    """Who may, and what answer they get. `names` gives the ids in the path by what they are of."""

    who: set[str]
    status: int = 200
    body: Any = None
    names: dict[str, str] = field(default_factory=dict)
    query: str = ""


KEY = {"key_id": "key"}
RECORD = {"record_id": "record"}
EXPORT = {"export_id": "export"}
CUSTOMER = {"customer_id": "customer"}
REQUEST = {"request_id": "request"}
LETTER = {**REQUEST, "letter_id": "letter"}
NOTICE = {**REQUEST, "notice_id": "notice"}
PIPELINE = {"pipeline_id": "pipeline"}
FLOW = {
    "name": "flow",
    "definition": {
        "steps": [
            {"name": "read", "node": "load_entity", "params": {"entity": "customers"}},
            {"name": "store", "node": "write_entity", "params": {"entity": "customers"}},
        ]
    },
}
MEMBER = {"membership_id": "member"}
PLAN = {"plan_id": "plan"}
APPROVAL = {"approval_id": "approval"}
HOLD = {"hold_id": "hold"}
MATTER = {"matter_id": "matter"}
ALERTED = {"rule_id": "alert"}
SCHEDULED = {"schedule_id": "schedule"}
REPORTED = {"run_id": "report"}
REPORT = {"template": "audit_integrity", "formats": ["csv"]}
SCHEDULE = {**REPORT, "name": "Daily", "period": "day", "cadence": "daily", "time": "08:00", "timeZone": "UTC"}
PROVIDED = {"provider_id": "provider"}
ALERT = {"name": "Overdue", "metric": "dsar_overdue", "operator": "gt", "threshold": 0}
PROVIDER = {"name": "Desk", "kind": "email", "recipients": ["desk@acme.example"]}
# Of what Acme has nothing, so that nothing else here is held.
HELD = {"entity": "variantAssignment", "confirm": True, "matter": {"name": "Case 7", "reason": "order"}}
INTERACTION = {
    "customerId": "c-1",
    "externalId": "x-1",
    "kind": "visit",
    "occurredAt": "2026-01-05T10:00:00Z",
}
CONSENT = {
    "customerId": "c-1",
    "channel": "email",
    "purpose": "marketing",
    "status": "granted",
    "recordedAt": "2026-01-05T10:00:00Z",
}

# The whole of /api/v1 for members. What a member's role does not allow is 403.
MATRIX: dict[tuple[str, str], Rule] = {
    ("GET", "auth-me"): Rule(ALL),
    ("GET", "api-keys"): Rule(ADMIN),
    ("POST", "api-keys"): Rule(ADMIN, 201, {"name": "new", "role": "viewer"}),
    ("DELETE", "api-key-revoke"): Rule(ADMIN, 204, names=KEY),
    ("GET", "members"): Rule(ADMIN),
    ("POST", "members"): Rule(ADMIN, 201, {"email": "new@acme.example", "role": "viewer"}),
    ("PATCH", "member"): Rule(ADMIN, body={"role": "editor"}, names=MEMBER),
    ("DELETE", "member"): Rule(ADMIN, 204, names=MEMBER),
    ("GET", "approvals"): Rule(ADMIN),
    ("GET", "approval"): Rule(ADMIN, names=APPROVAL),
    # Nobody answers what they asked for themselves, and no key answers anything.
    ("POST", "approval"): Rule(ADMIN, 403, {"action": "reject"}, names=APPROVAL),
    ("DELETE", "approval"): Rule(ADMIN, 403, names={"approval_id": "theirs"}),
    ("GET", "audit-logs"): Rule(AUDIT),
    ("GET", "audit-logs-verify"): Rule(AUDIT),
    ("GET", "audit-export"): Rule(AUDIT),
    ("POST", "audit-export"): Rule(AUDIT, body={"action": "verify_integrity"}),
    ("GET", "audit-exports"): Rule(AUDIT),
    ("POST", "audit-exports"): Rule(AUDIT, 202, {"format": "ndjson"}),
    ("GET", "audit-export-status"): Rule(AUDIT, names=EXPORT),
    ("GET", "audit-export-download"): Rule(AUDIT, 409, names=EXPORT),
    ("GET", "audit-logs-bundle"): Rule(AUDIT),
    ("GET", "audit-logs-checkpoint"): Rule(AUDIT),
    ("GET", "audit-logs-consistency"): Rule(AUDIT, query="?first=1"),
    ("GET", "audit-log"): Rule(AUDIT, names=RECORD),
    ("GET", "audit-log-proof"): Rule(AUDIT, names=RECORD),
    ("POST", "customer-returns"): Rule(ADMIN, 404, {"customerId": "c-1", "reason": "A new contract."}),
    ("GET", "customers"): Rule(READ),
    ("POST", "customers"): Rule(INGEST, body={"customers": [{"customerId": "c-2", "name": "Bo"}]}),
    ("GET", "customer"): Rule(READ, names=CUSTOMER),
    ("GET", "interactions"): Rule(READ),
    ("POST", "interactions"): Rule(INGEST, body={"interactions": [INTERACTION]}),
    ("GET", "consents"): Rule(READ),
    ("POST", "consents"): Rule(INGEST, body={"consents": [CONSENT]}),
    ("GET", "jobs"): Rule(ADMIN),
    ("GET", "dlq"): Rule(ADMIN),
    ("POST", "dlq"): Rule(ADMIN, body={"action": "retry", "topic": "mail"}),
    ("GET", "retention-configs"): Rule(ADMIN),
    ("POST", "retention-configs"): Rule(ADMIN, body={"dataClass": "interactions", "retentionDays": 30}),
    ("GET", "purge-plans"): Rule(ADMIN),
    ("POST", "purge-plans"): Rule(ADMIN, 201, {}),
    ("GET", "purge-plan"): Rule(ADMIN, names=PLAN),
    ("POST", "purge-plan-apply"): Rule(ADMIN, 202, names=PLAN),
    ("GET", "dispositions"): Rule(ADMIN),
    ("GET", "retention-explain"): Rule(ADMIN, 404, query="?entity=customer&id=00000000-0000-0000-0000-000000000000"),
    ("POST", "retention-preview"): Rule(ADMIN, body={"dataClass": "interactions", "retentionDays": 30}),
    ("GET", "retention-conflicts"): Rule(ADMIN),
    ("GET", "retention-laws"): Rule(ADMIN),
    ("POST", "retention-laws"): Rule(ADMIN, body={"name": "ccpa-regulations", "binds": True}),
    # Nothing waits in a tenant that shortened nothing.
    ("DELETE", "retention-config-pending"): Rule(ADMIN, 409, names={"policy_id": "policy"}),
    ("GET", "legal-holds"): Rule(ADMIN),
    ("POST", "legal-holds"): Rule(ADMIN, 201, HELD),
    ("POST", "legal-holds-preview"): Rule(ADMIN, body={"dataClass": "interactions"}),
    ("GET", "legal-hold"): Rule(ADMIN, names=HOLD),
    ("POST", "legal-hold-release"): Rule(ADMIN, 202, {"reason": "settled"}, names=HOLD),
    # Nobody agreed to a release yet.
    ("POST", "legal-hold-take-back"): Rule(ADMIN, 409, names=HOLD),
    # In any role, but only for who was told of the hold: Bea.
    ("GET", "legal-holds-notices"): Rule(ALL),
    ("POST", "legal-hold-acknowledge"): Rule(ALL, 404, names=HOLD),
    ("GET", "matters"): Rule(ADMIN),
    ("POST", "matters"): Rule(ADMIN, 201, {"name": "Case 8", "reason": "order"}),
    ("GET", "matter"): Rule(ADMIN, names=MATTER),
    ("PATCH", "matter"): Rule(ADMIN, body={"reviewOn": None}, names=MATTER),
    ("POST", "matter-close"): Rule(ADMIN, names=MATTER),
    ("GET", "dsar"): Rule(ADMIN),
    ("POST", "dsar"): Rule(ADMIN, 202, {"requestType": "export", "subjectId": "c-1"}),
    ("GET", "dsar-report"): Rule(ADMIN),
    ("GET", "dsar-request"): Rule(ADMIN, names=REQUEST),
    ("GET", "dsar-clock"): Rule(ADMIN, names=REQUEST),
    ("GET", "dsar-certificate"): Rule(ADMIN, 409, names=REQUEST),
    ("POST", "dsar-extend"): Rule(ADMIN, body={"reason": "forty systems to search"}, names=REQUEST),
    ("POST", "dsar-pause"): Rule(ADMIN, body={"ground": "identity", "reason": "passport asked for"}, names=REQUEST),
    ("POST", "dsar-resume"): Rule(ADMIN, names=REQUEST),
    ("GET", "dsar-download"): Rule(ADMIN, 409, names=REQUEST),
    # Of an export there is none.
    ("GET", "dsar-plan"): Rule(ADMIN, 409, names=REQUEST),
    # Nothing of an export can be cancelled.
    ("POST", "dsar-cancel"): Rule(ADMIN, 409, names=REQUEST),
    ("GET", "dsar-timeline"): Rule(ADMIN, names=REQUEST),
    # It waits for no proof, and a worker answers it.
    ("POST", "dsar-identity-code"): Rule(ADMIN, 409, names=REQUEST),
    ("POST", "dsar-identity-verify"): Rule(ADMIN, 409, {"code": "12345678"}, names=REQUEST),
    ("POST", "dsar-identity-vouch"): Rule(ADMIN, 409, {"method": "vouched", "reason": "I know them"}, names=REQUEST),
    ("POST", "dsar-complete"): Rule(ADMIN, 409, {"resolution": "done"}, names=REQUEST),
    ("POST", "dsar-assign"): Rule(ADMIN, body={"to": "ada@acme.example"}, names=REQUEST),
    ("GET", "dsar-letters"): Rule(ADMIN, names=REQUEST),
    ("POST", "dsar-letter-preview"): Rule(ADMIN, body={"kind": "acknowledgement"}, names=REQUEST),
    ("GET", "dsar-letter"): Rule(ADMIN, names=LETTER),
    ("POST", "dsar-letter-mark"): Rule(ADMIN, body={"evidence": "By post"}, names=LETTER),
    # It was noted as sent just before.
    ("POST", "dsar-letter-retry"): Rule(ADMIN, 409, names=LETTER),
    # There is one already.
    ("POST", "dsar-letters"): Rule(ADMIN, 409, {"kind": "acknowledgement"}, names=REQUEST),
    ("GET", "recipients"): Rule(ADMIN),
    ("POST", "recipients"): Rule(ADMIN, body={"name": "The Shop", "destination": "shop"}),
    ("GET", "dsar-notices"): Rule(ADMIN, names=REQUEST),
    ("POST", "dsar-notice-not-told"): Rule(ADMIN, 409, {"effort": "impossible", "reason": "Closed"}, names=NOTICE),
    ("POST", "dsar-withdraw"): Rule(ADMIN, names=REQUEST),
    # It was withdrawn a moment before.
    ("POST", "dsar-reject"): Rule(ADMIN, 409, {"ground": "excessive", "reason": "often"}, names=REQUEST),
    ("GET", "pipelines"): Rule(ADMIN),
    ("POST", "pipelines"): Rule(ADMIN, 201, {**FLOW, "name": "another"}),
    ("POST", "pipelines-execute"): Rule(ADMIN, 404, {"pipelineId": "00000000-0000-0000-0000-000000000000"}),
    ("GET", "pipeline"): Rule(ADMIN, names=PIPELINE),
    ("PUT", "pipeline"): Rule(ADMIN, body=FLOW, names=PIPELINE),
    ("POST", "pipeline-execute"): Rule(ADMIN, 202, {}, names=PIPELINE),
    ("GET", "pipeline-runs"): Rule(ADMIN, names=PIPELINE),
    ("GET", "pipeline-run-progress"): Rule(ADMIN, names={**PIPELINE, "run_id": "run"}),
    ("DELETE", "pipeline"): Rule(ADMIN, 204, names=PIPELINE),
    ("GET", "alerts"): Rule(ADMIN),
    ("POST", "alerts"): Rule(ADMIN, 201, {**ALERT, "name": "Another"}),
    ("GET", "alert-metrics"): Rule(ADMIN),
    ("GET", "alert"): Rule(ADMIN, names=ALERTED),
    ("PATCH", "alert"): Rule(ADMIN, body={"severity": "critical"}, names=ALERTED),
    ("GET", "alert-history"): Rule(ADMIN, names=ALERTED),
    # Nothing alerts.
    ("POST", "alert-acknowledge"): Rule(ADMIN, 409, names=ALERTED),
    ("POST", "alert-silence"): Rule(ADMIN, body={"until": None}, names=ALERTED),
    ("DELETE", "alert"): Rule(ADMIN, 204, names=ALERTED),
    ("GET", "report-templates"): Rule(ADMIN),
    ("GET", "report-schedules"): Rule(ADMIN),
    ("POST", "report-schedules"): Rule(ADMIN, 201, {**SCHEDULE, "name": "Another"}),
    ("GET", "report-schedule"): Rule(ADMIN, names=SCHEDULED),
    ("PATCH", "report-schedule"): Rule(ADMIN, body={"enabled": False}, names=SCHEDULED),
    ("POST", "report-schedule-run"): Rule(ADMIN, 202, {}, names=SCHEDULED),
    ("GET", "report-runs"): Rule(ADMIN),
    ("POST", "report-runs"): Rule(ADMIN, 202, {**REPORT, "from": "2026-01-01", "to": "2026-01-31"}),
    ("GET", "report-run"): Rule(ADMIN, names=REPORTED),
    # Nobody has made it yet.
    ("POST", "report-run-again"): Rule(ADMIN, 409, names=REPORTED),
    ("GET", "report-run-download"): Rule(ADMIN, 409, names=REPORTED, query="?format=csv"),
    ("DELETE", "report-schedule"): Rule(ADMIN, 204, names=SCHEDULED),
    ("GET", "notification-providers"): Rule(ADMIN),
    ("POST", "notification-providers"): Rule(ADMIN, 201, {**PROVIDER, "name": "Another"}),
    ("GET", "notification-provider"): Rule(ADMIN, names=PROVIDED),
    ("PATCH", "notification-provider"): Rule(ADMIN, body={"enabled": True}, names=PROVIDED),
    ("POST", "notification-provider-test"): Rule(ADMIN, 202, names=PROVIDED),
    ("DELETE", "notification-provider"): Rule(ADMIN, 204, names=PROVIDED),
    ("POST", "gdpr-erasure"): Rule(ADMIN, body={"customerId": "c-1"}),
}

# Without a member: documentation, sign-in, and the scheduler's door, which has a secret of its own.
OPEN: dict[tuple[str, str], str] = {
    ("GET", "schema"): "the API's description",
    ("GET", "docs"): "the API's description",
    ("POST", "auth-login"): "makes a session",
    ("POST", "auth-refresh"): "renews a session",
    ("POST", "auth-logout"): "ends a session",
    ("POST", "cron"): "CRON_SECRET only",
    ("GET", "security-scan"): "the scheduler's key only",
    ("POST", "security-scan"): "the scheduler's key only",
}


def routes() -> dict[str, type]:
    """The view class behind each name under /api/v1."""
    [api] = [p for p in get_resolver().url_patterns if isinstance(p, URLResolver) and str(p.pattern) == "api/v1/"]
    patterns = [p for p in api.url_patterns if isinstance(p, URLPattern)]
    assert len(patterns) == len(api.url_patterns)
    return {str(p.name): p.callback.view_class for p in patterns}  # type: ignore[attr-defined]


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


def path_of(name: str, rule: Rule, things: dict[str, str]) -> str:
    return reverse(name, kwargs={argument: things[kind] for argument, kind in rule.names.items()}) + rule.query


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
