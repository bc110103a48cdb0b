"""Plans of erasures: whose rows are meant, and what becomes of them, before anything happens.

A plan is made by the walk of the erasure itself, which counts where the other acts. It is kept when somebody has to
agree to it or may still cancel it, or else when the work begins; before that it can be looked at all the same.
"""

import hashlib
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import audit
from audit.sealing import subject_keys
from compliance.holding import holds
from customers.models import Customer
from dsar.erasing import contents, log_keys, rows
from dsar.erasing.erased import Action, Erased, Why
from dsar.models import DsarRequest, ErasurePlan, ErasureSearch, RequestType, Subject
from dsar.requests import subjects
from kaireon.lib import clock
from kaireon.lib.canonical import canonical
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.kept import Kept

MADE_VERB = "dsar.erasure.plan"
# So long each look-up of a plan may take while somebody waits for it.
SECONDS = 5
TOO_LARGE = "There are too many rows to count while you wait. The command dsar plan takes the time it takes."


_KEPT = Kept(lambda request: ErasurePlan.objects.filter(request=request), request=UUID)


class NotAnErasure(ValueError):
    """Only a request for erasure has a plan."""


class NoPlan(LookupError):
    """The erasure is done, and its plan was not kept."""


@requires_transaction
def look(request: DsarRequest, *, now: datetime) -> ErasurePlan:
    """The plan that is kept, or one as it would be now, not saved. Raises NotAnErasure, NoPlan."""
    if request.request_type != RequestType.DELETE:
        raise NotAnErasure(str(request.pk))
    kept = kept_of(request)
    if kept is None and request.erased_at is not None:
        raise NoPlan(str(request.pk))
    return kept or draft(request, now=now)


@requires_transaction
def kept_of(request: DsarRequest) -> ErasurePlan | None:
    return _KEPT.first(request=request.pk)


@requires_transaction
def draft(request: DsarRequest, *, now: datetime) -> ErasurePlan:
    """What an erasure would do at this moment; not saved."""
    plan = _resolved(request, now)
    plan.items = foretell(request, [UUID(ref) for ref in plan.refs], now=now).items
    plan.digest = digest(plan)
    return plan


@requires_transaction
def whose(request: DsarRequest, *, now: datetime) -> ErasurePlan:
    """The plan that an erasure goes by: the one that is kept when it names the person or was agreed to.

    Otherwise one that names them and counts nothing yet: give it to `keep` with what was done.
    """
    kept = kept_of(request)
    if kept is not None and (kept.subject == Subject.KNOWN or kept.approved_at is not None):
        return kept
    return _in_place_of(kept, _resolved(request, now))


@requires_transaction
def keep(plan: ErasurePlan, done: Erased) -> None:
    """Keep a plan that nobody looked at before the work began; one that was kept says what it said."""
    if plan.digest:
        return
    plan.items = done.items
    plan.digest = digest(plan)
    _save(plan)


@requires_transaction
def renew(request: DsarRequest, *, now: datetime) -> ErasurePlan:
    """Make the plan and keep it, in the place of an earlier one, with whose approval it has nothing to do."""
    plan = _in_place_of(kept_of(request), draft(request, now=now))
    _save(plan)
    return plan


@requires_transaction
def forget(request_ids: Collection[UUID]) -> None:
    """Take our ids of the person out of the plans and searches of requests that expired."""
    for model in (ErasurePlan, ErasureSearch):
        model.objects.filter(request__in=request_ids).exclude(refs=[]).update(refs=[])


@requires_transaction
def foretell(request: DsarRequest, refs: list[UUID], *, now: datetime) -> Erased:
    """What an erasure of these ids would do at this moment, the keys to the log included. Nothing changes."""
    held, found = holds.held_classes(), Erased()
    there = {customer.pk: customer for customer in Customer.objects.filter(pk__in=refs)}
    for ref in refs:
        if ref in there:
            found.add(rows.walk(request, there[ref], held=held, now=now, planning=True))
        else:
            found.add(rows.without_profile(ref, held=held))
    found.add(contents.foretell(request, there.values(), held=held))
    is_held = log_keys.hold_on_log(held)
    for name in subject_keys.alive([str(ref) for ref in refs]):
        ground = log_keys.ground_of(UUID(name), anything_retained=bool(found.retained), is_held=is_held)
        action = Action.RETAIN if ground else Action.SHRED
        found.note(log_keys.NAME, "audit", action, 1, why=Why(ground) if ground else None)
    return found


def _resolved(request: DsarRequest, now: datetime) -> ErasurePlan:
    plan = ErasurePlan(request=request, made_at=now, subject=Subject.UNKNOWN)
    try:
        customer = subjects.customer_of(request)
    except subjects.AmbiguousSubject:
        plan.subject, customer = Subject.AMBIGUOUS, None
    if customer is not None:
        plan.subject = Subject.KNOWN
        plan.refs = [str(ref) for ref in rows.refs_of(customer)]
    return plan


def _in_place_of(kept: ErasurePlan | None, plan: ErasurePlan) -> ErasurePlan:
    if kept is not None:
        plan.pk = kept.pk
        plan._state.adding = False
    return plan


def _save(plan: ErasurePlan) -> None:
    audit.action(MADE_VERB, entity=plan)
    plan.save()


@requires_transaction
def planned_of(request: DsarRequest) -> list[str]:
    """Our ids of those whom the plan that is kept names."""
    kept = kept_of(request)
    return list(kept.refs) if kept else []


def refs_of(plan: ErasurePlan) -> list[UUID]:
    """Raises subjects.AmbiguousSubject."""
    if plan.subject == Subject.AMBIGUOUS:
        raise subjects.AmbiguousSubject
    return [UUID(ref) for ref in plan.refs]


def digest(plan: ErasurePlan) -> str:
    """SHA-256 over all that a plan says."""
    said = {
        "tenantId": context.tenant_id(),
        "requestId": str(plan.request_id),
        "madeAt": clock.rfc3339(plan.made_at),
        "subject": plan.subject,
        "refs": plan.refs,
        "items": plan.items,
    }
    return hashlib.sha256(canonical(said)).hexdigest()


def totals(plan: ErasurePlan) -> dict[str, int]:
    """How many, by action."""
    found = dict.fromkeys((str(action) for action in Action), 0)
    for item in plan.items:
        found[item["action"]] += item["count"]
    return found


def wire(plan: ErasurePlan) -> dict[str, Any]:
    """What a plan says, in camelCase."""
    return {
        "requestId": str(plan.request_id),
        "madeAt": clock.rfc3339(plan.made_at),
        "frozen": not plan._state.adding,
        "subject": plan.subject,
        "digest": plan.digest,
        "items": plan.items,
        "totals": totals(plan),
        "approvalId": str(plan.approval_ref) if plan.approval_ref else None,
        "approvedAt": clock.rfc3339(plan.approved_at) if plan.approved_at else None,
        "cancelUntil": clock.rfc3339(plan.window_until) if plan.window_until else None,
    }
