"""Making tenants and members."""

from kaireon.tenancy.context import Actor, platform_scope, requires_transaction, scope, transaction
from kaireon.tenancy.models import Membership, Tenant, User
from kaireon.tenancy.roles import Role


def create_tenant(
    *, tenant_id: str, name: str, actor: Actor, regulation: str = "gdpr", time_zone: str = "UTC"
) -> Tenant:
    """Make a tenant, in its own scope; recorded in the platform's log. Opens its own transaction."""
    with scope(tenant_id=tenant_id, actor=actor), transaction():
        tenant = Tenant(id=tenant_id, name=name, regulation=regulation, time_zone=time_zone)
        tenant.full_clean()
        tenant.save(force_insert=True)
    return tenant


def create_user(*, email: str, name: str, password: str, actor: Actor) -> User:
    """Make a person's account; recorded in the platform's log. Opens its own transaction."""
    with platform_scope(actor=actor), transaction():
        return User.objects.create_user(email=email, name=name, password=password)


@requires_transaction
def add_member(*, user: User, role: Role) -> Membership:
    """Make a user a member of the active tenant."""
    return Membership.objects.create(user=user, role=role)
