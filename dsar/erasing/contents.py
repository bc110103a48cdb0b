"""What names an erased person where no reference leads to them: messages, kept answers, what pipelines left, caches.

It is found by what it says: the names are remembered, sealed, when the profile goes, and looked for in the last step,
so that what somebody else wrote meanwhile is found with the rest.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from compliance.holding import predicate
from customers import catalogue, naming, returns
from customers.models import Customer
from dsar.erasing.grounds import LEGAL_HOLD
from dsar.erasing.rows import Action, Erased, Why, held_part
from dsar.models import DsarRequest, ErasurePlan, ErasureSearch
from dsar.requests import subjects
from kaireon.api import cache
from kaireon.flows import naming as flows
from kaireon.lib.naming import Names
from kaireon.outbox import naming as outbox
from kaireon.tenancy import context, idempotency
from kaireon.tenancy.context import requires_transaction, transaction, without_transaction
from kaireon.tenancy.keyring import open_text, seal_text

ANSWER = catalogue.said("idempotencyAnswer")
CHECKPOINT = catalogue.said("flowCheckpoint")
PAYLOAD = catalogue.entity("outboxPayload")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What there was at the look. Messages are claimed by then; checkpoints and answers go with the transaction that
    answers."""

    checkpoints: list[UUID] = field(default_factory=list)
    answers: list[UUID] = field(default_factory=list)
    batch_rows: int = 0
    messages: int = 0
    cached: int | None = 0

    @property
    def counts(self) -> dict[str, int | None]:
        """For the step's row: what is in no count of the request."""
        return {"messagesFound": self.messages, "batchRows": self.batch_rows, "cached": self.cached}


@requires_transaction
def remember(request: DsarRequest, customers: Iterable[Customer]) -> None:
    """Before the profiles go, keep the names by which to look afterwards, beside those of an earlier attempt."""
    names = _names_of(customers)
    if names:
        search = _search_of(request) or ErasureSearch(request=request)
        search.names_sealed = seal_text((names | _remembered(search)).text(), context=search.sealing_context)
        search.save()


@without_transaction
def look(request_id: UUID, *, check: Callable[[], object]) -> Found:
    """Find what names the person; messages become theirs, their rows leave the batches, the caches are dropped.

    Opens its own transactions; done twice it does nothing more.
    """
    with transaction():
        request = DsarRequest.objects.get(pk=request_id)
        names = _remembered(_search_of(request))
    if not names or request.customer_ref is None:
        return Found()
    batch_rows = flows.take_rows(names)
    check()
    messages = outbox.claim(names, subject_ref=request.customer_ref)
    check()
    cached = cache.forget(tenant_id=context.tenant_id())
    with transaction():
        return Found(
            checkpoints=flows.checkpoints(names),
            answers=idempotency.naming(names),
            batch_rows=batch_rows,
            messages=messages,
            cached=cached,
        )


@requires_transaction
def take(found: Found, late: Erased, *, held: Collection[str]) -> None:
    """Erase what was found, but what a hold keeps; counted in `late`. Take the hold epoch first."""
    rows = CHECKPOINT.queryset().filter(pk__in=found.checkpoints)
    kept = rows.count() if CHECKPOINT.data_class in held else rows.filter(held_part(CHECKPOINT, "metrics")).count()
    late.retain(CHECKPOINT.name, kept, LEGAL_HOLD)
    if CHECKPOINT.data_class not in held and found.checkpoints:
        late.deleted[CHECKPOINT.name] = predicate.free(rows, "metrics", kinds=predicate.FOR_ERASURE).delete()[0]
    if found.answers:
        late.reduced[ANSWER.name] = idempotency.forget_answers(found.answers)


@requires_transaction
def back(request: DsarRequest) -> list[Customer]:
    """Customers who have a name of the person and may not be there: written by somebody who knew them still."""
    names = _remembered(_search_of(request))
    planned = {
        ref for refs in ErasurePlan.objects.filter(request=request).values_list("refs", flat=True) for ref in refs
    }
    there = [customer for customer in naming.called(names) if str(customer.pk) not in planned]
    shut_out = returns.shut_out_among({"customer_id": c.customer_id, "email": c.email} for c in there)
    return [customer for customer in there if (customer.customer_id, customer.email) in shut_out]


@requires_transaction
def note_back(request: DsarRequest, customers: Collection[Customer]) -> None:
    """Their keys to the log go with the person's."""
    search = _search_of(request)
    if search is not None and customers:
        search.refs = sorted({*search.refs, *(str(customer.pk) for customer in customers)})
        search.save(update_fields=["refs"])


@requires_transaction
def refs_of(request: DsarRequest) -> list[UUID]:
    """Our ids of those who were back, besides the request's own."""
    search = _search_of(request)
    return [UUID(ref) for ref in search.refs] if search else []


@requires_transaction
def forget(request: DsarRequest) -> None:
    """Forget the names, with the answer. While something that was found by them is held they are needed again."""
    if not any(entry["entity"] == CHECKPOINT.name for entry in request.retained):
        ErasureSearch.objects.filter(request=request, names_sealed__isnull=False).update(names_sealed=None)


@requires_transaction
def foretell(request: DsarRequest, customers: Iterable[Customer], *, held: Collection[str]) -> Erased:
    """What an erasure would find of these people at this moment. Nothing changes."""
    names, found = _names_of(customers) | _remembered(_search_of(request)), Erased()
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
    return found


def _names_of(customers: Iterable[Customer]) -> Names:
    names = Names()
    for customer in customers:
        if not subjects.is_remnant(customer):
            names |= naming.names_of(customer)
    return names


def _search_of(request: DsarRequest) -> ErasureSearch | None:
    return ErasureSearch.objects.filter(request=request).first()


def _remembered(search: ErasureSearch | None) -> Names:
    if search is None or search.names_sealed is None:
        return Names()
    return Names.read(open_text(bytes(search.names_sealed), context=search.sealing_context))
