"""Each change of where a rule stands: one row, recorded by its verb, in the transaction that moves the rule."""

import logging
from datetime import datetime

import audit
from compliance.alerting import notifications
from compliance.alerting.states import Standing, word
from compliance.models import AlertChange, AlertRule
from kaireon.lib.ids import uuid7
from kaireon.tenancy.context import requires_transaction

logger = logging.getLogger("kaireon.alerts")

EVALUATED, METRIC_FAILED, SWITCHED_OFF, REMOVED = "evaluated", "metric_failed", "switched_off", "removed"

STANDING = (
    "state",
    "entered_at",
    "evaluated_at",
    "value",
    "seen",
    "crossed_seconds",
    "cooling_seconds",
    "is_raised",
    "told",
    "changes",
    "acknowledged_by",
    "acknowledged_name",
    "acknowledged_at",
)


@requires_transaction
def move(rule: AlertRule, to: Standing, *, reason: str, now: datetime) -> int:
    """Put a locked rule there, write the change down if it is one, and say what is to be said; to how many.

    Changes the row in memory only: the caller saves STANDING.
    """
    was, rule.standing = rule.state, to
    if rule.state != was:
        rule.changes, rule.entered_at = rule.changes + 1, now
        _write(rule, was, reason, now)
    if not rule.is_raised:
        rule.acknowledged_by, rule.acknowledged_name, rule.acknowledged_at = "", "", None
    return _say(rule, now, even_silenced=reason in (SWITCHED_OFF, REMOVED))


def close(rule: AlertRule, *, reason: str, now: datetime) -> None:
    """Nothing of a rule that is not evaluated any more stays open. Saves."""
    move(rule, Standing(), reason=reason, now=now)
    rule.save(update_fields=STANDING)


def _write(rule: AlertRule, was: str, reason: str, now: datetime) -> None:
    change = AlertChange(
        id=uuid7(),
        rule=rule,
        number=rule.changes,
        was=was,
        became=rule.state,
        value=rule.value,
        threshold=rule.threshold,
        reason=reason,
        at=now,
    )
    audit.action(f"alert.{rule.state}", entity=change)
    change.save(force_insert=True)
    logger.info(
        "alert_changed",
        extra={"rule": str(rule.pk), "metric": rule.metric, "was": was, "became": rule.state, "reason": reason},
    )


def _say(rule: AlertRule, now: datetime, *, even_silenced: bool) -> int:
    said = word(rule.standing, rule.told)
    if not said or (rule.is_silenced(now) and not even_silenced):
        return 0
    newest = AlertChange.objects.get(rule=rule, number=rule.changes)
    rule.told = "" if said == "resolved" else said
    return notifications.tell(rule, newest, said, now=now)
