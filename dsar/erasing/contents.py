"""What names an erased person where no reference leads to them: messages, kept answers, what pipelines left, notes on
signals, caches.

It is found by what it says: the names are remembered, sealed, when the profile goes, and looked for in the last step,
so that what somebody else wrote meanwhile is found with the rest.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import cache as once
from typing import Any
from uuid import UUID

from django.db import connection

from compliance.detection import signals
from compliance.holding import predicate
from customers import catalogue, naming, returns, spelling
from customers.models import Customer, IdentityLink
from dsar.erasing.erased import Action, Erased, Why
from dsar.erasing.grounds import LEGAL_HOLD
from dsar.erasing.rows import held_part
from dsar.models import DsarRequest, ErasureSearch
from dsar.requests import subjects
from kaireon.api import cache
from kaireon.flows import naming as flows
from kaireon.lib.naming import Names
from kaireon.outbox import naming as outbox
from kaireon.tenancy import context, idempotency
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction
from kaireon.tenancy.kept import Kept
from kaireon.tenancy.keyring import open_text, seal_text
from kaireon.tenancy.managers import TenantQuerySet

ANSWER = catalogue.said("idempotencyAnswer")
CHECKPOINT = catalogue.said("flowCheckpoint")
NOTE = catalogue.said("signalNote")
PAYLOAD = catalogue.entity("outboxPayload")

_SEARCH = Kept(lambda request: ErasureSearch.objects.filter(request=request), request=UUID)
_WHOSE = Kept(lambda request: DsarRequest.objects.filter(pk=request).values_list("customer_ref"), request=UUID)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What there was at the look. Messages are claimed by then; checkpoints and answers go with the transaction that
    answers."""

    checkpoints: list[UUID] = field(default_factory=list)
    answers: list[UUID] = field(default_factory=list)
    notes: list[UUID] = field(default_factory=list)
    batch_rows: int = 0
    messages: int = 0
    cached: int | None = 0

    @property
    def is_any(self) -> bool:
        """Whether something of it is still to go."""
        return bool(self.checkpoints or self.answers or self.notes)

    @property
    def counts(self) -> dict[str, int | None]:
        """For the step's row: what is in no count of the request."""
        return {"messagesFound": self.messages, "batchRows": self.batch_rows, "cached": self.cached}


@requires_transaction
def search_of(request: DsarRequest) -> ErasureSearch | None:
    """What an earlier step or attempt remembered."""
    return _SEARCH.first(request=request.pk)


@requires_transaction
def remember(
    request: DsarRequest, search: ErasureSearch | None, names: Names, *, back: Collection[Customer] = ()
) -> None:
    """Before the profiles go, keep the names by which to look afterwards, beside those of an earlier attempt.

    The keys to the log of those who were `back` go with the person's.
    """
    if names or back:
        search = search or ErasureSearch(request=request)
        search.names_sealed = seal_text((names | _remembered(search)).text(), context=search.sealing_context)
        search.refs = sorted({*search.refs, *(str(customer.pk) for customer in back)})
        search.save()


@without_transaction
def look(request_id: UUID, *, check: Callable[[], object]) -> Found:
    """Find what names the person; messages become theirs, their rows leave the batches, the caches are dropped.

    Opens its own transactions; done twice it does nothing more.
    """
    with transaction():
        search = _SEARCH.first(request=request_id)
        names = _remembered(search)
        if not names:
            return Found()
        [(subject,)] = _WHOSE.values(request=request_id)
        if subject is None:
            return Found()
        # Mostly one or the other has nothing to look through.
        there = _there()
    batch_rows = flows.take_rows(names) if there["batches"] else 0
    check()
    messages = outbox.claim(names, subject_ref=subject) if there["messages"] else 0
    check()
    cached = cache.forget(tenant_id=context.tenant_id())
    if not (there["checkpoints"] or there["answers"] or there["notes"]):
        return Found(batch_rows=batch_rows, messages=messages, cached=cached)
    with transaction():
        return Found(
            checkpoints=flows.checkpoints(names),
            answers=idempotency.naming(names),
            notes=signals.naming(names),
            batch_rows=batch_rows,
            messages=messages,
            cached=cached,
        )


@requires_transaction
def take(found: Found, late: Erased, *, held: Collection[str]) -> None:
    """Erase what was found, but what a hold keeps; counted in `late`. Take the hold epoch first."""
    if not found.is_any:
        return
    rows = CHECKPOINT.queryset().filter(pk__in=found.checkpoints)
    kept = rows.count() if CHECKPOINT.data_class in held else rows.filter(held_part(CHECKPOINT, "metrics")).count()
    late.retain(CHECKPOINT.name, kept, LEGAL_HOLD)
    if CHECKPOINT.data_class not in held and found.checkpoints:
        late.deleted[CHECKPOINT.name] = predicate.free(rows, "metrics", kinds=predicate.FOR_ERASURE).delete()[0]
    if found.answers:
        late.reduced[ANSWER.name] = idempotency.forget_answers(found.answers)
    if found.notes and NOTE.data_class in held:
        late.retain(NOTE.name, len(found.notes), LEGAL_HOLD)
    elif found.notes:
        late.reduced[NOTE.name] = signals.forget_notes(found.notes)


@requires_transaction
def back(search: ErasureSearch | None, *, planned: Callable[[], Collection[str]]) -> list[Customer]:
    """Customers who have a name of the person and may not be there: written by somebody who knew them still.

    `planned` gives our ids of those whom the erasure is about.
    """
    called = naming.called(_remembered(search))
    if not called:
        return []
    ours = planned()
    there = [customer for customer in called if str(customer.pk) not in ours]
    shut_out = returns.shut_out_among({"customer_id": c.customer_id, "email": c.email} for c in there)
    return [customer for customer in there if (customer.customer_id, customer.email) in shut_out]


def refs_of(search: ErasureSearch | None) -> list[UUID]:
    """Our own ids of those who were back, besides the request's own."""
    return [UUID(ref) for ref in search.refs] if search else []


@requires_transaction
def forget(request: DsarRequest, search: ErasureSearch | None) -> None:
    """Forget the names, with the answer. While something that was found by them is held they are needed again."""
    kept = any(entry["entity"] in (CHECKPOINT.name, NOTE.name) for entry in request.retained)
    if search is not None and not kept:
        ErasureSearch.objects.filter(pk=search.pk, names_sealed__isnull=False).update(names_sealed=None)


@requires_transaction
def foretell(request: DsarRequest, customers: Iterable[Customer], *, held: Collection[str]) -> Erased:
    """What an erasure would find of these people at this moment. Nothing changes."""
    names, found = names_of(customers) | _remembered(search_of(request)), Erased()
    if not names:
        return found
    rows = CHECKPOINT.queryset().filter(pk__in=flows.checkpoints(names))
    kept = rows.count() if CHECKPOINT.data_class in held else rows.filter(held_part(CHECKPOINT, "metrics")).count()
    for entity, count, stays in (
        (CHECKPOINT, rows.count(), kept),
        (PAYLOAD, messages := outbox.count(names), messages if PAYLOAD.data_class in held else 0),
    ):
        found.retain(entity.name, stays, LEGAL_HOLD)
        found.note(entity.name, entity.data_class, Action.RETAIN, stays, why=Why(LEGAL_HOLD))
        found.note(entity.name, entity.data_class, Action.ERASE, count - stays)
    found.note(ANSWER.name, ANSWER.data_class, Action.SHRED, len(idempotency.naming(names)))
    notes, is_held = len(signals.naming(names)), NOTE.data_class in held
    found.retain(NOTE.name, notes if is_held else 0, LEGAL_HOLD)
    found.note(NOTE.name, NOTE.data_class, Action.RETAIN, notes if is_held else 0, why=Why(LEGAL_HOLD))
    found.note(NOTE.name, NOTE.data_class, Action.SHRED, 0 if is_held else notes)
    return found


@requires_transaction
def names_of(customers: Iterable[Customer], links: Collection[IdentityLink] | None = None) -> Names:
    """The names of these people; of what an earlier erasure left of somebody there are none. `links`: if known."""
    names = Names()
    for customer in customers:
        if not subjects.is_remnant(customer):
            names |= naming.names_of(customer, links)
    return names


def _there() -> dict[str, bool]:
    """Where the tenant has anything at all that may name somebody."""
    with connection.cursor() as cursor:
        cursor.execute(_whether_there(), {"tenant": context.tenant_id()})
        return dict(zip(_LOOKED_THROUGH, cursor.fetchone(), strict=True))


_LOOKED_THROUGH: dict[str, Callable[[], tuple[TenantQuerySet[Any], ...]]] = {
    "batches": lambda: (flows.keeping_batches(),),
    "messages": outbox.nobodys,
    "checkpoints": lambda: (flows.saying(),),
    "answers": lambda: (idempotency.answered(),),
    "notes": lambda: (signals.noted(),),
}


@once
def _whether_there() -> str:
    """All of them in one statement."""
    looks = []
    for rows in _LOOKED_THROUGH.values():
        found = (f"EXISTS ({spelling.named(some.order_by().values_list('pk'))})" for some in rows())
        looks.append(" OR ".join(found))
    return f"SELECT {', '.join(looks)}"


def _remembered(search: ErasureSearch | None) -> Names:
    if search is None or search.names_sealed is None:
        return Names()
    return Names.read(open_text(bytes(search.names_sealed), context=search.sealing_context))
