"""Releasing the hold on a whole class: at once, or by two people where the tenant demands a second one."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from compliance.holding import holds
from compliance.models import RetentionPolicy
from compliance.retention.policies import RELEASE_VERB
from kaireon.approvals import registry, services
from kaireon.approvals.models import ApprovalRequest
from kaireon.approvals.registry import NotApplicable, Stage
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction
from kaireon.tenancy.roles import Permission


@requires_transaction
def is_to_be_asked(data_class: str) -> bool:
    """Whether this class is held, and nobody releases it alone."""
    held = RetentionPolicy.objects.held().filter(data_class=data_class).exists()
    return held and services.needs_second_person(RELEASE_VERB)


@requires_transaction
def ask(*, data_class: str, actor: Actor, now: datetime) -> ApprovalRequest:
    """Ask a second person to release this hold; who asks again gets the request that waits.

    Raises services.RequesterMayNot, holds.HoldAlreadyReleased.
    """
    policy = RetentionPolicy.objects.held().filter(data_class=data_class).first()
    if policy is None:
        raise holds.HoldAlreadyReleased(data_class)
    wanted = {"dataClass": data_class, "heldSince": clock.rfc3339(policy.held_since or now)}
    asked = services.asked_already(verb=RELEASE_VERB, payload=wanted, now=now)
    return asked or services.ask(verb=RELEASE_VERB, payload=wanted, actor=actor, now=now)


def _describe(payload: Mapping[str, Any]) -> str:
    return f"Release the hold on {payload['dataClass']}"


@registry.approved(
    RELEASE_VERB,
    title="Release the hold on a class",
    permission=Permission.MANAGE_RETENTION,
    describe=_describe,
    stages=(Stage(permission=Permission.MANAGE_RETENTION),),
)
def _release(payload: Mapping[str, Any]) -> None:
    policy = RetentionPolicy.objects.held().filter(data_class=payload["dataClass"]).first()
    if policy is None or clock.rfc3339(policy.held_since or policy.updated_at) != payload["heldSince"]:
        # They agreed to end another hold than it would be by now.
        raise NotApplicable("not_the_same_hold")
    try:
        holds.release_hold(data_class=policy.data_class, actor=context.current().actor, now=clock.now(), agreed=True)
    except holds.HoldAlreadyReleased as e:
        raise NotApplicable("not_the_same_hold") from e
