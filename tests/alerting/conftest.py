"""A figure to turn, rules over it, and evaluations at chosen moments."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from audit import services as log
from audit.models import AuditRecord
from compliance.alerting import evaluation, metrics, providers, rules
from compliance.alerting.evaluation import Evaluated
from compliance.alerting.metrics import Asked, Metric, Unit
from compliance.models import AlertChange, AlertNotification, AlertRule, NotificationProvider
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA, Person
from tests.outbox.conftest import SECRET, Receiver, acme, hook, receiver, receiver_on

__all__ = ["acme", "hook", "receiver", "receiver_on"]

NOON = clock.at("12:00")
FIGURE = "test_figure"
# What the figure is, by tenant; an exception is raised.
values: dict[str, Any] = {}


def _read(asked: Asked) -> float | None:
    from kaireon.tenancy import context

    value = values.get(context.tenant_id())
    if isinstance(value, Exception):
        raise value
    if callable(value):
        return float(value())
    return None if value is None else float(value)


metrics.register(
    Metric(name=FIGURE, title="Test figure", help="For tests.", unit=Unit.COUNT, read=_read),
    Metric(
        name="test_counted",
        title="Test count",
        help="For tests.",
        unit=Unit.COUNT,
        read=lambda asked: (asked.now - asked.since).total_seconds(),
        longest=timedelta(days=1),
    ),
)


@pytest.fixture(autouse=True)
def _figure() -> Iterator[None]:
    yield
    values.clear()


def figure(value: Any, tenant: str = ACME) -> None:
    values[tenant] = value


def make(who: Person = ADA, *, now: datetime = NOON, **given: Any) -> AlertRule:
    """A rule that fires above 10, at once unless told otherwise."""
    terms = {"name": "Too many", "metric": FIGURE, "operator": "gt", "threshold": 10, **given}
    with who.here(), transaction():
        return rules.create(given=terms, now=now)


def provider(who: Person = ADA, *, to: Receiver | None = None, **given: Any) -> NotificationProvider:
    if given.get("kind", "webhook") != "email":
        given.setdefault("url", to.url if to else "https://desk.example/hook")
    if given.get("kind", "webhook") == "webhook":
        given.setdefault("secret", SECRET)
    with who.here(), transaction():
        return providers.create(**{"name": "Desk", "kind": "webhook", "now": NOON, **given})


def evaluate(at: datetime = NOON, who: Person = ADA) -> Evaluated:
    with who.here(), transaction():
        return evaluation.evaluate(now=at)


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def again(rule: AlertRule, who: Person = ADA) -> AlertRule:
    with who.here(), transaction():
        return AlertRule.objects.get(pk=rule.pk)


def course(rule: AlertRule, who: Person = ADA) -> list[str]:
    """The states it went to, in order."""
    with who.here(), transaction():
        found = AlertChange.objects.filter(rule=rule).order_by("number")
        assert [change.number for change in found] == list(range(1, len(found) + 1))
        return [change.became for change in found]


def notices(who: Person = ADA) -> list[AlertNotification]:
    with who.here(), transaction():
        return list(AlertNotification.objects.select_related("provider").order_by("made_at", "pk"))


def recorded(*verbs: str, who: Person = ADA) -> list[AuditRecord]:
    with who.here():
        log.drain(who.tenant_id)
        with transaction():
            return list(AuditRecord.objects.filter(action__in=verbs).order_by("seq"))


@contextmanager
def away(at: datetime) -> Iterator[None]:
    with clock.freeze(at):
        yield
