"""Who stands behind a request: a person or a key, in one tenant, with what they may do there."""

from dataclasses import dataclass

from kaireon.tenancy.context import Actor
from kaireon.tenancy.roles import Permission


@dataclass(frozen=True, kw_only=True)
class Principal:
    actor: Actor
    tenant_id: str
    tenant_name: str
    role: str
    permissions: frozenset[Permission]
    # Django and DRF ask for these of whatever they call the user.
    is_authenticated: bool = True
    is_active: bool = True

    @property
    def pk(self) -> str:
        return self.actor.id
