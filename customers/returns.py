"""Erased people are not taken in again, until somebody says, with a reason, that they came back by their own will."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

import audit
from customers import subjects
from customers.models import Customer, ErasedSubject
from customers.models.customer import normal_email
from kaireon.lib.ids import uuid7
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction
from kaireon.tenancy.kept import Kept

RETURN_VERB = "customer.return"
MOST_OF_A_REASON = 500

REFUSED = (
    "was erased at their request, and is not taken in again. If they came back by their own will, let them in first:"
    " POST /api/v1/customer-returns, or manage.py customer_return."
)
_OTHERS_AT = Kept(
    lambda email, customer: Customer.objects.filter(email=email).exclude(pk=customer).order_by().values_list("pk")[:1],
    email=str,
    customer=UUID,
)
_SHUT_OUT = """
INSERT INTO public.customers_erasedsubject AS known (id, tenant_id, subject_key, created_at, released_by,
                                                     released_by_name, reason)
SELECT shut.id, %(tenant)s, shut.key, %(now)s, '', '', '' FROM unnest(%(ids)s::uuid[], %(keys)s::text[]) shut (id, key)
ON CONFLICT (tenant_id, subject_key) DO UPDATE
   SET created_at = excluded.created_at, released_at = NULL, released_by = '', released_by_name = '', reason = ''
 WHERE known.released_at IS NOT NULL
"""


class NobodyToLetIn(LookupError):
    """No erasure that still stands has this number or address."""


class NoReason(ValueError):
    """A return needs a reason of 1 to 500 printable characters."""


@requires_transaction
def shut_out(customer: Customer, *, now: datetime) -> int:
    """Before the customer is erased, write down by key that they are not to come back; returns how many keys.

    An address that others share, a family's, shuts out nobody.
    """
    keys = [key for key in (subjects.number_key(customer.customer_id), address_key(customer)) if key]
    shut_out_keys(keys, now=now)
    return len(keys)


@requires_transaction
def address_key(customer: Customer) -> str:
    """The key of the customer's address, or "" when there is none, or others have it too."""
    if not customer.email or _OTHERS_AT.is_any(email=normal_email(customer.email), customer=customer.pk):
        return ""
    return subjects.email_key(customer.email)


@requires_transaction
def shut_out_keys(keys: Iterable[str], *, now: datetime) -> None:
    """Let nobody in who has one of these keys.

    Those who had come back meanwhile are erased again, and shut out anew.
    """
    if named := sorted(set(keys)):
        given: dict[str, Any] = {
            "tenant": context.tenant_id(),
            "ids": [uuid7() for _ in named],
            "keys": named,
            "now": now,
        }
        with connection.cursor() as cursor:
            cursor.execute(_SHUT_OUT, given)


@requires_transaction
def shut_out_among(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Which of these new customers may not come in: by number and address, the field that says so."""
    if not ErasedSubject.objects.standing().exists():
        return {}
    named: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for values in rows:
        who = values["customer_id"], values.get("email") or ""
        for field, keys in (("customerId", subjects.number_keys(who[0])), ("email", subjects.email_keys(who[1]))):
            for key in keys:
                named[key].add((field, *who))
    standing = ErasedSubject.objects.standing().keyed(list(named)).values_list("subject_key", flat=True)
    # The number comes last, and so is what is named when both are shut out.
    refused = sorted((said for key in standing for said in named[key]), reverse=True)
    return {(number, email): field for field, number, email in refused}


@requires_transaction
def let_in(*, customer_id: str = "", email: str = "", reason: str, actor: Actor, now: datetime) -> int:
    """Release what shuts a person out, by the number or the address under which they come; returns how many keys.

    Recorded as `customer.return`. Their opt-outs keep their effect until they state otherwise.
    Raises NobodyToLetIn, NoReason.
    """
    reason = reason.strip()
    if not 1 <= len(reason) <= MOST_OF_A_REASON or not reason.isprintable():
        raise NoReason("must have 1 to 500 printable characters.")
    keys = subjects.number_keys(customer_id.strip()) if customer_id.strip() else []
    keys += subjects.email_keys(normal_email(email)) if email.strip() else []
    standing = list(ErasedSubject.objects.standing().keyed(keys).select_for_update().order_by("id"))
    if not standing:
        raise NobodyToLetIn("Nobody who was erased has this number or address.")
    for row in standing:
        audit.action(RETURN_VERB, entity=row)
        ErasedSubject.objects.filter(pk=row.pk).update(
            released_at=now, released_by=actor.id[:64], released_by_name=actor.name[:200], reason=reason
        )
    return len(standing)
