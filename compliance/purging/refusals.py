"""Why a plan is not applied, or not further: the facts that are recorded and answered, and what to do about each."""

from collections.abc import Mapping
from enum import StrEnum
from uuid import UUID

import audit
from kaireon.tenancy.context import transaction, without_transaction

VERB = "retention.plan.refused"
# There is no such plan in this tenant.
UNKNOWN = "plan_unknown"


class Reason(StrEnum):
    HOLD_APPEARED = "hold_appeared"
    SET_GREW = "set_grew"
    POLICY_CHANGED = "policy_changed"
    PLAN_STALE = "plan_stale"
    PLAN_ALREADY_APPLIED = "plan_already_applied"
    PLAN_NOT_BEGUN = "plan_not_begun"
    PLAN_UNDER_WAY = "plan_under_way"
    PLAN_NOT_APPROVED = "plan_not_approved"
    PLAN_APPROVED_BY_AUTHOR = "plan_approved_by_author"
    PLAN_CHANGED = "plan_changed"
    CLOCK_MOVED_BACK = "clock_moved_back"


# What it is and what to do, for whoever is told.
ADVICE: Mapping[Reason, str] = {
    Reason.HOLD_APPEARED: (
        "A hold came since the plan was made, and it touches what the plan would delete. Make a new plan."
    ),
    Reason.SET_GREW: "There are rows now that the plan did not count. Make a new plan.",
    Reason.POLICY_CHANGED: "A policy keeps longer now than the plan says. Make a new plan.",
    Reason.PLAN_STALE: "The plan is older than a day. Make a new one.",
    Reason.PLAN_ALREADY_APPLIED: "This plan was applied already, or stopped for good. Make a new one.",
    Reason.PLAN_NOT_BEGUN: "Nobody has begun to apply this plan. Apply it, and not its job.",
    Reason.PLAN_UNDER_WAY: "A job is applying this plan. Wait for it.",
    Reason.PLAN_NOT_APPROVED: (
        "A second person must agree to this plan first. Where nobody was asked, make a new plan."
    ),
    Reason.PLAN_APPROVED_BY_AUTHOR: "Whoever made the plan agreed to it. Somebody else must.",
    Reason.PLAN_CHANGED: "The plan does not say any more what its digest says. Make a new one.",
    Reason.CLOCK_MOVED_BACK: "The plan is of a later time than now. Set the clock right, or make a new plan.",
}


class PlanRefused(RuntimeError):
    """A plan was not applied, or not further; what went before is gone, and counted. `str()` of it is the advice."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(ADVICE[reason])
        self.reason = reason

    @property
    def code(self) -> str:
        return self.reason.value


@without_transaction
def note(plan_id: UUID, refusal: Exception) -> None:
    """Record that somebody was refused, also for a plan that is not there; their transaction was taken back."""
    with transaction():
        audit.record(
            action=VERB,
            entity_type="PurgePlan",
            entity_id=str(plan_id),
            changes={"reason": refusal.code if isinstance(refusal, PlanRefused) else UNKNOWN},
        )
