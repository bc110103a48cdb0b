"""Who stands behind an actor, and what they may do at this moment: asked of the rows, not of the session."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from kaireon.tenancy.context import Actor
from kaireon.tenancy.models import ApiKey, Membership
from kaireon.tenancy.roles import Permission, permissions_of

# A key may have been made with a key, which was made with a key. Longer chains than this are nobody's.
_LONGEST_CHAIN = 16


def role_of(member_id: str) -> str | None:
    """The role of an active member of the tenant; None for everybody else."""
    if not _is_uuid(member_id):
        return None
    roles = Membership.objects.filter(user_id=member_id, user__is_active=True).values_list("role", flat=True)
    return roles.first()


def roles_of(member_ids: list[str]) -> dict[str, str]:
    """The roles of those among them who are active members."""
    known = Membership.objects.filter(user_id__in=[m for m in member_ids if _is_uuid(m)], user__is_active=True)
    return {str(user): role for user, role in known.values_list("user_id", "role")}


def names_of(actor_ids: Collection[str]) -> dict[str, str]:
    """The names of members and keys among them. Who left is not in it: the audit log knows them."""
    wanted = [actor for actor in set(actor_ids) if _is_uuid(actor)]
    keys = ApiKey.objects.filter(pk__in=wanted).values_list("pk", "name")
    members = Membership.objects.filter(user_id__in=wanted).values_list("user_id", "user__name")
    return {str(actor): name for actor, name in (*keys, *members)}


def person_behind(actor: Actor) -> str:
    """The member an actor is, or who made the key it is; empty when that is not known."""
    here, kind = actor.id, actor.type
    for _ in range(_LONGEST_CHAIN):
        if kind != "api_key":
            return here if kind == "user" else ""
        made_by = ApiKey.objects.filter(pk=here).values_list("created_by", flat=True).first() if _is_uuid(here) else ""
        if not made_by or not _is_uuid(made_by):
            return ""
        here, kind = made_by, "api_key" if ApiKey.objects.filter(pk=made_by).exists() else "user"
    return ""


def still_may(*, actor_id: str, actor_type: str, permission: Permission, now: datetime) -> bool:
    """Whether the one who asked could ask for it today. A key counts while it is usable."""
    if actor_type == "user":
        role = role_of(actor_id)
        return role is not None and permission in permissions_of(role)
    key = ApiKey.objects.usable(now).filter(pk=actor_id).first() if _is_uuid(actor_id) else None
    return key is not None and permission in permissions_of(key.role, key.scopes)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
