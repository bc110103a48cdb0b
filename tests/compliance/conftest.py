import os

import pytest

from compliance.purging import plans
from kaireon.approvals import services as approvals
from kaireon.tenancy import tenants
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.roles import Role
from tests.cast import ACME, SETUP
from tests.compliance.rows import ADA, NOW, customer, interactions, policy, traces


@pytest.fixture
def app_url(db: str) -> str:
    return os.environ["DATABASE_URL"]


@pytest.fixture
def owner_url(db: str) -> str:
    return os.environ["OWNER_DATABASE_URL"]


@pytest.fixture(params=["app", "owner"])
def role_url(request: pytest.FixtureRequest, app_url: str, owner_url: str) -> str:
    """The address of the application role, then of the owner."""
    return {"app": app_url, "owner": owner_url}[request.param]


@pytest.fixture
def old(db):
    """Five interactions and two traces past their time, and one of each that is not."""
    who = customer()
    interactions(who, 40, 50, 60, 70, 80, 1)
    traces(who, 100, 200, 1)
    policy("interactions", 30)
    policy("decisions", 90)
    policy("metrics", 30, hold=True)
    return who


@pytest.fixture
def bea(db):
    """A second person, as an actor."""
    user = tenants.create_user(email="bea@acme.example", name="Bea", password="", actor=SETUP)
    with scope(tenant_id=ACME, actor=SETUP), transaction():
        tenants.add_member(user=user, role=Role.ADMIN)
    return Actor(id=str(user.pk), name="Bea", type="user")


@pytest.fixture
def two_people(db, bea):
    with ADA.here(), transaction():
        approvals.demand_second_person(plans.VERB, demanded=True, now=NOW)
