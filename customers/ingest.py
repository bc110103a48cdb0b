"""Batches in: up to 1,000 rows a call, each judged by itself, the good ones stored, replays recognised.

Natural keys: a customer's own number; an interaction's externalId; a consent's (customer, channel, purpose,
recordedAt). A row that says what is stored already is `unchanged`. Facts do not change: another content under a known
key is an error.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Subquery

from customers import bulk, partitions, returns, rows, subjects
from customers.models import ConsentRecord, Customer, Interaction
from customers.models.consent import ConsentStatus
from customers.models.customer import normal_name
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.managers import TenantQuerySet

MAX_ROWS = 1000

UNKNOWN_CUSTOMER = "no customer has this number."
OTHER_CONTENTS = "was stored before with other contents."
HELD = "is on legal hold: what is stored is not emptied."


class TooManyRows(ValueError):
    """More than MAX_ROWS in one call. Send them in parts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowError:
    """What is wrong with the row at `index`, counted from 0. The message never repeats a value."""

    index: int
    field: str
    message: str


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What became of a batch; a row with an error is in no other count."""

    received: int
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    errors: list[RowError] = field(default_factory=list)

    def refuse(self, index: int, name: str, message: str) -> None:
        self.errors.append(RowError(index=index, field=name, message=message))


@requires_transaction
def ingest_customers(batch: Sequence[object], *, now: datetime) -> Outcome:
    """Create or update customers by their own number. A field left out stays as it is, null empties it.

    Who was erased is not created again until they were let in: see customers/returns.py. Raises TooManyRows.
    """
    outcome, good = _read(rows.CUSTOMER, batch, now=now)
    _one_batch_at_a_time("customers")
    known = {c.customer_id: c for c in _kept(v["customer_id"] for _, v in good)}
    held = _refusals_of_a_hold(good, known)
    shut_out = returns.shut_out_among(values for _, values in good if values["customer_id"] not in known)
    created: dict[str, Customer] = {}
    changed: dict[str, Customer] = {}
    for index, values in good:
        number = values["customer_id"]
        customer = known.get(number)
        if index in held:
            outcome.refuse(index, held[index], HELD)
        elif field := shut_out.get((number, values.get("email") or "")):
            outcome.refuse(index, field, returns.REFUSED)
        elif customer is None:
            customer = Customer(customer_id=number, created_at=now, updated_at=now, last_activity_at=now)
            if values.get("last_activity_at"):
                customer.last_activity_at = values["last_activity_at"]
            _apply(customer, values)
            known[number] = created[number] = customer
            outcome.created += 1
        elif _apply(customer, values):
            customer.updated_at = now
            if number not in created:
                changed[number] = customer
            outcome.updated += 1
        else:
            outcome.unchanged += 1
    bulk.insert(list(created.values()))
    columns = [f.column for name, f in rows.CUSTOMER.items() if name != "customerId"]
    bulk.update(list(changed.values()), [*columns, "name_key", "updated_at"])
    outcome.errors.sort(key=lambda e: e.index)
    return outcome


@requires_transaction
def ingest_interactions(batch: Sequence[object], *, now: datetime) -> Outcome:
    """Store interactions of known customers, each externalId once. Creates the months it needs. Raises TooManyRows."""
    outcome, good = _read(rows.INTERACTION, batch, now=now)
    partitions.ensure_months("customers_interaction", (v["occurred_at"] for _, v in good))
    _one_batch_at_a_time("interactions")
    ids = _customer_ids(v["customer_id"] for _, v in good)
    stored = _stored_interactions([v["external_id"] for _, v in good])
    new: list[Interaction] = []
    active: dict[UUID, datetime] = {}
    for index, values in good:
        customer = ids.get(values["customer_id"])
        if customer is None:
            outcome.refuse(index, "customerId", UNKNOWN_CUSTOMER)
            continue
        interaction = Interaction(**{**values, "customer_id": customer}, created_at=now)
        contents = _contents(interaction)
        known = stored.setdefault(interaction.external_id, contents)
        if known is contents:
            new.append(interaction)
            active[customer] = max(interaction.occurred_at, active.get(customer, interaction.occurred_at))
        elif known == contents:
            outcome.unchanged += 1
        else:
            outcome.refuse(index, "externalId", OTHER_CONTENTS)
    outcome.created = bulk.insert(new)
    _note_activity(active)
    outcome.errors.sort(key=lambda e: e.index)
    return outcome


@requires_transaction
def ingest_consents(batch: Sequence[object], *, now: datetime) -> Outcome:
    """Store statements of consent. A withdrawal ends the grants before it; what erasure kept as evidence stays ended.

    Raises TooManyRows.
    """
    outcome, good = _read(rows.CONSENT, batch, now=now)
    _one_batch_at_a_time("consents")
    ids = _customer_ids(v["customer_id"] for _, v in good)
    stored = {
        (c.customer_id, c.channel, c.purpose, c.recorded_at): c.status
        for c in ConsentRecord.objects.filter(customer__in=set(ids.values()))
    }
    stored |= _evidence(ids)
    new: list[ConsentRecord] = []
    for index, values in good:
        customer = ids.get(values["customer_id"])
        if customer is None:
            outcome.refuse(index, "customerId", UNKNOWN_CUSTOMER)
            continue
        key = (customer, values["channel"], values["purpose"], values["recorded_at"])
        if key not in stored:
            stored[key] = values["status"]
            record = ConsentRecord(**{**values, "customer_id": customer}, created_at=now)
            if record.status == ConsentStatus.WITHDRAWN:
                record.withdrawn_at = record.recorded_at
            new.append(record)
        elif stored[key] == values["status"]:
            outcome.unchanged += 1
        else:
            outcome.refuse(index, "status", OTHER_CONTENTS)
    outcome.created = bulk.insert(new)
    _end_grants({record.customer_id for record in new})
    outcome.errors.sort(key=lambda e: e.index)
    return outcome


def _read(
    fields: Mapping[str, rows.Field], batch: Sequence[object], *, now: datetime
) -> tuple[Outcome, list[tuple[int, dict[str, Any]]]]:
    if len(batch) > MAX_ROWS:
        raise TooManyRows(f"At most {MAX_ROWS} rows in one call.")
    outcome = Outcome(received=len(batch))
    good: list[tuple[int, dict[str, Any]]] = []
    for index, row in enumerate(batch):
        values, faults = rows.read_row(fields, row, now=now)
        if faults:
            for fault in faults:
                outcome.refuse(index, fault.field, fault.message)
        else:
            good.append((index, values))
    return outcome, good


def _one_batch_at_a_time(kind: str) -> None:
    """Two replays of one batch at the same time must not both find it missing; batches of other tenants go on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"ingest:{context.tenant_id()}:{kind}"]
        )


def _apply(customer: Customer, values: Mapping[str, Any]) -> bool:
    """Write the values that differ; whether there were any."""
    changed = False
    for column, value in values.items():
        if column == "last_activity_at" and (value is None or value <= customer.last_activity_at):
            # Activity never moves back: retention counts from here.
            continue
        if getattr(customer, column) != value:
            setattr(customer, column, value)
            changed = True
    customer.name_key = normal_name(customer.name)
    return changed


def _refusals_of_a_hold(good: list[tuple[int, dict[str, Any]]], known: Mapping[str, Customer]) -> dict[int, str]:
    """The rows that would empty a field of a held profile, with that field: the database would refuse all the batch."""
    emptying: dict[int, str] = {}
    for index, values in good:
        if customer := known.get(values["customer_id"]):
            emptied = (n for n, f in _FIELDS_OF_A_PROFILE.items() if _empties(customer, f.column, values))
            if first := next(emptied, None):
                emptying[index] = first
    if not emptying:
        return {}
    with connection.cursor() as cursor:
        # It also makes a hold wait until the batch is committed.
        cursor.execute("SELECT public.hold_check('profiles', false)")
        return emptying if cursor.fetchone()[0] else {}


# All but the time of activity, which null leaves as it is.
_FIELDS_OF_A_PROFILE = {name: f for name, f in rows.CUSTOMER.items() if name not in ("customerId", "lastActivityAt")}


def _empties(customer: Customer, column: str, values: Mapping[str, Any]) -> bool:
    return column in values and not values[column] and bool(getattr(customer, column))


def _kept(numbers: Iterable[str]) -> TenantQuerySet[Customer]:
    """The customers with these numbers, who stay until the batch is committed.

    An erasure that is under way is waited for, and its customer is not found then, which is an error of that row alone;
    one that comes later waits for the batch and takes its rows too.
    """
    # In one order, so that two batches never wait for each other.
    return Customer.objects.select_for_update(no_key=True).filter(customer_id__in=set(numbers)).order_by("id")


def _customer_ids(numbers: Iterable[str]) -> dict[str, UUID]:
    return dict(_kept(numbers).values_list("customer_id", "id"))


def _contents(interaction: Interaction) -> tuple[Any, ...]:
    i = interaction
    return (i.customer_id, i.kind, i.occurred_at, i.channel, i.offer, i.quantity, i.amount, i.currency)


def _stored_interactions(external_ids: list[str]) -> dict[str, tuple[Any, ...]]:
    found = Interaction.objects.filter(external_id__in=set(external_ids)).defer("context")
    return {interaction.external_id: _contents(interaction) for interaction in found}


def _note_activity(active: Mapping[UUID, datetime]) -> None:
    if not active:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE public.customers_customer c SET last_activity_at = v.at"
            " FROM unnest(%s::uuid[], %s::timestamptz[]) v (id, at)"
            " WHERE c.tenant_id = %s AND c.id = v.id AND c.last_activity_at < v.at",
            [[str(key) for key in active], list(active.values()), context.tenant_id()],
        )


def _evidence(ids: Mapping[str, UUID]) -> dict[tuple[UUID | None, str, str, datetime], str]:
    """What erased customers with these numbers had stated: sent again, it is known, not new."""
    keys = {key: ids[number] for number in ids for key in subjects.number_keys(number)}
    return {
        (keys[c.subject_key], c.channel, c.purpose, c.recorded_at): c.status
        for c in ConsentRecord.objects.filter(subject_key__in=list(keys))
    }


def _end_grants(customers: set[UUID | None]) -> None:
    """A grant ends with the first withdrawal after it, in whatever order they arrive."""
    withdrawals = ConsentRecord.objects.filter(
        customer=OuterRef("customer"),
        channel=OuterRef("channel"),
        purpose=OuterRef("purpose"),
        status=ConsentStatus.WITHDRAWN,
        recorded_at__gte=OuterRef("recorded_at"),
    ).order_by("recorded_at")
    ConsentRecord.objects.filter(
        Exists(withdrawals), customer__in=customers, status=ConsentStatus.GRANTED, withdrawn_at=None
    ).update(withdrawn_at=Subquery(withdrawals.values("recorded_at")[:1]))
