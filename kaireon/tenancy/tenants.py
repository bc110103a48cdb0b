"""Making tenants, accounts and members."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError

from kaireon.tenancy.context import Actor, platform_scope, requires_transaction, scope, transaction
from kaireon.tenancy.models import Membership, Tenant, User
from kaireon.tenancy.roles import Role


def create_tenant(
    *, tenant_id: str, name: str, actor: Actor, regulation: str = "gdpr", time_zone: str = "UTC"
) -> Tenant:
    """Make a tenant, in its own scope; recorded in the platform's log. Opens its own transaction.

    `time_zone`: a name of the IANA database; its days are those of every statutory clock. Raises ValidationError.
    """
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise ValidationError({"time_zone": "Name a zone of the IANA database, such as Europe/Berlin."}) from e
    with scope(tenant_id=tenant_id, actor=actor), transaction():
        tenant = Tenant(id=tenant_id, name=name, regulation=regulation, time_zone=time_zone)
        tenant.full_clean()
        tenant.save(force_insert=True)
    return tenant


def create_user(*, email: str, name: str, password: str, actor: Actor) -> User:
    """Make a person's account; recorded in the platform's log. Opens its own transaction."""
    with platform_scope(actor=actor), transaction():
        return User.objects.create_user(email=email, name=name, password=password)


def set_password(*, user: User, password: str, actor: Actor) -> None:
    """Give an account another password and unlock it; recorded in the platform's log, without the password.

    Sessions of the admin end with the old one. Opens its own transaction.
    """
    with platform_scope(actor=actor), transaction():
        user.set_password(password)
        user.failed_logins, user.locked_until = 0, None
        user.save(update_fields=["password", "failed_logins", "locked_until"])


@requires_transaction
def add_member(*, user: User, role: Role) -> Membership:
    """Make a user a member of the active tenant."""
    return Membership.objects.create(user=user, role=role)
