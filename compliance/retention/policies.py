"""Retention policies: one per tenant and data class, each decision about it a version."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError
from django.db.models import F

import audit
from audit import events
from compliance.holding.signals import released
from compliance.models import CLOCK, MAX_DAYS, Mode, PolicyVersion, RetentionPolicy
from compliance.retention import in_force, judging
from compliance.retention.judging import Wanted, check_class, check_days, cooling_off
from compliance.retention.refusals import (
    REFUSED,
    BelowFloor,
    ClockMovedBack,
    DaysOutOfRange,
    InThePast,
    MayOnlyLengthen,
    NeedsSecondPerson,
    NoDays,
    NothingWaits,
    ReasonRequired,
    ReleaseNeedsSecondPerson,
    UnknownAnchor,
    UnknownDataClass,
)
from customers.catalogue import DATA_CLASSES
from kaireon.approvals import services as approvals
from kaireon.tenancy.context import Actor, requires_transaction, transaction

UPSERT_VERB = "retention_config.upsert"
HOLD_VERB = "retention_config.legal_hold"
# Tenants may demand a second person for it: holding/class_releases.py.
RELEASE_VERB = "retention_config.release_hold"
VERSION_VERB = "retention_config.decide"
TAKE_BACK_VERB = "retention_config.take_back"
REFUSED_VERB = "retention_config.refused"
EFFECT_VERB = "retention_config.take_effect"
# Of machines that are in step.
CLOCKS_DIFFER = timedelta(minutes=1)
NEXT = F("version") + 1

__all__ = [
    "REFUSED",
    "BelowFloor",
    "ClockMovedBack",
    "DaysOutOfRange",
    "InThePast",
    "MayOnlyLengthen",
    "NeedsSecondPerson",
    "NoDays",
    "NothingWaits",
    "ReasonRequired",
    "ReleaseNeedsSecondPerson",
    "UnknownAnchor",
    "UnknownDataClass",
    "check_class",
    "check_days",
    "cooling_off",
]


@requires_transaction
def check_release(data_class: str) -> None:
    """Raises ReleaseNeedsSecondPerson where the tenant demands one to release the hold on a class."""
    if approvals.needs_second_person(RELEASE_VERB):
        raise ReleaseNeedsSecondPerson(data_class)


@requires_transaction
def upsert_policy(
    *,
    data_class: str,
    retention_days: int | None,
    legal_hold: bool | None = None,
    hold_reason: str | None = None,
    anchor: str | None = None,
    mode: Mode | None = None,
    reason: str = "",
    effective_from: datetime | None = None,
    approval_id: UUID | None = None,
    actor: Actor,
    now: datetime,
) -> RetentionPolicy:
    """Set how long the active tenant keeps a class, and whether it is held; gives the row as it is now.

    `None` leaves the days, the anchor, the mode, the hold, or its reason, as they were. A shortening, which another
    anchor is too, waits for the cooling-off, or
    until `effective_from` when that is later; anything else counts at once, and so does the first policy of a class.
    What waited until then is replaced; deciding again what waits already changes nothing. A hold placed or released
    here counts at once, also on a class without a policy, which does not get one by it. The record's verb is
    `retention_config.legal_hold` where the hold changed, otherwise `retention_config.upsert`.

    Raises UnknownDataClass, DaysOutOfRange, UnknownAnchor, NoDays, InThePast, BelowFloor, ClockMovedBack,
    MayOnlyLengthen, ReasonRequired, ReleaseNeedsSecondPerson; and NeedsSecondPerson unless `approval_id` is that of
    their yes: `governed.ask` asks for it.
    """
    check_class(data_class)
    check_days(retention_days)
    judging.check_anchor(data_class, anchor)
    if effective_from is not None and effective_from < now:
        raise InThePast
    wanted = Wanted(days=retention_days, anchor=anchor, mode=mode, reason=reason.strip(), approval_id=approval_id)
    policy = _locked(data_class)
    if legal_hold is False and policy is not None and policy.legal_hold:
        check_release(data_class)
    if policy is None:
        if retention_days is None and not legal_hold:
            raise NoDays(data_class)
        policy = RetentionPolicy(
            data_class=data_class,
            retention_days=retention_days or MAX_DAYS,
            mode=mode or Mode.NORMAL,
            created_at=now,
            version=0,
        )
        _set(policy, legal_hold, hold_reason, actor=actor, now=now)
        try:
            with transaction():
                policy.save(force_insert=True)
                _change(policy, wanted, effective_from, actor=actor, now=now)
            return policy
        except IntegrityError:
            # Somebody else made it first; what was asked for still counts, after theirs.
            policy = _locked(data_class)
            if policy is None:
                raise
    _change(policy, wanted, effective_from, actor=actor, now=now)
    _set(policy, legal_hold, hold_reason, actor=actor, now=now)
    policy.save(force_update=True)
    return policy


@requires_transaction
def take_back(*, data_class: str, actor: Actor, now: datetime) -> RetentionPolicy:
    """Let what waits to take effect never do so. Raises UnknownDataClass, NothingWaits, ClockMovedBack."""
    check_class(data_class)
    policy = _locked(data_class)
    counting, pending = (None, None) if policy is None else in_force.of_policy(policy, now)
    if policy is None or counting is None or pending is None:
        raise NothingWaits(data_class)
    _decide(_again(counting), counting=counting, pending=pending, effective_from=now, actor=actor, now=now)
    audit.action(TAKE_BACK_VERB, entity=policy)
    _follow(policy, counting, actor=actor, now=now)
    return policy


@requires_transaction
def settle(*, actor: Actor, now: datetime) -> int:
    """Bring rows in line with the versions that took effect since they were written; answers how many.

    For those who look at the table: what counts is known without it.
    """
    due = [
        (counts.version, counts.version.policy_id)
        for counts in in_force.all_in_force(now).values()
        if counts.version.effective_from > counts.version.created_at
    ]
    behind = 0
    for version, policy_id in due:
        policy = RetentionPolicy.objects.select_for_update().get(pk=policy_id)
        counting, _ = in_force.of_policy(policy, now)
        if counting == version and (policy.retention_days, policy.mode) != (version.retention_days, version.mode):
            audit.action(EFFECT_VERB, entity=policy)
            _follow(policy, version, actor=actor, now=now)
            behind += 1
    return behind


def note_refusal(
    *, reason: str, data_class: str, retention_days: int, tenant_id: str, actor: Actor, request_id: str
) -> None:
    """Record what somebody wanted to decide and was refused. Outside any transaction: theirs is taken back."""
    events.record(
        tenant_id=tenant_id,
        actor=actor,
        request_id=request_id,
        action=REFUSED_VERB,
        entity_type="RetentionPolicy",
        entity_id=data_class,
        changes={"reason": reason, "retentionDays": retention_days},
    )


@requires_transaction
def classes_without_policy() -> list[str]:
    """What the active tenant keeps for ever because nobody said how long."""
    return sorted(set(DATA_CLASSES) - set(PolicyVersion.objects.values_list("data_class", flat=True).distinct()))


def _locked(data_class: str) -> RetentionPolicy | None:
    return RetentionPolicy.objects.select_for_update().filter(data_class=data_class).first()


def _change(
    policy: RetentionPolicy, wanted: Wanted, effective_from: datetime | None, *, actor: Actor, now: datetime
) -> None:
    """Decide about a policy that is there, unless that is what counts, or waits, already."""
    counting, pending = in_force.of_policy(policy, now)
    if counting is not None:
        policy.retention_days, policy.mode = counting.retention_days, counting.mode
    days = wanted.days if wanted.days is not None or counting is None else counting.retention_days
    if days is None or (wanted.days is None and wanted.mode is None and wanted.anchor is None):
        return
    version = PolicyVersion(
        policy=policy,
        data_class=policy.data_class,
        retention_days=days,
        anchor=wanted.anchor or (counting.anchor if counting else CLOCK),
        mode=wanted.mode or (counting.mode if counting else Mode.NORMAL),
        reason=wanted.reason,
        approval_id=wanted.approval_id,
    )
    said = pending or counting
    if said is not None and effective_from is None and _same(said, version):
        return
    starts = judging.starts(counting, version, now=now, effective_from=effective_from)
    judging.check_floor(version, now=now, starts=starts)
    judging.check_mode(counting, version)
    _decide(version, counting=counting, pending=pending, effective_from=starts, actor=actor, now=now)
    if not version.waits(now):
        policy.retention_days, policy.mode = version.retention_days, version.mode


def _again(version: PolicyVersion) -> PolicyVersion:
    return PolicyVersion(
        policy_id=version.policy_id,
        data_class=version.data_class,
        retention_days=version.retention_days,
        anchor=version.anchor,
        mode=version.mode,
        reason=version.reason,
    )


def _same(one: PolicyVersion, other: PolicyVersion) -> bool:
    return (one.retention_days, one.anchor, one.mode) == (other.retention_days, other.anchor, other.mode)


def _decide(
    wanted: PolicyVersion,
    *,
    counting: PolicyVersion | None,
    pending: PolicyVersion | None,
    effective_from: datetime,
    actor: Actor,
    now: datetime,
) -> PolicyVersion:
    """Add a version to a policy whose row is locked. Raises ClockMovedBack."""
    last = pending or counting
    at = now
    if last is not None:
        if now < last.created_at - CLOCKS_DIFFER:
            raise ClockMovedBack
        # Of two who decide at once the second may have read the clock first.
        at = max(now, last.created_at)
    wanted.number = 1 if last is None else last.number + 1
    wanted.replaces = counting
    wanted.decided_by = actor.id
    wanted.created_at = at
    wanted.effective_from = max(effective_from, at)
    audit.action(VERSION_VERB, entity=wanted)
    wanted.save(force_insert=True)
    return wanted


def _follow(policy: RetentionPolicy, version: PolicyVersion, *, actor: Actor, now: datetime) -> None:
    policy.retention_days, policy.mode = version.retention_days, version.mode
    policy.version += 1
    policy.updated_by = actor.id
    policy.updated_at = now
    policy.save(force_update=True)


def _set(policy: RetentionPolicy, hold: bool | None, reason: str | None, *, actor: Actor, now: datetime) -> None:
    held = policy.legal_hold if hold is None else hold
    audit.action(HOLD_VERB if held != policy.legal_hold else UPSERT_VERB, entity=policy)
    if held != policy.legal_hold:
        policy.legal_hold = held
        policy.held_since = now if held else None
        policy.hold_reason = ""
        if not held:
            released.send(sender=RetentionPolicy)
    if held and reason is not None:
        policy.hold_reason = reason
    policy.version += 1
    policy.updated_by = actor.id
    policy.updated_at = now
