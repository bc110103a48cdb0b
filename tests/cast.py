"""The fixed cast: two tenants, the people of Acme in every role, and Mallory from the other tenant.

Made once, in the template database; every test finds them as they were.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from customers.partitions import ensure_months
from kaireon.lib import clock
from kaireon.tenancy import keys, tenants
from kaireon.tenancy.context import Actor, scope, transaction
from kaireon.tenancy.models import ApiKey, User
from kaireon.tenancy.roles import Role

ACME = "acme"
GLOBEX = "globex"
PASSWORD = "correct horse battery"
SETUP = Actor.system("setup")

# e-mail, name, tenant, role
PEOPLE = {
    "ada": ("ada@acme.example", "Ada", ACME, Role.ADMIN),
    "ed": ("ed@acme.example", "Ed", ACME, Role.EDITOR),
    "aud": ("aud@acme.example", "Aud", ACME, Role.AUDITOR),
    "vi": ("vi@acme.example", "Vi", ACME, Role.VIEWER),
    "mallory": ("mallory@globex.example", "Mallory", GLOBEX, Role.ADMIN),
}

# An API key for each, by first name, the same in every process of a test run.
KEYS = {nick: f"krn_{nick}_the-key-of-{nick}" for nick in PEOPLE}


@dataclass(frozen=True)
class Person:
    email: str
    tenant_id: str
    role: Role

    @property
    def user(self) -> User:
        return User.objects.get(email=self.email)

    @property
    def actor(self) -> Actor:
        user = self.user
        return Actor(id=str(user.pk), name=user.name, type="user")

    def here(self, request_id: str = "req-test") -> Any:
        """The person's scope: `with ADA.here(), transaction(): …`."""
        return scope(tenant_id=self.tenant_id, actor=self.actor, request_id=request_id)


ADA, ED, AUD, VI, MALLORY = (Person(email, tenant, role) for email, _, tenant, role in PEOPLE.values())


def create() -> None:
    """Make the cast, in a migrated database."""
    for tenant_id, name in ((ACME, "Acme"), (GLOBEX, "Globex")):
        tenants.create_tenant(tenant_id=tenant_id, name=name, actor=SETUP)
    for nick, (email, name, tenant_id, role) in PEOPLE.items():
        user = tenants.create_user(email=email, name=name, password=PASSWORD, actor=SETUP)
        with scope(tenant_id=tenant_id, actor=SETUP), transaction():
            tenants.add_member(user=user, role=role)
            ApiKey.objects.create(name=nick, prefix=nick, secret_hash=keys.hash_key(KEYS[nick]), role=role)
    _begin_months()


def _begin_months() -> None:
    """Room for facts of now and of forty days ago, which most customers of the tests bring: making it takes longest."""
    now = clock.now()
    with scope(tenant_id=ACME, actor=SETUP), transaction():
        for table in ("customers_interaction", "customers_interactionsummary", "customers_decisiontrace"):
            ensure_months(table, [now, now - timedelta(days=40)])
