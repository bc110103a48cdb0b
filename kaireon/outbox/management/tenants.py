"""Which tenants a command works on: the one named, or all through the door that is recorded."""

from collections.abc import Iterator

from django.core.management.base import CommandError

from kaireon.tenancy import resolver
from kaireon.tenancy.context import Actor, across_all_tenants, scope


def chosen_tenants(tenant: str, *, reason: str) -> Iterator[str]:
    """Yields each id with its scope open. Raises CommandError for a tenant that is none."""
    actor = Actor.system(f"command:{reason}")
    if not tenant:
        yield from across_all_tenants(reason=reason, actor=actor)
        return
    if tenant not in resolver.active_tenants():
        raise CommandError(f"--tenant {tenant}: no active tenant has this id.")
    with scope(tenant_id=tenant, actor=actor):
        yield tenant
