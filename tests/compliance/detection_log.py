"""Things that members do, and what the scan makes of them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.types.json import Jsonb

from audit import services as log
from audit.models import AuditRecord
from compliance.detection import coverage, scanning
from compliance.models import SecuritySignal
from kaireon.flows.models import FlowRun, Pipeline
from kaireon.lib import clock
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.models import ApiKey, Membership, User
from kaireon.tenancy.roles import Role
from tests.cast import ACME, SETUP

SYSTEM = Actor.job("security-behavioral-scan")


def joined(name: str, ago: timedelta = timedelta(), *, tenant: str = ACME, role: Role = Role.ADMIN) -> Actor:
    """A new member, so long ago by the clock of the database."""
    address = f"{name}-{uuid4().hex[:6]}@new.example"
    with scope(tenant_id=tenant, actor=SETUP), transaction():
        user = User.objects.create_user(email=address, name=name)
        Membership.objects.create(user=user, role=role)
    actor = Actor(id=str(user.pk), name=name, type="user")
    since(actor, clock.now() - ago, tenant=tenant)
    return actor


def since(actor: Actor, moment: datetime, *, tenant: str = ACME) -> None:
    """Have somebody be a member since another moment."""
    with scope(tenant_id=tenant, actor=SETUP), transaction():
        assert Membership.objects.filter(user_id=actor.id).update(joined_at=moment) == 1


def key_of(actor: Actor, *, tenant: str = ACME) -> Actor:
    """A key of theirs, made by the system so that the making is not theirs."""
    with scope(tenant_id=tenant, actor=SETUP), transaction():
        row = ApiKey.objects.create(
            name="new", prefix=uuid4().hex[:10], secret_hash="x", role=Role.ADMIN, created_by=actor.id
        )
    return Actor(id=str(row.pk), name="new", type="api_key")


def run_flow(actor: Actor, *, tenant: str = ACME, trigger: str = "admin", pipeline: Pipeline | None = None) -> datetime:
    """A run of a pipeline; gives its moment in the log."""
    with scope(tenant_id=tenant, actor=actor), transaction():
        run = FlowRun.objects.create(name="nightly", trigger=trigger, pipeline=pipeline)
    return moment_of(str(run.pk), tenant=tenant)


def moment_of(entity_id: str, *, tenant: str = ACME) -> datetime:
    log.drain(tenant)
    with scope(tenant_id=tenant, actor=SETUP), transaction():
        return AuditRecord.objects.filter(entity_id=entity_id).order_by("-seq")[0].timestamp


def scan(now: datetime | None = None, *, tenant: str = ACME, **more: Any) -> scanning.Scanned:
    with scope(tenant_id=tenant, actor=SYSTEM):
        return scanning.scan(now=now or clock.now() + timedelta(seconds=1), **more)


def signals(*kinds: str, tenant: str = ACME) -> list[SecuritySignal]:
    with scope(tenant_id=tenant, actor=SETUP), transaction():
        rows = SecuritySignal.objects.order_by("occurred_at", "id")
        return [row for row in rows if not kinds or row.kind in kinds]


_WRITE = """
INSERT INTO audit_inbox (tenant_id, operation, action, entity_type, entity_id, after, user_id, user_name, actor_type,
                         "timestamp")
VALUES (%s, 'I', 'create', 'FlowRun', %s, %s, %s, 'x', %s, %s)
"""


def write(superuser_url: str, *, actor: str, at: datetime, tenant: str = ACME, by: str = "user") -> str:
    """A run as if it had happened then; gives its id."""
    run = str(uuid4())
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(_WRITE, [tenant, run, Jsonb({"trigger": None}), actor, by, at])
    return run


def spans(tenant: str = ACME) -> list[Any]:
    """What scans have covered."""
    with scope(tenant_id=tenant, actor=SETUP), transaction():
        return list(coverage.read().spans)
