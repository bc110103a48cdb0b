"""Roles, with a second person where the tenant demands one: granting, changing and taking them away."""

from collections.abc import Set
from datetime import datetime
from uuid import UUID

from kaireon.approvals import registry, services
from kaireon.approvals.models import ApprovalRequest
from kaireon.approvals.registry import NotApplicable, Payload, Stage
from kaireon.lib.masking import mask
from kaireon.tenancy import members
from kaireon.tenancy.context import Actor, requires_transaction
from kaireon.tenancy.models import Membership
from kaireon.tenancy.roles import Permission, Role, permissions_of

GRANT = "role.grant"
REMOVE = "member.remove"
_ANOTHER_ADMIN = (Stage(permission=Permission.MANAGE_MEMBERS),)


class BeyondOwnPermissions(Exception):
    """Nobody grants a role that may more than they may themselves."""


def _describe_grant(payload: Payload) -> str:
    return f"{Role(payload['role']).label} for {mask(str(payload['email']), as_format='email')}"


def _describe_removal(payload: Payload) -> str:
    return f"{mask(str(payload['email']), as_format='email')} is no longer a member"


@registry.approved(
    GRANT,
    title="Grant a role",
    permission=Permission.MANAGE_MEMBERS,
    describe=_describe_grant,
    stages=_ANOTHER_ADMIN,
)
def _grant(payload: Payload) -> None:
    try:
        members.grant_role(email=payload["email"], role=Role(payload["role"]), name=payload.get("name", ""))
    except members.LastAdmin as e:
        raise NotApplicable("last_admin") from e


@registry.approved(
    REMOVE,
    title="Remove a member",
    permission=Permission.MANAGE_MEMBERS,
    describe=_describe_removal,
    stages=_ANOTHER_ADMIN,
)
def _remove(payload: Payload) -> None:
    try:
        members.remove_member(membership_id=UUID(payload["membershipId"]))
    except members.LastAdmin as e:
        raise NotApplicable("last_admin") from e
    except members.NotAMember as e:
        raise NotApplicable("not_a_member") from e


@requires_transaction
def grant(
    *, email: str, role: Role, name: str, actor: Actor, permissions: Set[Permission], now: datetime
) -> tuple[Membership | ApprovalRequest, bool]:
    """Grant at once, or ask for a second person's yes where the tenant demands one; True when the member is new.

    What was asked for already, and nobody has answered, is not asked for again.

    `permissions` are the actor's own, as narrow as their key. Raises BeyondOwnPermissions, members.LastAdmin.
    """
    if not permissions_of(role) <= permissions:
        raise BeyondOwnPermissions(str(role))
    if services.needs_second_person(GRANT):
        wanted = {"email": email.strip().lower(), "role": str(role)}
        asked = services.asked_already(verb=GRANT, payload=wanted, now=now)
        return asked or services.ask(verb=GRANT, payload={**wanted, "name": name}, actor=actor, now=now), False
    return members.grant_role(email=email, role=role, name=name)


@requires_transaction
def remove(*, member: Membership, actor: Actor, now: datetime) -> ApprovalRequest | None:
    """Remove at once, or ask for a second person's yes; what was asked, if so. Raises LastAdmin, NotAMember."""
    if services.needs_second_person(REMOVE):
        payload = {"membershipId": str(member.pk), "email": member.user.email}
        return services.ask(verb=REMOVE, payload=payload, actor=actor, now=now)
    members.remove_member(membership_id=member.pk)
    return None
