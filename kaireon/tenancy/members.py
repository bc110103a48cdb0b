"""Who is a member of the active tenant, and as what. A tenant always keeps an admin."""

from collections.abc import Callable
from uuid import UUID

from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.models import Membership, User
from kaireon.tenancy.roles import Role


class LastAdmin(Exception):
    """A tenant without an admin could be helped by nobody inside it. Make somebody else an admin first."""


class NotAMember(LookupError):
    """No member of this tenant has this id."""


@requires_transaction
def grant_role(*, email: str, role: Role, name: str = "") -> tuple[Membership, bool]:
    """Make the person with this address a member, or change a member's role; True when the member is new.

    An address without account gets one without a password: whether it had one in another tenant is not to be found
    out here. Raises LastAdmin.
    """
    address = email.strip().lower()
    user = User.objects.filter(email=address).first()
    if user is None:
        user = User.objects.create_user(email=address, name=name.strip() or address.partition("@")[0])
    membership = Membership.objects.filter(user=user).first()
    if membership is None:
        return Membership.objects.create(user=user, role=role), True
    change_role(membership_id=membership.pk, role=role)
    membership.role = role
    return membership, False


@requires_transaction
def change_role(*, membership_id: UUID, role: Role) -> None:
    """Raises NotAMember, LastAdmin."""

    def change() -> int:
        return Membership.objects.filter(pk=membership_id).update(role=role)

    _keeping_an_admin(membership_id, change, stays_admin=role == Role.ADMIN)


@requires_transaction
def remove_member(*, membership_id: UUID) -> None:
    """End a membership; what the person did stays in the log under their name. Raises NotAMember, LastAdmin."""

    def remove() -> int:
        return Membership.objects.filter(pk=membership_id).delete()[0]

    _keeping_an_admin(membership_id, remove, stays_admin=False)


def _keeping_an_admin(membership_id: UUID, change: Callable[[], int], *, stays_admin: bool) -> None:
    if not stays_admin:
        # Locked in one order, so that of two admins who remove each other at once one is refused.
        admins = Membership.objects.filter(role=Role.ADMIN, user__is_active=True).order_by("pk")
        held = list(admins.select_for_update(of=("self",)).values_list("pk", flat=True))
        if held == [membership_id]:
            raise LastAdmin(str(membership_id))
    if not change():
        raise NotAMember(str(membership_id))
