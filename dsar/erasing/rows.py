"""What becomes of a person's rows: each by its own class, in the catalogue's order, by one walk.

A plan takes the same walk as the erasure, up to the DELETE: it counts where the other acts, so it cannot say otherwise.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

import audit
from compliance.holding import predicate
from customers import catalogue, consents, removals, returns, suppressions
from customers import subjects as customer_keys
from customers.catalogue import CATALOGUE, Entity, Erasure
from customers.models import ConsentRecord, Customer, IdentityLink
from customers.models.removal import Cause
from dsar.erasing import grounds
from dsar.erasing.erased import Action, Erased, Why
from dsar.erasing.residue import REFERENCES, present, residue
from dsar.models import ANSWERS_TO_ERASURE, SHREDDED, DsarRequest, Letter, LetterText, RequestType
from dsar.requests import subjects
from kaireon.jobs.runner import JobError
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.kept import Kept, among
from kaireon.tenancy.managers import TenantQuerySet

_OBJECTS_AT_ONCE = 2000

# Asked in each erasure.
_READABLE = Kept(
    lambda customer, keys: DsarRequest.objects.filter(
        Q(customer_ref=customer) | Q(among("dsar_dsarrequest.subject_key", keys), customer_ref=None),
        subject_sealed__isnull=False,
    ).only("tenant", "customer_ref"),
    customer=UUID,
    keys=list,
)
_NOBODYS_LETTERS = """
SELECT EXISTS (SELECT FROM public.dsar_lettertext said
                 JOIN public.dsar_letter letter ON letter.tenant_id = said.tenant_id AND letter.id = said.id
                 JOIN public.dsar_dsarrequest asked
                   ON asked.tenant_id = letter.tenant_id AND asked.id = letter.request_id
                WHERE said.tenant_id = %s AND said.customer_ref IS NULL AND asked.subject_key = ANY(%s::text[]))
"""


class ResidueFound(JobError):
    """Rows are left that nothing allows to keep. The erasure did not happen, or is tried again."""

    CODE = "residue_found"

    def __init__(self) -> None:
        super().__init__(self.CODE)


@dataclass(kw_only=True)
class Work:
    """One walk over one customer's rows, in its transaction. The names by which the person is known were taken at its
    start. `planning`: nothing is changed. `shut_out`: keys under which nobody comes in afterwards."""

    request: DsarRequest
    customer: Customer
    was_remnant: bool
    request_keys: list[str]
    pseudonym: str
    held: frozenset[str]
    now: datetime
    planning: bool = False
    shut_out: tuple[str, ...] = ()
    erased: Erased = field(default_factory=Erased)
    # Mostly there are none, and then it is not asked for each entity.
    beside_holds: bool = field(init=False)
    # Of which entities there are rows when the walk begins, and which are passed by because there are none.
    found: set[str] = field(init=False)
    passed_by: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.beside_holds = predicate.is_any(kinds=predicate.FOR_ERASURE)
        self.found = set() if self.planning else present(self.customer.pk)

    def has_none(self, entity: Entity) -> bool:
        """Whether there were no such rows when the walk began.

        None can come while the customer is locked, where a reference holds rows to them; of others see `walk`.
        """
        if self.planning or entity.name in self.found:
            return False
        self.passed_by.add(entity.name)
        return True

    def held_part(self, entity: Entity, data_class: str) -> Q:
        """True of the rows that a matter's hold keeps."""
        return held_part(entity, data_class) if self.beside_holds else Q(pk__in=[])

    def kept(self, entity: Entity, data_class: str, rows: TenantQuerySet[Any]) -> int:
        """How many of these are held; noted as retained."""
        if not self.beside_holds:
            return 0
        count = rows.filter(held_part(entity, data_class)).count()
        self.retain(entity, data_class, count)
        return count

    def free(self, rows: TenantQuerySet[Any], data_class: str) -> TenantQuerySet[Any]:
        """The others."""
        return predicate.free(rows, data_class, kinds=predicate.FOR_ERASURE) if self.beside_holds else rows

    def retain(self, entity: Entity, data_class: str, count: int) -> None:
        """What a hold keeps, with the day it ends where one is known."""
        if count:
            until = None
            if data_class not in self.held:
                until = grounds.until(entity, data_class, self.customer.pk)
            self.erased.retain(entity.name, count, grounds.LEGAL_HOLD, until)
            self.erased.note(entity.name, data_class, Action.RETAIN, count, why=Why(grounds.LEGAL_HOLD, until))


@requires_transaction
def walk(
    request: DsarRequest,
    customer: Customer,
    *,
    held: frozenset[str],
    now: datetime,
    planning: bool = False,
    links: Collection[IdentityLink] | None = None,
    shut_out: Iterable[str] = (),
) -> Erased:
    """Erase one customer's rows, or with `planning` only say what would become of them.

    `links`: their identities, if they are known, among others'. `shut_out`: keys under which nobody is taken in again.
    Take the hold epoch before you erase. Raises ResidueFound when something is left that nothing allows to keep.
    """
    work = Work(
        request=request,
        customer=customer,
        was_remnant=subjects.is_remnant(customer),
        request_keys=subjects.keys_of(customer, links),
        pseudonym=subjects.pseudonym(customer),
        held=held,
        now=now,
        planning=planning,
        shut_out=tuple(shut_out),
    )
    for entity in CATALOGUE:
        if not planning and (prepare := _PREPARE.get(entity.name)):
            prepare(work)
        _BY_KIND[entity.erasure](entity, work)
    if planning:
        return work.erased
    is_gone = bool(work.erased.deleted["customer"])
    if left := residue(customer.pk, work.erased.retained, is_gone=is_gone):
        _take_late(work, left)
        if residue(customer.pk, work.erased.retained, is_gone=is_gone):
            raise ResidueFound
    return work.erased


def _take_late(work: Work, left: Mapping[str, int]) -> None:
    """What came while the walk went by, written by somebody who saw the customer still, where no reference stops it."""
    late, work.passed_by = work.passed_by & left.keys(), set()
    work.found |= left.keys()
    for entity in CATALOGUE:
        if entity.name in late:
            _BY_KIND[entity.erasure](entity, work)


@requires_transaction
def without_profile(ref: UUID, *, held: frozenset[str]) -> Erased:
    """What would become of rows that name somebody by our id alone, whose own row is gone. Nothing changes."""
    found = Erased()
    for entity in CATALOGUE:
        if entity.subject in REFERENCES or entity.erasure == Erasure.NONE:
            continue
        about = entity.about(ref)
        if entity.erasure == Erasure.SHRED:
            about = about.filter(subject_sealed__isnull=False)
        count = about.count()
        kept = count if entity.data_class in held else about.filter(held_part(entity, entity.data_class)).count()
        found.retain(entity.name, kept, grounds.LEGAL_HOLD)
        found.note(entity.name, entity.data_class, Action.RETAIN, kept, why=Why(grounds.LEGAL_HOLD))
        action = Action.SHRED if entity.erasure == Erasure.SHRED else Action.ERASE
        found.note(entity.name, entity.data_class, action, count - kept)
    return found


def held_part(entity: Entity, data_class: str) -> Q:
    """True of the rows that a matter's hold keeps."""
    return predicate.held(entity, data_class, kinds=predicate.FOR_ERASURE)


def _delete(entity: Entity, work: Work) -> None:
    if work.has_none(entity):
        work.erased.deleted[entity.name] = 0
        return
    deleted = 0
    for data_class in entity.data_classes():
        rows = _rows(entity, work, data_class)
        if data_class in work.held:
            work.retain(entity, data_class, rows.count())
            continue
        kept = work.kept(entity, data_class, rows)
        rows = work.free(rows, data_class)
        if entity.name == "customer" and not kept and _referring(work):
            _empty_profile(work)
            continue
        objects = doom_objects(entity, rows, request=work.request, now=work.now, planning=work.planning)
        gone = rows.count() if work.planning else rows.delete()[0]
        work.erased.note(entity.name, data_class, Action.ERASE, gone)
        work.erased.note(f"{entity.name}Object", data_class, Action.ERASE, objects)
        deleted += gone
    work.erased.deleted[entity.name] = deleted


def doom_objects(
    entity: Entity, found: TenantQuerySet[Any], *, request: DsarRequest, now: datetime, planning: bool = False
) -> int:
    """Write down which objects in storage go with these rows; how many."""
    columns = entity.file_columns()
    if not columns:
        return 0
    if planning:
        return sum(found.filter(**{f"{column}__gt": ""}).count() for column in columns)
    # Locked, so that a purge of the same rows does not name their objects too.
    listed = found.select_for_update().values_list(*columns).iterator(chunk_size=_OBJECTS_AT_ONCE)
    names = (name for row in listed for name in row if name)
    doomed = 0
    while some := list(islice(names, _OBJECTS_AT_ONCE)):
        removals.doom(some, cause=Cause.ERASURE, reference=request.pk, now=now)
        doomed += len(some)
    return doomed


def _reduce_to_evidence(entity: Entity, work: Work) -> None:
    rows = _rows(entity, work, entity.data_class)
    if entity.data_class in work.held:
        work.retain(entity, entity.data_class, rows.count())
        return
    if work.has_none(entity):
        work.erased.reduced[entity.name] = 0
        return
    work.kept(entity, entity.data_class, rows)
    rows = work.free(rows, entity.data_class)
    if work.planning:
        reduced = rows.count()
    elif work.was_remnant:
        # Their keys were written while the number was still known.
        reduced = rows.update(customer=None, source="")
    else:
        reduced = consents.reduce_to_evidence(work.customer, rows)
    work.erased.reduced[entity.name] = reduced
    work.erased.note(entity.name, entity.data_class, Action.ANONYMISE, reduced)


def _shred(entity: Entity, work: Work) -> None:
    """The subject's requests, also those filed under an address before it was known whose it is."""
    readable = _READABLE.all(customer=work.customer.pk, keys=work.request_keys)
    if entity.data_class in work.held:
        work.retain(entity, entity.data_class, len(readable))
        return
    kept: set[UUID] = set()
    if work.beside_holds:
        found = DsarRequest.objects.filter(pk__in=[r.pk for r in readable])
        kept |= set(found.filter(held_part(entity, entity.data_class)).values_list("pk", flat=True))
    if work.beside_holds and predicate.names_subject(entity, work.customer.pk):
        # Filed before it was known whose they are, they do not name the customer by whom the hold would find them.
        kept |= {r.pk for r in readable if r.customer_ref is None}
    work.retain(entity, entity.data_class, len(kept))
    readable = [r for r in readable if r.pk not in kept]
    work.erased.reduced[entity.name] = len(readable) if work.planning else _shred_requests(readable, work)
    work.erased.note(entity.name, entity.data_class, Action.SHRED, work.erased.reduced[entity.name])


def _shred_requests(requests: list[DsarRequest], work: Work) -> int:
    if any(request.pk == work.request.pk for request in requests):
        for name, value in SHREDDED.items():
            # The row that the caller has locked and saves afterwards says so too.
            setattr(work.request, name, value)
    for request in requests:
        audit.action("dsar.shred", entity=request)
    return DsarRequest.objects.filter(pk__in=[r.pk for r in requests]).update(
        **SHREDDED, pseudonym=work.pseudonym, customer_ref=work.customer.pk
    )


def _leave(entity: Entity, work: Work) -> None:
    """Nothing to do: others' rights, or no data of the subject."""


_BY_KIND: dict[Erasure, Callable[[Entity, Work], None]] = {
    Erasure.DELETE: _delete,
    Erasure.EVIDENCE: _reduce_to_evidence,
    Erasure.SHRED: _shred,
    Erasure.NONE: _leave,
}


def _leave_tombstones(work: Work) -> None:
    # Their suppressions would say it too, but mostly there are none.
    returns.shut_out_keys(work.shut_out, now=work.now)
    if not work.was_remnant and "suppression" in work.found:
        suppressions.leave_tombstones(work.customer, now=work.now)


def _key_held_consents(work: Work) -> None:
    """Statements that stay under hold get their keys now: later nobody knows the number any more."""
    if work.was_remnant or "consentRecord" not in work.found:
        return
    rows = ConsentRecord.objects.filter(customer=work.customer)
    if "consents" not in work.held:
        rows = rows.filter(work.held_part(catalogue.entity("consentRecord"), "consents"))
    rows.update(
        subject_key=customer_keys.number_key(work.customer.customer_id),
        email_key=customer_keys.email_key(work.customer.email),
    )


def _claim_letters(work: Work) -> None:
    """Letters of requests that were filed before it was known whose they are, as the requests themselves are found."""
    with connection.cursor() as cursor:
        cursor.execute(_NOBODYS_LETTERS, [context.tenant_id(), work.request_keys])
        if cursor.fetchone() == (False,):
            return
    of_theirs = Letter.objects.filter(request__subject_key__in=work.request_keys)
    answers = of_theirs.filter(request__request_type=RequestType.DELETE, kind__in=ANSWERS_TO_ERASURE)
    texts = LetterText.objects.filter(pk__in=of_theirs.values("pk"), customer_ref=None)
    if texts.exclude(pk__in=answers.values("pk")).update(customer_ref=work.customer.pk):
        work.found.add("letterText")


_PREPARE: dict[str, Callable[[Work], None]] = {
    "suppression": _leave_tombstones,
    "consentRecord": _key_held_consents,
    "letterText": _claim_letters,
}


def _rows(entity: Entity, work: Work, data_class: str) -> TenantQuerySet[Any]:
    return entity.in_class(data_class).filter(**{entity.subject: work.customer.pk})


def _referring(work: Work) -> bool:
    """Whether rows that stay refer to the customer, whose row then stays for them."""
    kept = {entry["entity"] for entry in work.erased.retained}
    return any(entity.name in kept for entity in CATALOGUE if entity.subject == "customer_id")


def _empty_profile(work: Work) -> None:
    """The customer's row stays, because rows that are held refer to it, and tells nothing any more."""
    if not work.planning:
        audit.action("customer.anonymise", entity=work.customer)
        Customer.objects.filter(pk=work.customer.pk).update(
            customer_id=subjects.remnant_number(work.customer),
            email="",
            phone="",
            name="",
            name_key="",
            birth_date=None,
            address="",
            country="",
            language="",
            attributes={},
            updated_at=work.now,
        )
    work.erased.retain("customer", 1, grounds.REFERRED_TO)
    action = Action.RETAIN if work.was_remnant else Action.ANONYMISE
    work.erased.note("customer", "profiles", action, 1, why=Why(grounds.REFERRED_TO))


def refs_of(customer: Customer) -> list[UUID]:
    """Our own ids of a person: what earlier erasures had to leave of them first, they themselves last."""
    return [*(remnant.pk for remnant in subjects.remnants_beside(customer)), customer.pk]
