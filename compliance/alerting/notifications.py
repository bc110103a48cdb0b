"""Telling people: one message of the outbox to each provider of a rule, in the transaction of what it tells of."""

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction as database
from django.urls import reverse

import audit
from compliance.alerting import messages, metrics
from compliance.alerting.messages import Said
from compliance.models import (
    AlertChange,
    AlertNotification,
    AlertRule,
    NotificationProvider,
    NotificationState,
    Operator,
    ProviderKind,
)
from kaireon.lib.ids import uuid7
from kaireon.outbox import services as outbox
from kaireon.outbox import topics
from kaireon.outbox.models import Destination
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.models import Tenant

TEST = "test"
TOPICS: dict[str, str] = {kind: f"alert.{kind}" for kind in ProviderKind.values}


@requires_transaction
def tell(rule: AlertRule, change: AlertChange, word: str, *, now: datetime) -> int:
    """Say this word of the rule to each of its providers; to how many it goes. One that is off is noted, not told."""
    providers = NotificationProvider.objects.present().filter(pk__in=rule.channels).order_by("name")
    said = _said(rule, change, word, now)
    sent = [_send(provider, said, change=change, now=now) for provider in providers]
    return sum(one.message_ref is not None for one in sent)


@requires_transaction
def test(provider: NotificationProvider, *, now: datetime) -> AlertNotification:
    """Send a message that says only that it is a test; recorded as `notification_provider.test`.

    What became of it stands in the notification a moment later.
    """
    audit.record(
        action="notification_provider.test",
        entity_type="NotificationProvider",
        entity_id=str(provider.pk),
        entity_name=provider.name,
    )
    return _send(provider, Said(word=TEST, tenant=_tenant_name(), at=now), change=None, now=now)


@requires_transaction
def settled(message_id: UUID, *, delivered: bool, error: str, now: datetime) -> None:
    """Called by the outbox in the transaction in which a message of ours is delivered or dies."""
    notice = AlertNotification.objects.select_for_update().filter(message_ref=message_id).first()
    if notice is None:
        return
    audit.action("alert.told" if delivered else "alert.not_told", entity=notice)
    AlertNotification.objects.filter(pk=notice.pk).update(
        state=NotificationState.DELIVERED if delivered else NotificationState.FAILED,
        error="" if delivered else error[:64],
        settled_at=now,
    )


def condition_of(rule: AlertRule) -> str:
    """`Overdue requests > 0, for 5 min`"""
    known = metrics.METRICS.get(rule.metric)
    title, unit = (known.title, known.unit) if known else (rule.metric, metrics.Unit.COUNT)
    limit = f"{title} {Operator(rule.operator).label} {messages.shown(rule.threshold, unit)}"
    over = f" over {messages.span(rule.window_seconds)}" if rule.window_seconds else ""
    lasting = f", for {messages.span(rule.lasting_seconds)}" if rule.lasting_seconds else ""
    return limit + over + lasting


def _said(rule: AlertRule, change: AlertChange, word: str, now: datetime) -> Said:
    known = metrics.METRICS.get(rule.metric)
    unit = known.unit if known else metrics.Unit.COUNT
    return Said(
        word=word,
        tenant=_tenant_name(),
        at=now,
        url=settings.PUBLIC_URL + reverse("admin:compliance_alertrule_change", args=[rule.pk])
        if settings.PUBLIC_URL
        else "",
        rule_id=str(rule.pk),
        change_id=str(change.pk),
        rule=rule.name,
        severity=rule.severity,
        metric=rule.metric,
        title=known.title if known else rule.metric,
        operator=rule.operator,
        threshold=rule.threshold,
        number=rule.value,
        unit=unit,
        window=rule.window_seconds,
        condition=condition_of(rule),
        value=messages.shown(rule.value, unit),
        reason=change.reason,
    )


def _send(
    provider: NotificationProvider, said: Said, *, change: AlertChange | None, now: datetime
) -> AlertNotification:
    notice = AlertNotification(id=uuid7(), provider=provider, change=change, word=said.word, made_at=now)
    audit.action("alert.tell", entity=notice)
    if not provider.is_enabled and said.word != TEST:
        notice.state, notice.settled_at = NotificationState.OFF, now
        notice.save(force_insert=True)
        return notice
    payload: dict[str, Any] = messages.FORMS[provider.kind](said, provider.recipients)
    message = outbox.publish(
        topic=TOPICS[provider.kind],
        destination=Destination.objects.values_list("name", flat=True).get(pk=provider.destination_ref),
        payload=payload,
        now=now,
        # What was said first arrives first.
        ordering_key=f"alert:{provider.pk}:{said.rule_id}" if said.rule_id else "",
    )
    notice.message_ref = message.pk
    notice.save(force_insert=True)
    database.on_commit(partial(outbox.wake, message))
    return notice


def _tenant_name() -> str:
    return Tenant.objects.values_list("name", flat=True).get(pk=context.tenant_id())


_ANYTHING = {"type": "object"}
_WEBHOOK = {
    "type": "object",
    "properties": {"kind": {"enum": [*messages.TITLES]}, "at": {"type": "string", "format": "date-time"}},
    "required": ["kind", "at"],
}
for _kind, _name in TOPICS.items():
    _schema = {ProviderKind.EMAIL: topics.MAIL, ProviderKind.WEBHOOK: _WEBHOOK}.get(ProviderKind(_kind), _ANYTHING)
    topics.register(_name, schema=_schema, settled=settled)
