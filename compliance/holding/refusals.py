"""What somebody wanted to do about a hold and was refused: recorded, after their transaction was taken back."""

from audit import events
from compliance.holding import matters
from kaireon.tenancy.context import Actor

VERB = "legal_hold.refused"

# By the fact that is recorded and answered. What is not here, such as an unknown field, is a slip of the pen.
CODES: dict[type[Exception], str] = {
    matters.ScopeSurprising: "confirm_required",
    matters.ScopeRefused: "scope_refused",
    matters.SubjectsUnknown: "scope_refused",
    matters.MatterClosed: "matter_closed",
    matters.MatterHolds: "matter_holds",
    matters.HoldNotActive: "hold_not_active",
    matters.HoldNotReleasing: "hold_not_releasing",
    matters.ReleaseAskedAlready: "release_asked_already",
}

# What is answered to those that are about how things stand, and about nothing that was sent.
WORDS: dict[type[Exception], str] = {
    matters.MatterClosed: "This matter is closed: open another.",
    matters.MatterHolds: "Something is held for this matter: it closes when its last hold has ended.",
    matters.HoldNotActive: "This hold is being released, or was: somebody was faster.",
    matters.HoldNotReleasing: "This hold is not in its cooling-off: there is nothing to take back.",
    matters.ReleaseAskedAlready: "A request to release this hold waits for an answer already.",
}


def fact_of(refusal: Exception) -> dict[str, str]:
    """`{reason, field?}` of a refusal of CODES, without values; nothing of any other."""
    if type(refusal) not in CODES:
        return {}
    field = {"field": refusal.field} if isinstance(refusal, matters.ScopeRefused) else {}
    return {"reason": CODES[type(refusal)], **field}


def note(
    refusal: Exception, *, entity_type: str, entity_id: str, tenant_id: str, actor: Actor, request_id: str
) -> None:
    """Record a refusal of CODES, by its fact and the field, without values. Outside any transaction."""
    events.record(
        tenant_id=tenant_id,
        actor=actor,
        request_id=request_id,
        action=VERB,
        entity_type=entity_type,
        entity_id=entity_id,
        changes=fact_of(refusal),
    )
