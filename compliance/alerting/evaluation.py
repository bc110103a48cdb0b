"""Evaluating a tenant's rules: read each figure once, move each rule, all in one transaction.

Either all of it happened or none: a process that dies anywhere leaves every rule as it was, and the next evaluation
finds it there. Of two at the same time one evaluates and the other leaves it to that one.
"""

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import eq, ge, gt, le, lt, ne

from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection

from compliance.alerting import history, metrics
from compliance.alerting.metrics import Asked
from compliance.alerting.states import Seen, Terms, step
from compliance.models import AlertRule
from kaireon.lib.budget import Budget
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction, transaction

logger = logging.getLogger("kaireon.alerts")

# Of one statement; a figure that takes longer is no data.
LONGEST_READ = timedelta(seconds=5)
OUT_OF_TIME = "OutOfTime"
COMPARE = {"gt": gt, "gte": ge, "lt": lt, "lte": le, "eq": eq, "ne": ne}

Key = tuple[str, int | None]


@dataclass(frozen=True, kw_only=True)
class Found:
    """A figure as it was read; `error` is the kind of failure when it could not be."""

    value: float | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What an evaluation came to. `errors` names figures that could not be read, and the kind of failure."""

    rules: int = 0
    alerting: int = 0
    changes: int = 0
    notified: int = 0
    is_elsewhere: bool = False
    errors: tuple[str, ...] = ()


@requires_transaction
def evaluate(*, now: datetime, budget: Budget | None = None) -> Evaluated:
    """Evaluate every rule of the active tenant. `is_elsewhere`: somebody else is at it, and nothing was done.

    When the budget is spent, figures that were not read yet are no data: slow ones hold up no other tenant.
    """
    if not _alone():
        return Evaluated(is_elsewhere=True)
    found = read(AlertRule.objects.watched().values_list("metric", "window_seconds"), now=now, budget=budget)
    rules = list(AlertRule.objects.watched().select_for_update().order_by("pk"))
    changes = notified = 0
    moved = []
    for rule in rules:
        # One that was changed while the figures were read has its turn next time.
        value = found.get((rule.metric, rule.window_seconds))
        if value is None:
            continue
        before = rule.changes
        notified += _evaluate(rule, value, now)
        changes += rule.changes - before
        moved.append(rule)
    AlertRule.objects.bulk_update(moved, history.STANDING)
    return Evaluated(
        rules=len(moved),
        alerting=sum(rule.is_raised for rule in moved),
        changes=changes,
        notified=notified,
        errors=tuple(sorted({f"{name}: {one.error}" for (name, _), one in found.items() if one.error})),
    )


@requires_transaction
def read(wanted: Iterable[Key], *, now: datetime, budget: Budget | None = None) -> Mapping[Key, Found]:
    """Each of these figures, once. None that fails or takes too long keeps another from being read, as long as there
    is time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('statement_timeout', %s, true)", [f"{LONGEST_READ // timedelta(milliseconds=1)}ms"]
        )
    late = Found(error=OUT_OF_TIME)
    return {
        key: late if budget is not None and budget.spent else _read(*key, now) for key in sorted(set(wanted), key=str)
    }


def _evaluate(rule: AlertRule, found: Found, now: datetime) -> int:
    passed = (now - rule.evaluated_at).total_seconds() if rule.evaluated_at else 0.0
    terms = Terms(
        lasting=rule.lasting_seconds, cooldown=rule.cooldown_seconds, alerts_without_data=rule.alerts_without_data
    )
    rule.value, rule.evaluated_at = found.value, now
    reason = history.METRIC_FAILED if found.error else history.EVALUATED
    return history.move(rule, step(rule.standing, _seen(rule, found), terms, passed=passed), reason=reason, now=now)


def _seen(rule: AlertRule, found: Found) -> Seen:
    if found.value is None:
        return Seen.MISSING
    return Seen.CROSSED if COMPARE[rule.operator](found.value, rule.threshold) else Seen.CLEAR


def _read(name: str, window: int | None, now: datetime) -> Found:
    try:
        metric = metrics.get(name)
        with transaction():
            value = metric.read(Asked(now=now, since=now - timedelta(seconds=window or 0)))
    except SoftTimeLimitExceeded:
        # No fault of the figure's: the worker is about to be ended.
        raise
    except Exception as error:  # noqa: BLE001  one figure's failure is its value, and the others are still read
        logger.warning("alert_metric_failed", extra={"metric": name, "error_type": type(error).__name__})
        return Found(error=type(error).__name__)
    if value is None or not math.isfinite(value):
        return Found()
    return Found(value=float(value))


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"alerts:{context.tenant_id()}"])
        return bool(cursor.fetchone()[0])
