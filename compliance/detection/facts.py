"""What a record of the log means to the rules: which workflow it starts, and what speaks against it. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Workflow(StrEnum):
    """What a new member may do first."""

    FLOW_RUN = "flow_run"
    DSAR_REQUEST = "dsar_request"
    API_KEY = "api_key"
    BULK_EXPORT = "bulk_export"
    HOLD_CHANGE = "hold_change"
    RETENTION_CHANGE = "retention_change"
    ADMIN_GRANT = "admin_grant"


class Evidence(StrEnum):
    """What makes a signal wake somebody."""

    API_KEY_USED = "api_key_used"
    BULK = "bulk"
    DESTRUCTIVE = "destructive"
    AUTOMATED_TRIGGER = "automated_trigger"
    PRIVILEGE_GRANT = "privilege_grant"
    BURST = "burst"


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A record as the rules see it: `at` is its own time, `member` who is behind its actor, "" when nobody is known.

    `facts` are the few values of its row that rules ask for, under camelCase names; `created`, `removed`: its row came
    or went. `scanned`: this scan is to report it; the others are there to count with.
    """

    id: str
    seq: int
    at: datetime
    action: str
    entity_type: str
    actor_id: str = ""
    actor_type: str = "user"
    request_id: str = ""
    member: str = ""
    created: bool = False
    removed: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    scanned: bool = True

    @property
    def by(self) -> str:
        """Whom counts go by: the member, or the key nobody stands behind."""
        return self.member or self.actor_id


# Triggers of a run that no person pulled. One that is not said is a person's.
AUTOMATED = frozenset({"schedule", "code"})
ADMIN = "admin"

# Verbs of the log, by what they mean here.
EXPORTS = frozenset({"audit_log.export", "retention.dispositions.export"})
VIEWS = frozenset({"audit_log.read", "audit_log.prove", "audit_log.export", "audit_log.download", "audit_log.reveal"})
PURGES = frozenset({"retention.purge", "retention.plan.apply", "dsar.erasure.rows_erased"})
REFUSED = "access.refused"
LOGIN_FAILED = "auth.login_failed"
PEOPLE = frozenset({"user", "api_key"})


def workflow_of(record: Record) -> Workflow | None:
    """Which workflow this record is the start of; None for all else."""
    by_type = _BY_TYPE.get(record.entity_type)
    if by_type is not None:
        return by_type(record)
    return Workflow.BULK_EXPORT if record.action in EXPORTS else None


def evidence_of(record: Record, workflow: Workflow) -> frozenset[Evidence]:
    """What one record shows by itself."""
    said = {
        Evidence.API_KEY_USED: record.actor_type == "api_key",
        Evidence.BULK: workflow is Workflow.BULK_EXPORT,
        Evidence.DESTRUCTIVE: is_erasure(record) or is_release(record) or _is_shortening(record),
        Evidence.AUTOMATED_TRIGGER: workflow is Workflow.FLOW_RUN and record.facts.get("trigger") in AUTOMATED,
        Evidence.PRIVILEGE_GRANT: workflow is Workflow.ADMIN_GRANT
        or (workflow is Workflow.API_KEY and record.facts.get("role") == ADMIN),
    }
    return frozenset(evidence for evidence, shown in said.items() if shown)


def is_erasure(record: Record) -> bool:
    """A request for an erasure was made."""
    return record.entity_type == "DsarRequest" and record.created and record.facts.get("requestType") == "delete"


def is_release(record: Record) -> bool:
    """A hold was let go of, or its release agreed to."""
    facts = record.facts
    if record.entity_type == "LegalHold":
        return (
            facts.get("kind") != "request" and facts.get("stateBefore") == "active" and facts.get("state") != "active"
        )
    return record.entity_type == "RetentionPolicy" and facts.get("heldBefore") is True and facts.get("held") is False


def is_purge(record: Record) -> bool:
    """Rows went, or were ordered to."""
    return record.action in PURGES and record.facts.get("total") != 0


def act(record: Record, workflow: Workflow) -> tuple[str, ...]:
    """The same for records of one act: a policy's decision is a row of its own beside the policy's."""
    if workflow is Workflow.RETENTION_CHANGE and record.request_id:
        return (workflow, record.request_id, str(record.facts.get("dataClass")))
    return (record.id,)


def _is_shortening(record: Record) -> bool:
    days, before = record.facts.get("days"), record.facts.get("daysBefore")
    return days is not None and before is not None and days < before


def _made(workflow: Workflow) -> Callable[[Record], Workflow | None]:
    return lambda record: workflow if record.created else None


def _hold(record: Record) -> Workflow | None:
    # The pause for an open request is part of the request.
    return None if record.facts.get("kind") == "request" else Workflow.HOLD_CHANGE


def _grant(record: Record) -> Workflow | None:
    granted = record.facts.get("role") == ADMIN and record.facts.get("roleBefore") != ADMIN
    return Workflow.ADMIN_GRANT if granted and not record.removed else None


_BY_TYPE: dict[str, Callable[[Record], Workflow | None]] = {
    "FlowRun": _made(Workflow.FLOW_RUN),
    "DsarRequest": _made(Workflow.DSAR_REQUEST),
    "ApiKey": _made(Workflow.API_KEY),
    "AuditExport": _made(Workflow.BULK_EXPORT),
    "LegalHold": _hold,
    "RetentionPolicy": lambda record: Workflow.RETENTION_CHANGE,
    "PolicyVersion": _made(Workflow.RETENTION_CHANGE),
    "Membership": _grant,
}
