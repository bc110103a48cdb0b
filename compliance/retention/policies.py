"""Retention policies: one per tenant and data class."""

from datetime import datetime

from django.db import IntegrityError
from django.db.models import F

import audit
from compliance.models import MAX_DAYS, MIN_DAYS, RetentionPolicy
from customers.catalogue import DATA_CLASSES
from kaireon.tenancy.context import Actor, requires_transaction, transaction

UPSERT_VERB = "retention_config.upsert"
HOLD_VERB = "retention_config.legal_hold"
NEXT = F("version") + 1


class UnknownDataClass(ValueError):
    """No data class has this name. `str()` of it lists those there are."""

    def __init__(self) -> None:
        super().__init__(f"unknown data class; known are {', '.join(sorted(DATA_CLASSES))}.")


class DaysOutOfRange(ValueError):
    """retention_days must be a whole number from 1 to 36500."""

    def __init__(self) -> None:
        super().__init__(f"must be a whole number of days from {MIN_DAYS} to {MAX_DAYS}.")


def check_class(data_class: str) -> None:
    """Raises UnknownDataClass."""
    if data_class not in DATA_CLASSES:
        raise UnknownDataClass


@requires_transaction
def upsert_policy(
    *,
    data_class: str,
    retention_days: int,
    legal_hold: bool | None = None,
    hold_reason: str | None = None,
    actor: Actor,
    now: datetime,
) -> RetentionPolicy:
    """Set how long the active tenant keeps a class, and whether it is held; gives the row as it is now.

    `None` leaves the hold, or its reason, as it was. A hold placed or released here counts at once; its record's
    verb is `retention_config.legal_hold`, otherwise `retention_config.upsert`.

    Raises UnknownDataClass, DaysOutOfRange.
    """
    check_class(data_class)
    if isinstance(retention_days, bool) or not MIN_DAYS <= retention_days <= MAX_DAYS:
        raise DaysOutOfRange
    policy = _locked(data_class)
    if policy is None:
        policy = RetentionPolicy(data_class=data_class, created_at=now, version=0)
        _set(policy, retention_days, legal_hold, hold_reason, actor=actor, now=now)
        try:
            with transaction():
                policy.save(force_insert=True)
            return policy
        except IntegrityError:
            # Somebody else made it first; what was asked for still counts, after theirs.
            policy = _locked(data_class)
            if policy is None:
                raise
    _set(policy, retention_days, legal_hold, hold_reason, actor=actor, now=now)
    policy.save(force_update=True)
    return policy


@requires_transaction
def classes_without_policy() -> list[str]:
    """What the active tenant keeps for ever because nobody said how long."""
    return sorted(set(DATA_CLASSES) - set(RetentionPolicy.objects.values_list("data_class", flat=True)))


def _locked(data_class: str) -> RetentionPolicy | None:
    return RetentionPolicy.objects.select_for_update().filter(data_class=data_class).first()


def _set(
    policy: RetentionPolicy, days: int, hold: bool | None, reason: str | None, *, actor: Actor, now: datetime
) -> None:
    held = policy.legal_hold if hold is None else hold
    audit.action(HOLD_VERB if held != policy.legal_hold else UPSERT_VERB, entity=policy)
    if held != policy.legal_hold:
        policy.legal_hold = held
        policy.held_since = now if held else None
        policy.hold_reason = ""
    if held and reason is not None:
        policy.hold_reason = reason
    policy.retention_days = days
    policy.version += 1
    policy.updated_by = actor.id
    policy.updated_at = now
