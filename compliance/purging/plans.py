"""Plans of a purge: what would go, to the row; agreed to by a second person where that is demanded; applied elsewhere.

A plan names for each class and entity the range, the count and a fingerprint of its rows, the version of the policy
and the moment it counts from. What people agree to is its digest.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import BigIntegerField, Count, DecimalField, Func, Max, Min, Sum, TextField, Value
from django.db.models.functions import Cast

import audit
from compliance.models import HoldEpoch, Mode, PlanState, PurgePlan, PurgePlanItem
from compliance.purging import sweeps
from compliance.purging.periods import Terms
from compliance.purging.sweeps import Among, Sweep
from compliance.retention.in_force import all_in_force
from customers.catalogue import CATALOGUE, CLEANUP, DERIVED, ProfileEntity
from kaireon.approvals import people, registry
from kaireon.approvals import services as approvals
from kaireon.approvals.registry import NotApplicable, Stage
from kaireon.lib import clock
from kaireon.lib.canonical import canonical
from kaireon.lib.ids import uuid7
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction
from kaireon.tenancy.managers import TenantQuerySet
from kaireon.tenancy.roles import Permission

VERB = "retention.purge"
MADE_VERB = "retention.plan.create"
APPROVED_VERB = "retention.plan.approve"
# A plan that is older says too little about today.
VALID_FOR = timedelta(days=1)

_ENTITIES = {entity.name: entity for entity in (*CATALOGUE, *DERIVED)}


class AskerNeeded(RuntimeError):
    """A second person must agree to this purge, so a person must ask for it: jobs and commands ask nobody."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How many rows, between which moments, and which ones. Of no rows there is none of these."""

    rows: int
    clock_from: datetime
    clock_until: datetime
    newest: UUID
    fingerprint: str


@requires_transaction
def make(
    *,
    actor: Actor,
    now: datetime,
    classes: Collection[str] | None = None,
    swept_by: str = CLEANUP,
    asker: Actor | None = None,
    plan_id: UUID | None = None,
) -> PurgePlan:
    """Plan a purge of the active tenant, and ask for a second person's yes where one is demanded.

    `asker` asks in the place of an actor who is no person. With a `plan_id` there is one plan however often somebody
    asks: the second gets an IntegrityError. Raises AskerNeeded, approvals.RequesterMayNot.
    """
    # Read first and not locked: a hold that comes while rows are counted moves it, and the plan is refused then.
    epoch = HoldEpoch.objects.get().epoch
    found = sweeps.make_plan(now=now, classes=classes, swept_by=swept_by)
    plan = PurgePlan(
        id=plan_id or uuid7(),
        swept_by=swept_by,
        classes=None if classes is None else sorted(set(classes)),
        as_of=now,
        epoch=epoch,
        held=list(found.held),
        without_policy=list(found.without_policy),
        made_by=actor.id[:64],
        made_by_name=actor.name[:200],
        made_for=people.person_behind(asker or actor)[:64],
    )
    items = [_item(plan, sweep, measured) for sweep in _in_order(found.sweeps) if (measured := measure(sweep))]
    for position, item in enumerate(items):
        item.position = position
    plan.rows = sum(item.rows for item in items)
    plan.digest = digest(plan, items)
    if items and needs_approval({item.data_class for item in items}, now=now):
        plan.approval_id = _ask(plan, asker or actor, now)
    audit.action(MADE_VERB, entity=plan)
    plan.save(force_insert=True)
    PurgePlanItem.objects.bulk_create(items)
    return plan


@requires_transaction
def needs_approval(classes: Collection[str], *, now: datetime) -> bool:
    """Whether a second person must agree to a plan of these classes: the tenant demands it, or one is governed."""
    counting = all_in_force(now)
    governed = {name for name, counts in counting.items() if counts.version.mode == Mode.GOVERNANCE}
    return approvals.needs_second_person(VERB) or not governed.isdisjoint(classes)


@requires_transaction
def measure(sweep: Sweep) -> Measured | None:
    """The rows of a sweep that may go now; None when there are none."""
    return _measured(sweeps.due(sweep), sweep.clock)


@requires_transaction
def measure_held(sweep: Sweep) -> Measured | None:
    """Those of them that a hold with a scope keeps."""
    return _measured(sweeps.held_back(sweep), sweep.clock)


def sweep_of(item: PurgePlanItem) -> Sweep:
    """The rows of an item, as a sweep that takes no others."""
    terms = None
    if item.retention_days is not None:
        terms = Terms(
            days=item.retention_days,
            version=item.policy_version,
            law=item.law,
            policy_class=item.policy_class,
        )
    return Sweep(
        entity=_ENTITIES[item.entity],
        data_class=item.data_class,
        before=item.before,
        column=item.clock,
        floor_before=item.floor_before,
        terms=terms,
        among=Among(clock_from=item.clock_from, clock_until=item.clock_until, newest=item.newest),
        swept_by=item.plan.swept_by,
    )


@requires_transaction
def items_of(plan: PurgePlan) -> TenantQuerySet[PurgePlanItem]:
    return PurgePlanItem.objects.filter(plan=plan).select_related("plan").order_by("position")


def digest(plan: PurgePlan, items: Iterable[PurgePlanItem]) -> str:
    """SHA-256 over all that a plan says."""
    said = {
        "tenantId": plan.tenant_id,
        "asOf": clock.rfc3339(plan.as_of),
        "sweptBy": plan.swept_by,
        "classes": plan.classes,
        "epoch": str(plan.epoch),
        "held": plan.held,
        "withoutPolicy": plan.without_policy,
        "items": [wire_item(item) for item in items],
    }
    return hashlib.sha256(canonical(said)).hexdigest()


def wire_item(item: PurgePlanItem) -> dict[str, Any]:
    """What an item says, in camelCase: how far it has come is not part of it."""
    return {
        "dataClass": item.data_class,
        "entity": item.entity,
        "clock": item.clock,
        "before": clock.rfc3339(item.before),
        "floorBefore": clock.rfc3339(item.floor_before) if item.floor_before else None,
        "retentionDays": item.retention_days,
        "policyClass": item.policy_class or item.data_class,
        "policyVersion": item.policy_version,
        "law": item.law,
        "rows": item.rows,
        "clockFrom": clock.rfc3339(item.clock_from),
        "clockUntil": clock.rfc3339(item.clock_until),
        "newest": str(item.newest),
        "fingerprint": item.fingerprint,
        "heldRows": item.held_rows,
        "heldFingerprint": item.held_fingerprint,
    }


def _describe(payload: Mapping[str, Any]) -> str:
    return f"Purge {payload['rows']} rows by plan {payload['planId']}"


@registry.approved(
    VERB,
    title="Purge by plan",
    permission=Permission.MANAGE_RETENTION,
    describe=_describe,
    stages=(Stage(permission=Permission.MANAGE_RETENTION),),
    valid_for=VALID_FOR,
    then="The plan may then be applied, until a day after it was made.",
)
def _agreed_to(payload: Mapping[str, Any]) -> None:
    """The yes is kept in the plan. Nothing goes yet: applying it looks at holds, policies and rows again."""
    plan = PurgePlan.objects.select_for_update().filter(pk=UUID(payload["planId"])).first()
    if plan is None or plan.state != PlanState.PLANNED:
        raise NotApplicable("plan_not_open")
    if payload["digest"] != plan.digest or digest(plan, items_of(plan)) != plan.digest:
        raise NotApplicable("plan_changed")
    now, actor = clock.now(), context.current().actor
    if now - plan.as_of > VALID_FOR:
        raise NotApplicable("plan_stale")
    if actor.id in (plan.made_by, plan.made_for):
        raise NotApplicable("plan_by_author")
    audit.action(APPROVED_VERB, entity=plan)
    PurgePlan.objects.filter(pk=plan.pk, state=PlanState.PLANNED).update(
        state=PlanState.APPROVED, approved_by=actor.id, approved_by_name=actor.name[:200], approved_at=now
    )


def _ask(plan: PurgePlan, asker: Actor, now: datetime) -> UUID:
    if asker.type not in ("user", "api_key"):
        raise AskerNeeded
    payload = {"planId": str(plan.pk), "digest": plan.digest, "rows": plan.rows}
    return approvals.ask(verb=VERB, payload=payload, actor=asker, now=now).pk


def _in_order(found: Iterable[Sweep]) -> list[Sweep]:
    """Profiles first: what is planned of them refers to nothing else, and what goes after them sets others free."""
    return sorted(found, key=lambda sweep: not isinstance(sweep.entity, ProfileEntity))


def _measured(rows: TenantQuerySet[Any], clock_column: str) -> Measured | None:
    """All of it in one look."""
    text = Cast("pk", TextField())
    hashed = Func(text, Value(0), function="hashtextextended", output_field=BigIntegerField())
    found: dict[str, Any] = rows.aggregate(
        rows=Count("pk"),
        clock_from=Min(clock_column),
        clock_until=Max(clock_column),
        newest=Max(text),
        fingerprint=Sum(hashed, output_field=DecimalField(max_digits=60, decimal_places=0)),
    )
    if not found["rows"]:
        return None
    newest, fingerprint = UUID(found.pop("newest")), str(int(found.pop("fingerprint")))
    return Measured(**found, newest=newest, fingerprint=fingerprint)


def _item(plan: PurgePlan, sweep: Sweep, measured: Measured) -> PurgePlanItem:
    span = Among(clock_from=measured.clock_from, clock_until=measured.clock_until, newest=measured.newest)
    held = measure_held(replace(sweep, among=span))
    return PurgePlanItem(
        held_rows=held.rows if held else 0,
        held_fingerprint=held.fingerprint if held else "0",
        plan=plan,
        data_class=sweep.data_class,
        entity=sweep.entity.name,
        clock=sweep.clock,
        before=sweep.before,
        floor_before=sweep.floor_before,
        retention_days=sweep.terms.days if sweep.terms else None,
        policy_version=sweep.terms.version if sweep.terms else 0,
        policy_class=sweep.terms.policy_class if sweep.terms else "",
        law=sweep.terms.law if sweep.terms else "",
        rows=measured.rows,
        clock_from=measured.clock_from,
        clock_until=measured.clock_until,
        newest=measured.newest,
        fingerprint=measured.fingerprint,
    )
