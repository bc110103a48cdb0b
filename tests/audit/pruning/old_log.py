"""A log of Acme's whose first part is old enough to go, and the people who may let it go."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg

from audit import services
from audit.models import Tombstone
from audit.pruning import prune
from audit.pruning.prune import Plan, Pruned
from audit.tree import checkpoints, publication
from compliance.retention import policies
from kaireon.approvals import services as approvals
from kaireon.approvals.models import ApprovalRequest
from kaireon.lib import clock
from kaireon.tenancy import tenants
from kaireon.tenancy.context import scope, transaction
from kaireon.tenancy.roles import Role
from tests.audit.log import write
from tests.cast import ACME, ADA, PASSWORD, SETUP, Person

BEA = Person("bea@acme.example", ACME, Role.ADMIN)
POLICY_DAYS = 400
# In the first part, which ends inside a tile.
OLD = 260


@contextmanager
def triggers_off(superuser: psycopg.Connection) -> Iterator[psycopg.Connection]:
    superuser.execute("SET session_replication_role = replica")
    try:
        yield superuser
    finally:
        superuser.execute("SET session_replication_role = origin")


def sealed(count: int, superuser: psycopg.Connection, *, days_ago: float, published: bool = True) -> int:
    """Write records and seal the log up to here, as if so long ago; gives the size of the checkpoint."""
    write(count, tenant=ACME, changes={"note": "☂"})
    services.drain(ACME)
    checkpoint = checkpoints.make(ACME)
    assert checkpoint is not None
    if published:
        with scope(tenant_id=ACME, actor=ADA.actor):
            assert publication.publish() is not None
    with triggers_off(superuser):
        superuser.execute(
            "UPDATE audit_checkpoint SET signed_at = now() - %s WHERE tenant_id = 'acme' AND tree_size = %s",
            [timedelta(days=days_ago), checkpoint.size],
        )
    return checkpoint.size


def make_bea() -> None:
    user = tenants.create_user(email=BEA.email, name="Bea", password=PASSWORD, actor=SETUP)
    with scope(tenant_id=ACME, actor=SETUP), transaction():
        tenants.add_member(user=user, role=BEA.role)


def policy(days: int = POLICY_DAYS, *, hold: bool | None = None) -> None:
    with ADA.here(), transaction():
        policies.upsert_policy(
            data_class="audit", retention_days=days, legal_hold=hold, actor=ADA.actor, now=clock.now()
        )


def planned(**more: Any) -> Plan:
    services.drain(ACME)
    with ADA.here(), transaction():
        return prune.make_plan(now=clock.now(), **more)


def asked(**more: Any) -> UUID:
    services.drain(ACME)
    with ADA.here(), transaction():
        request = prune.ask(prune.make_plan(now=clock.now(), **more), actor=ADA.actor, now=clock.now())
    return request.pk


def approve(request_id: UUID, who: Person = BEA) -> ApprovalRequest:
    with who.here(), transaction():
        return approvals.decide(request_id=request_id, answer="approve", actor=who.actor, now=clock.now())


def approved(**more: Any) -> UUID:
    request_id = asked(**more)
    assert approve(request_id).state == "approved"
    return request_id


def applied(request_id: UUID) -> Pruned:
    with ADA.here():
        return prune.apply(request_id=request_id, now=clock.now())


def tombstones() -> list[Tombstone]:
    with ADA.here(), transaction():
        return prune.tombstones_of(ACME)
