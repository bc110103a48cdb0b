"""A tenant's alert rules: made, changed, removed, silenced, acknowledged. evaluation.py moves where they stand."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

import audit
from compliance.alerting import history, metrics
from compliance.models import AlertRule, NotificationProvider, Operator, Severity
from kaireon.lib.ids import uuid7
from kaireon.tenancy import context
from kaireon.tenancy.context import Actor, requires_transaction

LONGEST_NAME = 100
MOST_RULES = 200
MOST_CHANNELS = 10
MOST_THRESHOLD = 1e12
LONGEST_REASON = 200
LEAST_WINDOW = timedelta(minutes=1)
LONGEST_LASTING = timedelta(days=7)
LONGEST_COOLDOWN = timedelta(days=7)
LONGEST_SILENCE = timedelta(days=30)

# Other terms than these do not bear on since when the limit is crossed.
_BEARING = ("metric", "operator", "threshold", "window_seconds", "lasting_seconds")
_WIRE = {
    "name": "name",
    "metric": "metric",
    "operator": "operator",
    "threshold": "threshold",
    "window_seconds": "windowSeconds",
    "lasting_seconds": "forSeconds",
    "cooldown_seconds": "cooldownSeconds",
    "severity": "severity",
    "channels": "channels",
    "alerts_without_data": "alertOnNoData",
    "is_enabled": "enabled",
}
# Fields of a rule that people set, and what they are called on the wire.
FIELDS: Mapping[str, str] = _WIRE


class RuleRefused(ValueError):
    """The rule cannot be so. `field` is what is wrong, as on the wire."""

    code = "alert_refused"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class RuleNotFound(LookupError):
    """There is none of this id, or it was removed."""

    code = "not_found"


class NotAlerting(RuntimeError):
    """No alert of the rule is open: there is nothing to acknowledge."""

    code = "not_alerting"


class AlreadyAcknowledged(RuntimeError):
    """Somebody has taken the alert on. `str()` of it says who."""

    code = "already_acknowledged"


@requires_transaction
def create(*, given: Mapping[str, Any], now: datetime) -> AlertRule:
    """Make a rule of FIELDS; recorded as `alert_rule.create`. Raises RuleRefused."""
    _one_at_a_time()
    if AlertRule.objects.present().count() >= MOST_RULES:
        raise RuleRefused("name", f"there are {MOST_RULES} rules already, the most there can be: remove one.")
    rule = AlertRule(id=uuid7(), created_at=now, updated_at=now, entered_at=now)
    _set(rule, given)
    audit.action("alert_rule.create", entity=rule)
    rule.save(force_insert=True)
    return rule


@requires_transaction
def change(rule_id: UUID, *, given: Mapping[str, Any], now: datetime) -> AlertRule:
    """Change what is given of a rule; recorded as `alert_rule.update`. One that is switched off closes its alert.

    With another figure, limit or time the limit counts as crossed from the next evaluation on; an alert that is open
    stays open until a value is clear by the new terms. Raises RuleNotFound, RuleRefused.
    """
    _one_at_a_time()
    rule = locked(rule_id)
    before = {name: getattr(rule, name) for name in _BEARING}
    _set(rule, given)
    if any(getattr(rule, name) != value for name, value in before.items()):
        rule.crossed_seconds, rule.seen = None, ""
    rule.updated_at = now
    audit.action("alert_rule.update", entity=rule)
    rule.save()
    if not rule.is_enabled:
        history.close(rule, reason=history.SWITCHED_OFF, now=now)
    return rule


@requires_transaction
def remove(rule_id: UUID, *, now: datetime) -> None:
    """Evaluate it no more and close its alert; recorded as `alert_rule.remove`. Its history stays.

    Raises RuleNotFound.
    """
    rule = locked(rule_id)
    history.close(rule, reason=history.REMOVED, now=now)
    rule.removed_at = rule.updated_at = now
    audit.action("alert_rule.remove", entity=rule)
    rule.save(update_fields=["removed_at", "updated_at"])


@requires_transaction
def silence(rule_id: UUID, *, until: datetime | None, reason: str = "", now: datetime) -> AlertRule:
    """Say nothing of the rule until then, or speak again; recorded as `alert_rule.silence` or `alert_rule.unsilence`.

    It is evaluated all the same. What is still true when the silence is over is said then.
    Raises RuleNotFound, RuleRefused.
    """
    reason = reason.strip()
    if until is not None and not now < until <= now + LONGEST_SILENCE:
        raise RuleRefused("until", f"is a moment in the next {LONGEST_SILENCE.days} days.")
    if until is not None and not (1 <= len(reason) <= LONGEST_REASON and reason.isprintable()):
        raise RuleRefused("reason", f"is one line of at most {LONGEST_REASON} characters: others read it.")
    rule = locked(rule_id)
    rule.silenced_until, rule.silence_reason = until, reason if until else ""
    rule.updated_at = now
    audit.action("alert_rule.silence" if until else "alert_rule.unsilence", entity=rule)
    rule.save(update_fields=["silenced_until", "silence_reason", "updated_at"])
    return rule


@requires_transaction
def acknowledge(rule_id: UUID, *, actor: Actor, now: datetime) -> AlertRule:
    """Say who takes the open alert on, until it ends; recorded as `alert.acknowledge`. Of several the first counts.

    Raises RuleNotFound, NotAlerting, AlreadyAcknowledged.
    """
    rule = locked(rule_id)
    if not rule.is_raised:
        raise NotAlerting(rule.pk)
    if rule.acknowledged_at is not None:
        raise AlreadyAcknowledged(rule.acknowledged_name)
    rule.acknowledged_by, rule.acknowledged_name, rule.acknowledged_at = actor.id[:64], actor.name[:200], now
    audit.record(
        action="alert.acknowledge",
        entity_type="AlertRule",
        entity_id=str(rule.pk),
        entity_name=rule.name,
        changes={"state": rule.state, "change": rule.changes},
    )
    rule.save(update_fields=["acknowledged_by", "acknowledged_name", "acknowledged_at"])
    return rule


@requires_transaction
def locked(rule_id: UUID) -> AlertRule:
    """Raises RuleNotFound."""
    rule = AlertRule.objects.present().select_for_update().filter(pk=rule_id).first()
    if rule is None:
        raise RuleNotFound(rule_id)
    return rule


def _set(rule: AlertRule, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        setattr(rule, name, value)
    rule.name = _name(rule)
    try:
        metric = metrics.get(rule.metric)
    except metrics.UnknownMetric as e:
        raise RuleRefused(_WIRE["metric"], str(e)) from e
    if rule.operator not in Operator.values:
        raise RuleRefused(_WIRE["operator"], f"is one of {', '.join(Operator.values)}.")
    if rule.severity not in Severity.values:
        raise RuleRefused(_WIRE["severity"], f"is one of {', '.join(Severity.values)}.")
    rule.threshold = float(rule.threshold)
    if not (math.isfinite(rule.threshold) and abs(rule.threshold) <= MOST_THRESHOLD):
        raise RuleRefused(_WIRE["threshold"], f"is a number from -{MOST_THRESHOLD:.0f} to {MOST_THRESHOLD:.0f}.")
    _check_window(rule, metric)
    _check_span("lasting_seconds", rule.lasting_seconds, LONGEST_LASTING)
    _check_span("cooldown_seconds", rule.cooldown_seconds, LONGEST_COOLDOWN)
    rule.channels = _channels(rule.channels)


def _name(rule: AlertRule) -> str:
    name = rule.name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise RuleRefused(_WIRE["name"], f"is one line of at most {LONGEST_NAME} characters.")
    if AlertRule.objects.present().filter(name=name).exclude(pk=rule.pk).exists():
        raise RuleRefused(_WIRE["name"], "is taken by another rule.")
    return name


def _check_window(rule: AlertRule, metric: metrics.Metric) -> None:
    field, window = _WIRE["window_seconds"], rule.window_seconds
    if metric.longest is None:
        if window is not None:
            raise RuleRefused(field, f"{metric.name} is of the moment and takes no window: leave it out.")
        return
    least, most = int(LEAST_WINDOW.total_seconds()), int(metric.longest.total_seconds())
    if window is None or not least <= window <= most:
        raise RuleRefused(field, f"{metric.name} is counted over {least} to {most} seconds: say over how many.")


def _check_span(name: str, seconds: int, longest: timedelta) -> None:
    most = int(longest.total_seconds())
    if not 0 <= seconds <= most:
        raise RuleRefused(_WIRE[name], f"is 0 to {most} seconds.")


def _channels(given: Sequence[str]) -> list[str]:
    """Ids of providers that are there; they stay there until this transaction is over."""
    wanted = list(dict.fromkeys(str(one) for one in given))
    if len(wanted) > MOST_CHANNELS:
        raise RuleRefused(_WIRE["channels"], f"are at most {MOST_CHANNELS}.")
    rows = NotificationProvider.objects.present().select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
    there = {str(row.pk) for row in rows}
    if not there.issuperset(wanted):
        raise RuleRefused(_WIRE["channels"], "has an id that is no notification provider.")
    return wanted


def _one_at_a_time() -> None:
    """Of two who take the same name at once, the second finds it taken."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"alert-rules:{context.tenant_id()}"])
