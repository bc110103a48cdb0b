"""Fills a tenant with demo customers: real purchase histories, invented people, and something in every section of a
dossier.

Customers, purchases and consents come in through the ingest services, as a tenant's own would. One transaction for
the whole tenant, after its files are stored: it is loaded or it is not.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from customers import attachments, bulk, ingest, partitions
from customers.demo import extras
from customers.demo.histories import Purchase, purchases
from customers.demo.identities import Identity, identity
from customers.engagement import reckoning
from customers.models import Attachment, Customer, DynamicSchema
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction

T = TypeVar("T")

# How many customers of a tenant, in the order of their numbers, have something in every section. Each of their rows
# there is an audit record of its own: for all of them the first start would take minutes.
COMPLETE = 500
# Seconds for the figures of engagement; a second is enough.
RECKONED_WITHIN = 60

# Called with how many rows were stored just now.
Advance = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Share:
    """Which customers of the file are a tenant's: those whose number leaves `rest` when divided by `of`."""

    prefix: str
    rest: int
    of: int

    def has(self, number: int) -> bool:
        return number % self.of == self.rest

    def customer_id(self, number: int) -> str:
        return f"{self.prefix}-{number:05}"


class RowsRefused(RuntimeError):
    """Ingest refused rows of the demo: its data and the rules of ingest have come apart."""


def is_loaded() -> bool:
    """Whether the active tenant has its demo data: the tenant-defined table is made last."""
    return DynamicSchema.objects.filter(name=extras.SCHEMA).exists()


def rows_of(share: Share, *, now: datetime) -> int:
    """About how many rows `load` will store, for a progress bar."""
    mine = [p.customer for p in purchases(now=now) if share.has(p.customer)]
    return len(mine) + len(set(mine)) * extras.ROWS_EACH + COMPLETE * extras.MORE_ROWS


@without_transaction
def load(share: Share, *, now: datetime, advance: Advance) -> int:
    """Load this share of the demo into the active tenant; returns how many customers it has then."""
    histories: dict[int, list[Purchase]] = defaultdict(list)
    for purchase in purchases(now=now):
        if share.has(purchase.customer):
            histories[purchase.customer].append(purchase)
    people = {number: identity(number) for number in histories}
    complete = sorted(histories)[:COMPLETE]
    letters = attachments.store([extras.letter(people[n], histories[n][-1].moment) for n in complete], now=now)
    with transaction():
        loaded = _load(share, histories, people, letters, now=now, advance=advance)
    reckoning.reckon(now=now, budget=Budget(RECKONED_WITHIN))
    return loaded


@requires_transaction
def _load(
    share: Share,
    histories: dict[int, list[Purchase]],
    people: dict[int, Identity],
    letters: list[Attachment],
    *,
    now: datetime,
    advance: Advance,
) -> int:
    moments = {p.moment.replace(day=1): None for history in histories.values() for p in history}
    for table in partitions.PARTITIONED:
        partitions.ensure_months(table, [*moments, now])
    _ingest(ingest.ingest_customers, (_customer(share, people[n], h) for n, h in histories.items()), now, advance)
    _ingest(
        ingest.ingest_interactions,
        (_interaction(share, p) for history in histories.values() for p in history),
        now,
        advance,
    )
    ids: dict[str, UUID] = dict(Customer.objects.values_list("customer_id", "id"))
    subjects = [
        extras.Subject(pk=ids[share.customer_id(n)], person=people[n], history=histories[n]) for n in sorted(histories)
    ]
    _build(extras.FOR_EVERYBODY, subjects, now, advance)
    complete = subjects[:COMPLETE]
    consents = (row for s in complete for row in extras.consents(s, share.customer_id(s.person.number)))
    _ingest(ingest.ingest_consents, consents, now, advance)
    _build(extras.FOR_SOME, complete, now, advance)
    for subject, letter in zip(complete, letters, strict=True):
        letter.customer_id = subject.pk
    attachments.attach(letters)
    advance(len(letters))
    extras.fill_schema(complete, now=now)
    return len(subjects)


def _build(builders: Iterable[extras.Builder], subjects: list[extras.Subject], now: datetime, advance: Advance) -> None:
    for build in builders:
        for part in _parts((row for subject in subjects for row in build(subject, now)), bulk.CHUNK):
            advance(bulk.insert(part))


def _ingest(
    store: Callable[..., ingest.Outcome], rows: Iterable[dict[str, Any]], now: datetime, advance: Advance
) -> None:
    for part in _parts(rows, ingest.MAX_ROWS):
        outcome = store(part, now=now)
        if outcome.errors:
            raise RowsRefused(f"{len(outcome.errors)} rows, first: {outcome.errors[0]}")
        advance(len(part))


def _customer(share: Share, person: Identity, history: list[Purchase]) -> dict[str, Any]:
    return {
        "customerId": share.customer_id(person.number),
        "email": person.email,
        "phone": person.phone,
        "name": person.full_name,
        "birthDate": person.birth_date.isoformat(),
        "address": f"{person.address}\n{person.postal_code} {person.city}",
        "country": person.country,
        "language": person.language,
        "attributes": {"givenName": person.given_name, "familyName": person.family_name, "script": person.script},
        # Activity before the purchases are in, so that they need not move it.
        "lastActivityAt": max(p.moment for p in history).isoformat(),
    }


def _interaction(share: Share, purchase: Purchase) -> dict[str, Any]:
    return {
        "customerId": share.customer_id(purchase.customer),
        "externalId": f"order-{purchase.line:06}",
        "kind": "purchase",
        "occurredAt": purchase.moment.isoformat(),
        "channel": "web",
        "offer": "catalogue",
        "quantity": purchase.cds,
        "amount": purchase.dollars,
        "currency": "USD",
    }


def _parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part
