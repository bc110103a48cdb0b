"""By what a customer is named where no reference leads to them: in messages, kept answers, checkpoints."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from customers.models import Customer, IdentityLink
from customers.models.customer import IdentityKind
from kaireon.lib import naming
from kaireon.lib.naming import Names
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.kept import Kept, among

# Which of these identities others have: in links, and of those that the profile has too, in profiles.
_OTHERS = """
SELECT given.kind, given.value FROM unnest(%(kinds)s::text[], %(values)s::text[]) given (kind, value)
 WHERE EXISTS (SELECT FROM public.customers_identitylink link
                WHERE link.tenant_id = %(tenant)s AND link.kind = given.kind AND link.value = given.value
                  AND link.customer_id <> %(customer)s)
    OR given.kind = 'email' AND EXISTS (SELECT FROM public.customers_customer other
                WHERE other.tenant_id = %(tenant)s AND other.email = given.value AND other.id <> %(customer)s)
    OR given.kind = 'phone' AND EXISTS (SELECT FROM public.customers_customer other
                WHERE other.tenant_id = %(tenant)s AND other.phone = given.value AND other.id <> %(customer)s)
"""
_LINKS = Kept(lambda customer: IdentityLink.objects.filter(customer=customer).order_by("pk"), customer=UUID)
_CALLED = Kept(
    lambda numbers, addresses: Customer.objects.filter(
        Q(among("customers_customer.customer_id", numbers)) | Q(among("customers_customer.email", addresses))
    ),
    numbers=list,
    addresses=list,
)


@requires_transaction
def names_of(customer: Customer, links: Iterable[IdentityLink] | None = None) -> Names:
    """What is theirs alone. An address or a device that others share, a family's, names nobody.

    `links`: their identities, if they are known, among others'.
    """
    found = {(IdentityKind.EMAIL.value, customer.email), (IdentityKind.PHONE.value, customer.phone)}
    for link in links_of([customer]) if links is None else links:
        if link.customer_id == customer.pk:
            found.add((link.kind, link.value))
    found = {(kind, value) for kind, value in found if value}
    own: dict[str, set[str]] = {kind: set() for kind in IdentityKind.values}
    for kind, value in found - _shared(customer, sorted(found)):
        own[kind].add(value)
    return naming.of(
        addresses=own[IdentityKind.EMAIL],
        numbers=[customer.customer_id],
        phones=own[IdentityKind.PHONE],
        marks=own[IdentityKind.DEVICE] | own[IdentityKind.COOKIE] | own[IdentityKind.ACCOUNT],
        refs=[customer.pk],
    )


@requires_transaction
def links_of(customers: Iterable[Customer]) -> list[IdentityLink]:
    """The identities of these customers."""
    return [link for customer in customers for link in _LINKS.all(customer=customer.pk)]


@requires_transaction
def called(names: Names) -> list[Customer]:
    """Customers who have one of these numbers or addresses now, those with a number first."""
    found = _CALLED.all(numbers=sorted(names.numbers), addresses=sorted(names.addresses))
    return sorted(found, key=lambda customer: customer.customer_id not in names.numbers)


def _shared(customer: Customer, names: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of these identities those that others have too, in a link or, where it has such a column, in the profile."""
    given: dict[str, Any] = {"tenant": context.tenant_id(), "customer": customer.pk}
    given |= {"kinds": [kind for kind, _ in names], "values": [value for _, value in names]}
    with connection.cursor() as cursor:
        cursor.execute(_OTHERS, given)
        return set(cursor.fetchall())
