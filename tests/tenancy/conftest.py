"""What the tests of tenants and members share."""

from kaireon.tenancy.context import platform_scope, transaction
from kaireon.tenancy.models import User
from tests.cast import SETUP, Person


def deactivate(person: Person) -> None:
    with platform_scope(actor=SETUP), transaction():
        User.objects.filter(email=person.email).update(is_active=False)
