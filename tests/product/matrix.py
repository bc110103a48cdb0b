"""Who may what: each endpoint by method and name, with the answer that the roles which may get."""

from dataclasses import dataclass, field
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver, reverse

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
    ("GET", "reports"): Rule(ADMIN),
    ("POST", "reports"): Rule(ADMIN, 202, {**REPORT, "from": "2026-02-01", "to": "2026-02-28"}),
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


def path_of(name: str, rule: Rule, things: dict[str, str]) -> str:
    return reverse(name, kwargs={argument: things[kind] for argument, kind in rule.names.items()}) + rule.query
