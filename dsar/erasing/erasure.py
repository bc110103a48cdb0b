"""Erasing a person: every row by its own class, in one transaction; the rest after it, in steps that resume.

The journal outside the database is told (dsar/journal), then stored files go. What is under hold is retained and said
so, and the erasure goes on by itself when it is let go (deferrals.py); of what must outlive the person (consents,
requests) only keyed evidence is left. Afterwards the same look-up that exports use runs again: a residue that is not on
the retained list is a failure. Last of all goes the key under which the log keeps the person's values; see log_keys.py.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import audit
from audit import services as audit_log
from compliance.holding import holds, matters, pauses, predicate
from customers import naming
from customers.catalogue import CATALOGUE, Erasure
from customers.models import Customer
from dsar import signals
from dsar.erasing import contents, deferrals, log_keys, plans, rows, steps, stored
from dsar.erasing.erased import Erased, added
from dsar.erasing.grounds import LEGAL_HOLD
from dsar.erasing.residue import REFERENCES, residue
from dsar.erasing.rows import ResidueFound, held_part
from dsar.journal import entries, writing
from dsar.letters import writing as letters
from dsar.models import SHREDDED, DsarRequest, ErasureSearch, Outcome, State, Status, Step
from dsar.requests import duplicates, outcomes, services, subjects
from kaireon.api.breakers import BreakerOpen
from kaireon.api.written_once import WrittenOtherwise
from kaireon.jobs.runner import JobError, JobRun, code_of
from kaireon.jobs.services import LeaseLost
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import not_durably, requires_transaction, transaction
from kaireon.tenancy.kept import Kept
from kaireon.tenancy.trips import fewer_trips

ROWS_VERB = "dsar.erasure.rows_erased"
COMPLETED_VERB = "dsar.erasure.completed"

DEFERRED_VERB = "dsar.erasure.deferred"


# What says whom a request is about.
_NAMING = ("tenant", "request_type", "subject_type", "subject_sealed", "subject_key", "pseudonym", "customer_ref")
# What an erasure writes into it.
_ERASED = ("customer_ref", "pseudonym", "counts", "retained", "erased_at", "error", "state", "status")
_ANSWERED = ("counts", "retained", "answered_at")


_SUBJECT_OF = Kept(lambda request: DsarRequest.objects.filter(pk=request).only(*_NAMING), request=UUID)
_LOCKED = Kept(lambda request: DsarRequest.objects.select_for_update().filter(pk=request), request=UUID)


class _Withdrawn(Exception):
    """The request was withdrawn or rejected a moment before: nothing is done about it."""


class JournalNotWritten(JobError):
    """The journal outside the database could not be written: what is gone is gone, and is not called finished."""

    def __init__(self) -> None:
        super().__init__("journal_not_written")


class JournalContradicted(JobError):
    """The journal says something else under this number: the database is older than it, or somebody was at it."""

    def __init__(self) -> None:
        super().__init__("journal_contradicted", permanent=True)


@fewer_trips()
def process_erasure(run: JobRun) -> None:
    """Answer the erasure request of a job. Opens its own transactions.

    Step by step, each noted as done in the transaction of its effect: a worker who comes later goes on behind it.
    """
    request_id = UUID(run.payload["request_id"])
    with transaction():
        # What was let go keeps nothing any more, also when nobody has purged since.
        if not matters.finish_releases(now=clock.now()):
            # A server that crashes may forget that somebody came, as if nobody had. The next commit makes it so.
            not_durably()
        request = services.start(request_id=request_id, now=clock.now())
        if request is None:
            run.finish()
            return
        step = steps.begin(request_id, now=clock.now())
    while step is not None:
        try:
            next_step = _WORK[step](run, request_id)
        except _Withdrawn:
            with transaction():
                run.finish()
            return
        except LeaseLost:
            raise
        except Exception as e:
            with transaction():
                steps.failed(request_id, step, code=code_of(e))
            raise
        step = next_step


def _do_rows(run: JobRun, request_id: UUID) -> Step | None:
    try:
        with transaction():
            now = clock.now()
            erased = erase_rows(request_id=request_id, now=now)
            if erased is not None:
                return steps.done(request_id, {Step.ROWS: erased.sums()}, now=now)
    except subjects.AmbiguousSubject as e:
        raise JobError("ambiguous_subject", permanent=True) from e
    except Exception as e:
        if run.payload.get("at_once"):
            # Somebody waits for the answer, and is told that nothing happened: so nothing may happen later.
            raise JobError(code_of(e), permanent=True) from e
        raise
    raise _Withdrawn


def _do_journal(run: JobRun, request_id: UUID) -> Step | None:
    try:
        written = writing.put(request_id=request_id)
    except BreakerOpen:
        raise
    except WrittenOtherwise as e:
        raise JournalContradicted from e
    except writing.AWAY as e:
        raise JournalNotWritten from e
    run.check()
    with transaction():
        # What is outside stays there: should a server that crashes forget that we noted it, it is found there again.
        not_durably()
        now = clock.now()
        writing.mark(written, now=now)
        counts: dict[Step, dict[str, Any]] = {Step.JOURNAL: {"entries": len(written)}}
        if not stored.is_any(request_id):
            # Mostly they left nothing there.
            counts[Step.OBJECTS] = stored.NOTHING
        return steps.done(request_id, counts, now=now)


def _do_objects(run: JobRun, request_id: UUID) -> Step | None:
    stored.take(run, request_id)
    with transaction():
        # As above: each object that went was noted by itself.
        not_durably()
        objects, exports = stored.counts(request_id)
        return steps.done(request_id, {Step.OBJECTS: {**objects, **exports}}, now=clock.now())


@requires_transaction
def erase_rows(*, request_id: UUID, now: datetime) -> Erased | None:
    """Everything the database holds about the subject, all or nothing; the counts are written into the request.

    None when the request was withdrawn or rejected a moment before.

    Raises AmbiguousSubject, ResidueFound, and what the database raises.
    """
    # No hold is placed or released until this transaction ends.
    holds.keep_epoch()
    held = holds.held_classes()
    [request] = _SUBJECT_OF.all(request=request_id)
    plan, search = plans.whose(request, now=now), contents.search_of(request)
    # Written again since the last look, by somebody who knew them still.
    back = contents.back(search, planned=lambda: plan.refs)
    refs = [*(customer.pk for customer in back), *plans.refs_of(plan)]
    # Always the customers before the request: the erasure of another request takes this one's row too.
    there = {c.pk: c for c in Customer.objects.select_for_update().filter(pk__in=refs).order_by("pk")}
    [request] = _LOCKED.all(request=request_id)
    if request.status == Status.COMPLETED:
        # Withdrawn or rejected before anything of it was done: nothing will be.
        return None
    signals.erasing.send(sender=DsarRequest, request=request, now=now)
    erased = Erased()
    who = {ref: entries.who(there[ref]) for ref in refs if ref in there}
    if refs and refs[-1] in there:
        was_known, request.customer_ref = request.customer_ref, refs[-1]
        # Also where the request has to stay readable: when it may not any more, nobody knows the number.
        request.pseudonym = subjects.pseudonym(there[refs[-1]])
        if was_known != request.customer_ref:
            # The walk finds the person's requests by it.
            request.save(update_fields=["customer_ref", "pseudonym"])
    links = naming.links_of(there.values())
    contents.remember(request, search, contents.names_of(there.values(), links), back=back)
    for ref, said in who.items():
        shut_out = [key for key in (said["number"], said["email"]) if key]
        erased.add(rows.walk(request, there[ref], held=held, now=now, links=links, shut_out=shut_out))
    plans.keep(plan, erased)
    _write_down(request, erased, now)
    if erased.took:
        customers = [there[ref] for ref in who]
        signals.erased.send(sender=DsarRequest, request=request, customers=customers, items=erased.items, now=now)
        writing.note(request_id=request.pk, subjects=list(who.values()), counts=erased.sums(), now=now)
    return erased


def _write_down(request: DsarRequest, erased: Erased, now: datetime) -> None:
    before = request.counts or {}
    audit.action(ROWS_VERB, entity=request)
    request.counts = {
        "deleted": added(before.get("deleted"), erased.deleted),
        "reduced": added(before.get("reduced"), erased.reduced),
    }
    request.retained = erased.retained
    request.erased_at = now
    request.error = ""
    request.move_to(State.FINISHING)
    request.save(update_fields=_ERASED)


def _close(run: JobRun, request_id: UUID) -> Step | None:
    """Look again, and only then call it done."""
    found = contents.look(request_id, check=run.check)
    now = clock.now()
    # What the inbox holds of the person in clear is sealed, before their key goes. Until it can be, nothing is done.
    audit_log.drain(context.tenant_id(), wholly=True)
    with transaction():
        # As when the rows went: a hold is placed before this transaction or after it.
        holds.keep_epoch()
        held = holds.held_classes()
        [request] = _LOCKED.all(request=request_id)
        search = contents.search_of(request)
        refs = [request.customer_ref, *contents.refs_of(search)] if request.customer_ref else []
        left = {ref: residue(ref, request.retained) for ref in refs}
        is_late = found.is_any or any(left.values())
        objects = _take_late(request, left, found, held, now) if is_late else 0
        is_left = is_late and any(residue(ref, request.retained) for ref in refs)
        if not (objects or is_left or contents.back(search, planned=lambda: plans.planned_of(request))):
            is_held = log_keys.hold_on_log(held)
            _answer(request, search, found, is_held, now)
            run.finish({"deleted": sum(request.counts["deleted"].values())})
            # Last, for the log stands still until this transaction ends.
            log_keys.destroy_of(request, back=contents.refs_of(search), is_held=is_held, now=now)
            return None
        # Written since, by somebody who still knew the customer: the next attempt erases that too, objects included.
        request.erased_at = None
        request.move_to(State.RUNNING)
        request.save(update_fields=["erased_at", "state", "status", "counts"])
        steps.reopen(request_id)
        steps.failed(request_id, Step.VERIFICATION, code=ResidueFound.CODE)
    raise ResidueFound


def _take_late(
    request: DsarRequest,
    left: Mapping[UUID, dict[str, int]],
    found: contents.Found,
    held: frozenset[str],
    now: datetime,
) -> int:
    """What was written while the rows went, by somebody who saw the customer still, in rows that no reference stops;
    and what only names them. `left` by person and entity. Gives how many objects in storage have to follow."""
    late = Erased(retained=request.retained)
    objects = sum(_take_late_of(ref, some, late, request=request, held=held, now=now) for ref, some in left.items())
    contents.take(found, late, held=held)
    # The request's own name may have gone with the others': what is saved next must not bring it back.
    request.refresh_from_db(fields=list(SHREDDED))
    request.counts["deleted"] = added(request.counts["deleted"], late.deleted)
    request.counts["reduced"] = added(request.counts["reduced"], late.reduced)
    return objects


def _take_late_of(
    customer_ref: UUID, left: dict[str, int], late: Erased, *, request: DsarRequest, held: frozenset[str], now: datetime
) -> int:
    objects = 0
    kept = {entry["entity"]: entry["count"] for entry in request.retained}
    for entity in CATALOGUE:
        count = left.get(entity.name, 0)
        if entity.subject in REFERENCES or not count:
            continue
        about = entity.about(customer_ref)
        in_part = about.filter(held_part(entity, entity.data_class)).count()
        if entity.data_class in held or (entity.name in kept and not in_part):
            late.retain(entity.name, count, LEGAL_HOLD)
            continue
        if in_part:
            late.retain(entity.name, max(0, in_part - kept.get(entity.name, 0)), LEGAL_HOLD)
            about = predicate.free(about, entity.data_class, kinds=predicate.FOR_ERASURE)
        if entity.erasure == Erasure.SHRED:
            readable = about.filter(subject_sealed__isnull=False)
            shredded = readable.update(**SHREDDED, pseudonym=request.pseudonym)
            late.reduced = added(late.reduced, {entity.name: shredded})
        else:
            objects += rows.doom_objects(entity, about, request=request, now=now)
            late.deleted = added(late.deleted, {entity.name: about.delete()[0]})
    return objects


def _answer(
    request: DsarRequest, search: ErasureSearch | None, found: contents.Found, is_held: log_keys.Held, now: datetime
) -> None:
    """All is done that can be: the request is completed, or waits for what is held to be let go."""
    request.counts["objects"], exports = stored.counts(request.pk)
    request.counts |= exports
    request.retained = [*request.retained, *log_keys.retained_of(request, is_held=is_held)]
    deferred = bool(request.retained)
    if not request.counts["deleted"]:
        # Nobody was found, or somebody else erased them a moment before.
        outcome = Outcome.NO_DATA
    else:
        outcome = Outcome.PARTIALLY_COMPLETED if deferred else Outcome.COMPLETED
    request.answered_at = request.answered_at or now
    kept = sum(entry["count"] for entry in request.retained)
    counts = {"retained": kept, **found.counts}
    if letters.kept_addresses(request):
        # All that is left of them is where their answer goes: no residue, and said so.
        counts["addressKept"] = 1
    steps.done(request.pk, {Step.VERIFICATION: counts}, now=now)
    contents.forget(request, search)
    if not deferred:
        outcomes.answer(request, outcome=outcome, verb=COMPLETED_VERB, changed=_ANSWERED, now=now)
        return
    request.outcome = outcome
    audit.action(DEFERRED_VERB, entity=request)
    request.move_to(State.DEFERRED)
    request.save(update_fields=["outcome", "state", "status", *_ANSWERED])
    pauses.resume_retention(request_id=request.pk, now=now)
    # Whoever asked for the same and waited has this answer too.
    duplicates.settle(request, now=now)
    signals.deferred.send(sender=DsarRequest, request=request, now=now)
    deferrals.expect_releases(now=now)


# Each gives the step that it began when it was done.
_WORK: dict[Step, Callable[[JobRun, UUID], Step | None]] = {
    Step.ROWS: _do_rows,
    Step.JOURNAL: _do_journal,
    Step.OBJECTS: _do_objects,
    Step.VERIFICATION: _close,
}
