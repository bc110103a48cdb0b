"""Loosening a policy in governance mode: by two people, with a reason."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from compliance.models import Mode
from compliance.retention import policies
from compliance.retention.in_force import in_force
from kaireon.approvals import registry, sealed, services
from kaireon.approvals.models import ApprovalRequest, State
from kaireon.approvals.registry import NotApplicable, Payload, Stage
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction
from kaireon.tenancy.roles import Permission

# The database asks for an approval of this name too: versions.sql.
VERB = "retention_config.loosen"
_REFUSALS: Mapping[type[Exception], str] = {
    policies.BelowFloor: "below_floor",
    policies.MayOnlyLengthen: "may_only_lengthen",
    policies.ClockMovedBack: "clock_moved_back",
    policies.UnknownAnchor: "unknown_anchor",
}


@requires_transaction
def ask(
    *,
    data_class: str,
    retention_days: int,
    anchor: str | None = None,
    mode: Mode | None,
    reason: str,
    actor: Actor,
    now: datetime,
) -> ApprovalRequest:
    """Ask a second person; what was asked for already, and nobody has answered, is not asked for again.

    Raises RequesterMayNot.
    """
    counts = in_force(data_class, now)
    wanted: dict[str, Any] = {
        "dataClass": data_class,
        "retentionDays": retention_days,
        "anchor": anchor,
        "mode": str(mode) if mode else None,
        "reason": reason,
        "instead": str(counts.version.pk) if counts else None,
    }
    asked = services.asked_already(verb=VERB, payload=wanted, now=now)
    return asked or services.ask(verb=VERB, payload={**wanted, "nonce": str(uuid4())}, actor=actor, now=now)


@registry.approved(
    VERB,
    title="Loosen a policy in governance mode",
    permission=Permission.MANAGE_RETENTION,
    describe=lambda payload: (
        f"keep {payload['dataClass']} for {payload['retentionDays']:,} days"
        + (f" from {payload['anchor']}" if payload["anchor"] else "")
    ),
    stages=(Stage(permission=Permission.MANAGE_RETENTION),),
    always=True,
    then="It counts after the cooling-off.",
)
def _loosen(payload: Payload) -> None:
    now = clock.now()
    counts = in_force(payload["dataClass"], now)
    if counts is None or str(counts.version.pk) != payload["instead"]:
        # They agreed to another change than it would be by now.
        raise NotApplicable("policy_changed")
    try:
        policies.upsert_policy(
            data_class=payload["dataClass"],
            retention_days=payload["retentionDays"],
            anchor=payload["anchor"],
            mode=Mode(payload["mode"]) if payload["mode"] else None,
            reason=payload["reason"],
            approval_id=_approved(payload["nonce"]),
            actor=context.current().actor,
            now=now,
        )
    except tuple(_REFUSALS) as e:
        raise NotApplicable(_REFUSALS[type(e)]) from e


def _approved(nonce: str) -> UUID:
    """The request that was just agreed to."""
    for row in ApprovalRequest.objects.filter(verb=VERB, state=State.APPROVED).order_by("-decided_at")[:20]:
        if row.payload is not None and sealed.payload_of(row)["nonce"] == nonce:
            return row.pk
    raise NotApplicable("request_changed")
