"""What a decision about a class would delete: found by the conditions of the purge itself, before it is made."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Min, Q

from audit.models import AuditRecord
from audit.pruning import prune
from audit.pruning.prune import Retention
from compliance.holding import holds, predicate
from compliance.models import CLOCK, Mode, PolicyVersion
from compliance.purging import references, sweeps
from compliance.purging.sweeps import Sweep
from compliance.retention import judging
from compliance.retention.binding import Binding, binding
from compliance.retention.in_force import InForce, in_force
from compliance.retention.laws import Bound
from compliance.retention.refusals import InThePast, NeedsSecondPerson, ReasonRequired
from customers.catalogue import CATALOGUE, DERIVED, Entity, Erasure
from kaireon.lib import clock
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.managers import TenantQuerySet

# Whatever laws and policies say; the database refuses less too.
LOG_FLOOR = Bound(
    law="built-in",
    days=prune.FLOOR_DAYS,
    citation="PCI DSS 10.5.1",
    says="the audit log is kept a year at least",
    starts=None,
)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Of one entity: what stays today and would go when the decision counts, and the moments it ages from. `anyway` of
    these rows go by then without it; `held` would go but for a hold, an open request, or the hold on their class."""

    entity: str
    title: str
    clock: str
    before: datetime
    rows: int = 0
    anyway: int = 0
    held: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "entity": self.entity,
            "title": self.title,
            "clock": self.clock,
            "before": clock.rfc3339(self.before),
            "rows": self.rows,
            "rowsAnyway": self.anyway,
            "heldRows": self.held,
            "oldest": clock.rfc3339(self.oldest) if self.oldest else None,
            "newest": clock.rfc3339(self.newest) if self.newest else None,
        }


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a decision would do. `days_now` is what counts today, None where nobody said; `days` what would count from
    `counts_from` on, because of `floor` perhaps more than was asked for, and when it `recounts` from something else.
    `floor_later` will raise it again."""

    data_class: str
    asked_days: int
    anchor: str
    days_now: int | None
    days: int
    shortens: bool
    recounts: bool
    counts_from: datetime
    floor: Bound | None = None
    floor_later: Bound | None = None
    class_held: bool = False
    needs_second_person: bool = False
    losses: list[Loss] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(loss.rows for loss in self.losses)

    @property
    def anyway(self) -> int:
        return sum(loss.anyway for loss in self.losses)

    @property
    def held(self) -> int:
        return sum(loss.held for loss in self.losses)

    def as_dict(self) -> dict[str, Any]:
        """For answers, in camelCase."""
        return {
            "dataClass": self.data_class,
            "retentionDays": self.asked_days,
            "anchor": self.anchor,
            "daysNow": self.days_now,
            "effectiveDays": self.days,
            "shortens": self.shortens,
            "countsFrom": clock.rfc3339(self.counts_from),
            "floor": _law(self.floor),
            "floorLater": _law(self.floor_later),
            "legalHold": self.class_held,
            "needsSecondPerson": self.needs_second_person,
            "rows": self.rows,
            "rowsAnyway": self.anyway,
            "heldRows": self.held,
            "entities": [loss.as_dict() for loss in self.losses],
        }


@requires_transaction
def preview(
    *,
    data_class: str,
    retention_days: int,
    anchor: str | None = None,
    mode: Mode | None = None,
    effective_from: datetime | None = None,
    now: datetime,
) -> Preview:
    """What would go if the active tenant decided this now, as rows and holds are at this moment.

    Nothing is decided, and nothing recorded. Raises what deciding it would raise for the days and the mode:
    UnknownDataClass, DaysOutOfRange, UnknownAnchor, InThePast, BelowFloor, MayOnlyLengthen.
    """
    judging.check_class(data_class)
    judging.check_days(retention_days)
    judging.check_anchor(data_class, anchor)
    if effective_from is not None and effective_from < now:
        raise InThePast
    today = in_force(data_class, now)
    counting = today.version if today else None
    wanted = PolicyVersion(
        data_class=data_class,
        retention_days=retention_days,
        anchor=anchor or (counting.anchor if counting else CLOCK),
        mode=mode or (counting.mode if counting else Mode.NORMAL),
    )
    counts_from = judging.starts(counting, wanted, now=now, effective_from=effective_from)
    judging.check_floor(wanted, now=now, starts=counts_from)
    bound_then = binding(counts_from)
    then = InForce(version=wanted, floor=_floor(bound_then, data_class, counts_from))
    later = [bound for bound in bound_then.floors(data_class) if bound.starts and bound.starts > counts_from]
    raising = max(later, key=lambda bound: bound.days, default=None)
    return Preview(
        data_class=data_class,
        asked_days=retention_days,
        anchor=wanted.anchor,
        days_now=today.days if today else None,
        days=then.days,
        shortens=judging.shortens(counting, wanted),
        recounts=counting is not None and counting.anchor != wanted.anchor,
        counts_from=counts_from,
        floor=then.floor,
        floor_later=raising if raising and raising.days > then.days else None,
        class_held=data_class in holds.held_classes(),
        needs_second_person=_needs_second_person(counting, wanted),
        losses=_losses(data_class, then, today, counts_from=counts_from, now=now),
    )


def _floor(bound_by: Binding, data_class: str, at: datetime) -> Bound | None:
    floor = bound_by.floor(data_class, at)
    if data_class == prune.DATA_CLASS and (floor is None or floor.days < prune.FLOOR_DAYS):
        return LOG_FLOOR
    return floor


def _needs_second_person(counting: PolicyVersion | None, wanted: PolicyVersion) -> bool:
    try:
        judging.check_mode(counting, wanted)
    except (ReasonRequired, NeedsSecondPerson):
        return True
    return False


def _losses(
    data_class: str, then: InForce, today: InForce | None, *, counts_from: datetime, now: datetime
) -> list[Loss]:
    if data_class == prune.DATA_CLASS:
        return [_of_log(then, counts_from=counts_from, now=now)]
    going_now = _standing(data_class, today, now=now)
    without = _standing(data_class, in_force(data_class, counts_from), now=counts_from)
    going = [sweeps.by_policy(entity, data_class, then, now=counts_from) for entity in _entities(data_class)]
    # What refers to rows of this class is purged by its own class's policy, and before them.
    purged_now = list(sweeps.make_plan(now=now).sweeps)
    purged = [s for s in sweeps.make_plan(now=counts_from).sweeps if s.data_class != data_class] + going
    return [
        _loss(sweep, going_now.get(sweep.entity.name), without.get(sweep.entity.name), purged, purged_now)
        for sweep in going
    ]


def _entities(data_class: str) -> list[Entity]:
    """What ages by the policy of a class. Requests too, whose owner shreds them; not what ends by itself."""
    found = (*CATALOGUE, *DERIVED)
    return [e for e in found if not e.own_expiry and e.erasure != Erasure.NONE and data_class in e.data_classes()]


def _standing(data_class: str, counts: InForce | None, *, now: datetime) -> dict[str, Sweep]:
    """What retention looks at of the class at a moment, by entity."""
    plan = sweeps.make_plan(now=now, classes=[data_class])
    found = {sweep.entity.name: sweep for sweep in (*plan.sweeps, *plan.kept)}
    for entity in _entities(data_class):
        if entity.erasure == Erasure.SHRED and counts is not None:
            found[entity.name] = sweeps.by_policy(entity, data_class, counts, now=now)
    return found


def _loss(
    sweep: Sweep, today: Sweep | None, without: Sweep | None, purged: list[Sweep], purged_now: list[Sweep]
) -> Loss:
    column = sweep.clock
    rows = _whole(sweep, references.past(sweep, purged))
    if today is not None:
        rows = _without(rows, today, purged_now)
    held = Q(pk__in=[])
    if sweep.data_class in holds.held_classes():
        held = Q(pk__isnull=False)
    else:
        held |= predicate.held(sweep.entity, sweep.data_class)
    anyway = sweeps.is_past(without) if without else Q(pk__in=[])
    found: dict[str, Any] = rows.filter(~held).aggregate(
        rows=Count("pk"), anyway=Count("pk", filter=anyway), oldest=Min(column), newest=Max(column)
    )
    return Loss(
        entity=sweep.entity.name,
        title=sweep.entity.title,
        clock=column,
        before=sweep.before,
        held=rows.filter(held).count(),
        **found,
    )


def _without(rows: TenantQuerySet[Any], today: Sweep, purged_now: list[Sweep]) -> TenantQuerySet[Any]:
    """The rows that a purge of now would leave."""
    if today.entity.name in references.REFERRING:
        return rows.exclude(pk__in=references.past(today, purged_now).values("pk"))
    return rows.filter(~sweeps.is_past(today))


def _whole(sweep: Sweep, rows: TenantQuerySet[Any]) -> TenantQuerySet[Any]:
    """Of requests, those that still say whose they are: the others stay as they are."""
    return rows.filter(subject_sealed__isnull=False) if sweep.entity.erasure == Erasure.SHRED else rows


def _of_log(then: InForce, *, counts_from: datetime, now: datetime) -> Loss:
    """The log goes by sealed prefix, and only when two people agree."""
    held = prune.DATA_CLASS in holds.held_classes() or predicate.touched(prune.DATA_CLASS)
    today = prune.make_plan(now=now)
    going = prune.make_plan(now=counts_from, instead=Retention(days=then.days, held=False))
    without = prune.make_plan(now=counts_from)
    rows = AuditRecord.objects.filter(seq__gt=today.last_seq, seq__lte=going.last_seq)
    anyway = Count("pk", filter=Q(seq__lte=without.last_seq))
    found: dict[str, Any] = rows.aggregate(
        rows=Count("pk"), anyway=anyway, oldest=Min("timestamp"), newest=Max("timestamp")
    )
    said = Loss(
        entity="auditRecord",
        title="Record of the audit log",
        clock="timestamp",
        before=counts_from - timedelta(days=then.days),
    )
    if held:
        return replace(said, held=found["rows"])
    return replace(said, **found)


def _law(bound: Bound | None) -> dict[str, Any] | None:
    if bound is None:
        return None
    starts = clock.rfc3339(bound.starts) if bound.starts else None
    return {"law": bound.law, "days": bound.days, "citation": bound.citation, "starts": starts}
