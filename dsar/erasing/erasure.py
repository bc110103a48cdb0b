"""Erasing a person: every row by its own class, in one transaction; stored files after it, in steps that resume.

What is under hold is retained and said so; of what must outlive the person (consents, requests) only keyed evidence is
left. Afterwards the same look-up that exports use runs again: a residue that is not on the retained list is a failure.
Last of all goes the key under which the log keeps the person's values; see log_keys.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

import audit
from audit import services as audit_log
from compliance.holding import holds, matters, pauses, predicate
from customers import catalogue, consents, removals, suppressions
from customers import subjects as customer_keys
from customers.catalogue import CATALOGUE, Entity, Erasure
from customers.models import ConsentRecord, Customer
from customers.models.removal import Cause
from dsar.erasing import log_keys
from dsar.erasing.residue import residue
from dsar.models import DsarRequest, Outcome, State
from dsar.requests import services, subjects
from kaireon.jobs.runner import JobError, JobRun, code_of
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction, transaction
from kaireon.tenancy.managers import TenantQuerySet

ROWS_VERB = "dsar.erasure.rows_erased"
COMPLETED_VERB = "dsar.erasure.completed"

LEGAL_HOLD = "legal_hold"
# The customer's row, emptied, because held rows refer to it.
REFERRED_TO = "referenced_by_held_rows"

# How rows refer to the customer where the database holds them to it; others name them by an id that may be gone.
_REFERENCES = ("customer_id", "id")


class ResidueFound(JobError):
    """Rows are left that nothing allows to keep. The erasure did not happen, or is tried again."""

    def __init__(self) -> None:
        super().__init__("residue_found")


class ObjectsLeft(JobError):
    """Storage did not let every object go. Those that went stay gone, the others are tried again."""

    def __init__(self) -> None:
        super().__init__("objects_left")


@dataclass(kw_only=True)
class Erased:
    """What became of the rows, by entity. `reduced` stay without the person; `retained` stay as they were."""

    deleted: dict[str, int] = field(default_factory=dict)
    reduced: dict[str, int] = field(default_factory=dict)
    retained: list[dict[str, Any]] = field(default_factory=list)

    def retain(self, name: str, count: int, ground: str) -> None:
        same = next((r for r in self.retained if (r["entity"], r["ground"]) == (name, ground)), None)
        if same is not None:
            same["count"] += count
        elif count:
            self.retained.append({"entity": name, "count": count, "ground": ground, "until": None})

    def add(self, other: "Erased") -> None:
        self.deleted = _added(self.deleted, other.deleted)
        self.reduced = _added(self.reduced, other.reduced)
        for entry in other.retained:
            self.retain(entry["entity"], entry["count"], entry["ground"])


@dataclass(kw_only=True)
class _Work:
    """One erasure under way, in its transaction. The names by which the person is known were taken at its start."""

    request: DsarRequest
    customer: Customer
    was_remnant: bool
    request_keys: list[str]
    pseudonym: str
    held: frozenset[str]
    now: datetime
    erased: Erased = field(default_factory=Erased)


def process_erasure(run: JobRun) -> None:
    """Answer the erasure request of a job. Opens its own transactions.

    The rows go in one; what happened there is in the request, so that a worker who comes later goes on behind it.
    """
    request_id = UUID(run.payload["request_id"])
    with transaction():
        # What was let go keeps nothing any more, also when nobody has purged since.
        matters.finish_releases(now=clock.now())
        request = services.start(request_id=request_id, now=clock.now())
        if request is None:
            run.finish()
            return
    if request.erased_at is None:
        try:
            with transaction():
                erase_rows(request_id=request_id, now=clock.now())
        except subjects.AmbiguousSubject as e:
            raise JobError("ambiguous_subject", permanent=True) from e
        except Exception as e:
            if run.payload.get("at_once"):
                # Somebody waits for the answer, and is told that nothing happened: so nothing may happen later.
                raise JobError(code_of(e), permanent=True) from e
            raise
    remove_objects(run, request_id)
    _close(run, request_id)


@requires_transaction
def erase_rows(*, request_id: UUID, now: datetime) -> None:
    """Everything the database holds about the subject, all or nothing; the counts are written into the request.

    Raises AmbiguousSubject, ResidueFound, and what the database raises.
    """
    # No hold is placed or released until this transaction ends.
    holds.lock_epoch()
    held = holds.held_classes()
    customer = subjects.customer_of(DsarRequest.objects.get(pk=request_id))
    if customer is not None:
        # Always the customer before the request: the erasure of another request takes this one's row too.
        customer = Customer.objects.select_for_update().filter(pk=customer.pk).first()
    request = DsarRequest.objects.select_for_update().get(pk=request_id)
    erased = Erased()
    if customer is not None:
        request.customer_ref = customer.pk
        request.save(update_fields=["customer_ref"])
        for remnant in subjects.remnants_beside(customer):
            erased.add(_erase(request, remnant, held, now))
        erased.add(_erase(request, customer, held, now))
        request.refresh_from_db()
    _write_down(request, erased, now)


def _erase(request: DsarRequest, customer: Customer, held: frozenset[str], now: datetime) -> Erased:
    work = _Work(
        request=request,
        customer=customer,
        was_remnant=subjects.is_remnant(customer),
        request_keys=subjects.keys_of(customer),
        pseudonym=subjects.pseudonym(customer),
        held=held,
        now=now,
    )
    for entity in CATALOGUE:
        if prepare := _PREPARE.get(entity.name):
            prepare(work)
        _BY_KIND[entity.erasure](entity, work)
    if residue(customer.pk, work.erased.retained):
        raise ResidueFound
    return work.erased


def _delete(entity: Entity, work: _Work) -> None:
    deleted = 0
    for data_class in entity.data_classes():
        rows = _rows(entity, work, data_class)
        if data_class in work.held:
            work.erased.retain(entity.name, rows.count(), LEGAL_HOLD)
            continue
        kept = rows.filter(_held(entity, data_class)).count()
        work.erased.retain(entity.name, kept, LEGAL_HOLD)
        rows = predicate.free(rows, data_class, kinds=predicate.FOR_ERASURE)
        if entity.name == "customer" and not kept and _referring(work):
            _empty_profile(work)
        else:
            _doom_objects(entity, rows, work)
            deleted += rows.delete()[0]
    work.erased.deleted[entity.name] = deleted


def _doom_objects(entity: Entity, rows: TenantQuerySet[Any], work: _Work) -> None:
    if columns := entity.file_columns():
        # Locked, so that a purge of the same rows does not name their objects too.
        found = rows.select_for_update().values_list(*columns)
        names = [name for row in found for name in row]
        removals.doom(names, cause=Cause.ERASURE, reference=work.request.pk, now=work.now)


def _reduce_to_evidence(entity: Entity, work: _Work) -> None:
    if entity.data_class in work.held:
        work.erased.retain(entity.name, _rows(entity, work, entity.data_class).count(), LEGAL_HOLD)
        return
    rows = _rows(entity, work, entity.data_class)
    work.erased.retain(entity.name, rows.filter(_held(entity, entity.data_class)).count(), LEGAL_HOLD)
    rows = predicate.free(rows, entity.data_class, kinds=predicate.FOR_ERASURE)
    if work.was_remnant:
        # Their keys were written while the number was still known.
        work.erased.reduced[entity.name] = rows.update(customer=None, source="")
    else:
        work.erased.reduced[entity.name] = consents.reduce_to_evidence(work.customer, rows)


def _shred(entity: Entity, work: _Work) -> None:
    """The subject's requests, also those filed under an address before it was known whose it is."""
    mine = DsarRequest.objects.filter(customer_ref=work.customer.pk)
    theirs = DsarRequest.objects.asked_under(work.request_keys).filter(customer_ref=None)
    readable = [*mine.filter(subject_sealed__isnull=False), *theirs.filter(subject_sealed__isnull=False)]
    if entity.data_class in work.held:
        work.erased.retain(entity.name, len(readable), LEGAL_HOLD)
        return
    found = DsarRequest.objects.filter(pk__in=[r.pk for r in readable]).filter(_held(entity, entity.data_class))
    kept = set(found.values_list("pk", flat=True))
    if predicate.names_subject(entity, work.customer.pk):
        # Filed before it was known whose they are, they do not name the customer by whom the hold would find them.
        kept |= {r.pk for r in readable if r.customer_ref is None}
    work.erased.retain(entity.name, len(kept), LEGAL_HOLD)
    readable = [r for r in readable if r.pk not in kept]
    for request in readable:
        audit.action("dsar.shred", entity=request)
    work.erased.reduced[entity.name] = DsarRequest.objects.filter(pk__in=[r.pk for r in readable]).update(
        subject_sealed=None, subject_key="", pseudonym=work.pseudonym, customer_ref=work.customer.pk
    )


def _leave(entity: Entity, work: _Work) -> None:
    """Nothing to do: others' rights, or no data of the subject."""


_BY_KIND: dict[Erasure, Callable[[Entity, _Work], None]] = {
    Erasure.DELETE: _delete,
    Erasure.EVIDENCE: _reduce_to_evidence,
    Erasure.SHRED: _shred,
    Erasure.NONE: _leave,
}


def _leave_tombstones(work: _Work) -> None:
    if not work.was_remnant:
        suppressions.leave_tombstones(work.customer, now=work.now)


def _key_held_consents(work: _Work) -> None:
    """Statements that stay under hold get their keys now: later nobody knows the number any more."""
    rows = ConsentRecord.objects.filter(customer=work.customer)
    if "consents" not in work.held:
        rows = rows.filter(_held(catalogue.entity("consentRecord"), "consents"))
    if not work.was_remnant:
        rows.update(
            subject_key=customer_keys.number_key(work.customer.customer_id),
            email_key=customer_keys.email_key(work.customer.email),
        )


_PREPARE: dict[str, Callable[[_Work], None]] = {
    "suppression": _leave_tombstones,
    "consentRecord": _key_held_consents,
}


def _held(entity: Entity, data_class: str) -> Q:
    return predicate.held(entity, data_class, kinds=predicate.FOR_ERASURE)


def _rows(entity: Entity, work: _Work, data_class: str) -> TenantQuerySet[Any]:
    return entity.in_class(data_class).filter(**{entity.subject: work.customer.pk})


def _referring(work: _Work) -> bool:
    """Whether rows that stay refer to the customer, whose row then stays for them."""
    kept = {entry["entity"] for entry in work.erased.retained}
    return any(entity.name in kept for entity in CATALOGUE if entity.subject == "customer_id")


def _empty_profile(work: _Work) -> None:
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
    work.erased.retain("customer", 1, REFERRED_TO)


def _write_down(request: DsarRequest, erased: Erased, now: datetime) -> None:
    before = request.counts or {}
    audit.action(ROWS_VERB, entity=request)
    request.counts = {
        "deleted": _added(before.get("deleted"), erased.deleted),
        "reduced": _added(before.get("reduced"), erased.reduced),
    }
    request.retained = erased.retained
    request.erased_at = now
    request.error = ""
    request.move_to(State.FINISHING)
    request.save()


def _added(before: dict[str, int] | None, more: dict[str, int]) -> dict[str, int]:
    before = before or {}
    return {name: before.get(name, 0) + more.get(name, 0) for name in {**before, **more}}


def remove_objects(run: JobRun, request_id: UUID) -> None:
    """Remove what the rows left in storage, each confirmed and ticked off by itself. What is gone already is fine.

    Raises ObjectsLeft; the next attempt goes on with what is left.
    """
    removed = removals.remove_doomed(now=clock.now(), reference=request_id, before_each=run.check)
    if removed.failed:
        raise ObjectsLeft


def _close(run: JobRun, request_id: UUID) -> None:
    """Look again, and only then call it done."""
    now = clock.now()
    # What the inbox holds of the person in clear is sealed, before their key goes. Until it can be, nothing is done.
    audit_log.drain(context.tenant_id(), wholly=True)
    with transaction():
        # As when the rows went: a hold is placed before this transaction or after it.
        holds.lock_epoch()
        request = DsarRequest.objects.select_for_update().get(pk=request_id)
        if request.customer_ref is not None:
            _take_late(request, request.customer_ref)
        if request.customer_ref is None or not residue(request.customer_ref, request.retained):
            _complete(request, now)
            run.finish({"deleted": sum(request.counts["deleted"].values())})
            # Last, for the log stands still until this transaction ends.
            log_keys.destroy_of(request, now=now)
            return
        # Written since, by somebody who still knew the customer: the next attempt erases that too.
        request.erased_at = None
        request.move_to(State.RUNNING)
        request.save(update_fields=["erased_at", "state", "status"])
    raise ResidueFound


def _take_late(request: DsarRequest, customer_ref: UUID) -> None:
    """What was written while the rows went, by somebody who saw the customer still, in rows that no reference stops."""
    held = holds.held_classes()
    kept = {entry["entity"]: entry["count"] for entry in request.retained}
    late = Erased(retained=request.retained)
    left = residue(customer_ref, request.retained)
    for entity in CATALOGUE:
        found = left.get(entity.name, 0)
        if entity.subject in _REFERENCES or not found:
            continue
        rows = entity.about(customer_ref)
        in_part = rows.filter(_held(entity, entity.data_class)).count()
        if entity.data_class in held or (entity.name in kept and not in_part):
            late.retain(entity.name, found, LEGAL_HOLD)
            continue
        if in_part:
            late.retain(entity.name, max(0, in_part - kept.get(entity.name, 0)), LEGAL_HOLD)
            rows = predicate.free(rows, entity.data_class, kinds=predicate.FOR_ERASURE)
        if entity.erasure == Erasure.SHRED:
            readable = rows.filter(subject_sealed__isnull=False)
            shredded = readable.update(subject_sealed=None, subject_key="", pseudonym=request.pseudonym)
            late.reduced[entity.name] = shredded
        else:
            late.deleted[entity.name] = rows.delete()[0]
    request.counts["deleted"] = _added(request.counts["deleted"], late.deleted)
    request.counts["reduced"] = _added(request.counts["reduced"], late.reduced)


def _complete(request: DsarRequest, now: datetime) -> None:
    removed = removals.removed_of(request.pk)
    request.counts["objects"] = {"deleted": removed.attempted, "wereMissing": removed.missing}
    request.retained = [*request.retained, *log_keys.retained_of(request)]
    if not request.counts["deleted"]:
        # Nobody was found, or somebody else erased them a moment before.
        request.outcome = Outcome.NO_DATA
    else:
        request.outcome = Outcome.PARTIALLY_COMPLETED if request.retained else Outcome.COMPLETED
    audit.action(COMPLETED_VERB, entity=request)
    request.move_to(State.COMPLETED)
    request.closed_at = now
    request.save()
    pauses.resume_retention(request_id=request.pk, now=now)
