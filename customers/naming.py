"""By what a customer is named where no reference leads to them: in messages, kept answers, checkpoints."""

from collections.abc import Iterable

from django.db.models import Q

from customers.models import Customer, IdentityLink
from customers.models.customer import IdentityKind
from kaireon.lib import naming
from kaireon.lib.naming import Names
from kaireon.tenancy.context import requires_transaction


@requires_transaction
def names_of(customer: Customer, links: Iterable[IdentityLink] | None = None) -> Names:
    """What is theirs alone. An address or a device that others share, a family's, names nobody.

    `links`: their identities, if they are known, among others'.
    """
    found: dict[str, set[str]] = {kind: set() for kind in IdentityKind.values}
    for link in links_of([customer]) if links is None else links:
        if link.customer_id == customer.pk:
            found[link.kind].add(link.value)
    found[IdentityKind.EMAIL].add(customer.email)
    found[IdentityKind.PHONE].add(customer.phone)
    own = {kind: _unshared(customer, kind, values) for kind, values in found.items()}
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
    return list(IdentityLink.objects.filter(customer_id__in=[customer.pk for customer in customers]).order_by("pk"))


@requires_transaction
def called(names: Names) -> list[Customer]:
    """Customers who have one of these numbers or addresses now, those with a number first."""
    found = Customer.objects.filter(Q(customer_id__in=names.numbers) | Q(email__in=names.addresses))
    return sorted(found, key=lambda customer: customer.customer_id not in names.numbers)


def _unshared(customer: Customer, kind: str, values: set[str]) -> set[str]:
    values = {value for value in values if value}
    others = IdentityLink.objects.filter(kind=kind, value__in=values).exclude(customer_id=customer.pk)
    shared = set(others.values_list("value", flat=True))
    if kind in _COLUMNS:
        column = _COLUMNS[kind]
        profiles = Customer.objects.filter(**{f"{column}__in": values}).exclude(pk=customer.pk)
        shared |= set(profiles.values_list(column, flat=True))
    return values - shared


# Identities that the profile has too.
_COLUMNS: dict[str, str] = {IdentityKind.EMAIL: "email", IdentityKind.PHONE: "phone"}
