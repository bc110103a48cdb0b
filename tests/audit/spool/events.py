"""Refusals of access, which are recorded by themselves."""

from typing import Any
from uuid import UUID

from kaireon.tenancy import signals
from kaireon.tenancy.context import Actor
from kaireon.tenancy.principal import Principal
from kaireon.tenancy.roles import Role, permissions_of
from tests.audit.log import records
from tests.cast import ACME


def refuse(number: int = 0, *, tenant: str = ACME) -> None:
    """A refusal of access, as the views tell of it."""
    principal = Principal(
        actor=Actor(id=str(UUID(int=7)), name="Ed", type="user"),
        tenant_id=tenant,
        tenant_name=tenant,
        role=Role.EDITOR,
        permissions=permissions_of(Role.EDITOR),
    )
    signals.access_refused.send(sender=None, principal=principal, reason=f"test:{number}", request_id=f"req-{number}")


def refusals(tenant: str = ACME) -> list[Any]:
    return [r for r in records(tenant, action="access.refused") if r.entity_id.startswith("test:")]
