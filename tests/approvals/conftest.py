"""A second and a third admin of Acme, and a verb of the tests' own with two stages."""

from collections.abc import Callable
from typing import Any

import pytest

from kaireon.approvals import registry, services
from kaireon.approvals.models import ApprovalRequest
from kaireon.approvals.registry import Stage
from kaireon.lib import clock
from kaireon.tenancy import tenants
from kaireon.tenancy.context import scope, transaction
from kaireon.tenancy.roles import Permission, Role
from tests.cast import ACME, ADA, PASSWORD, SETUP, Person

BEA = Person("bea@acme.example", ACME, Role.ADMIN)
CY = Person("cy@acme.example", ACME, Role.ADMIN)
NOON = clock.at("12:00")
TWO_STAGES = (Stage(role=Role.ADMIN), Stage(permission=Permission.MANAGE_RETENTION))


@pytest.fixture
def admins(db: str) -> str:
    for person, name in ((BEA, "Bea"), (CY, "Cy")):
        user = tenants.create_user(email=person.email, name=name, password=PASSWORD, actor=SETUP)
        with scope(tenant_id=ACME, actor=SETUP), transaction():
            tenants.add_member(user=user, role=person.role)
    return db


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Register `test.do`; gives the list of payloads that were applied."""

    def put(*, stages: tuple[Stage, ...] = (Stage(role=Role.ADMIN),), apply: Any = None, **parts: Any) -> list[Any]:
        done: list[Any] = []
        others = {name: known for name, known in registry._verbs.items() if name != "test.do"}
        monkeypatch.setattr(registry, "_verbs", others)
        registry.approved(
            "test.do",
            title="Do a test",
            permission=parts.pop("permission", Permission.READ_TENANT),
            describe=lambda payload: "a test",
            stages=stages,
            **parts,
        )(apply or done.append)
        return done

    return put


def ask(who: Person = ADA, payload: Any = None, verb: str = "test.do", now: Any = NOON) -> ApprovalRequest:
    with who.here(), transaction():
        return services.ask(verb=verb, payload=payload or {"n": 1}, actor=who.actor, now=now)


def decide(row: ApprovalRequest, who: Person, answer: str = "approve", now: Any = NOON, **more: Any) -> ApprovalRequest:
    with who.here(), transaction():
        return services.decide(request_id=row.pk, answer=answer, actor=who.actor, now=now, **more)


def again(row: ApprovalRequest) -> ApprovalRequest:
    with ADA.here(), transaction():
        return ApprovalRequest.objects.get(pk=row.pk)
