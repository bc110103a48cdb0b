"""Rules, their history and notification providers on the wire."""

from typing import Any

from rest_framework import serializers

from compliance.alerting import messages, metrics, notifications, providers, rules
from compliance.alerting.rules import FIELDS
from compliance.models import (
    AlertChange,
    AlertNotification,
    AlertRule,
    AlertState,
    NotificationProvider,
    NotificationState,
    Operator,
    ProviderKind,
    Severity,
)
from kaireon.api.serializers import PageOut, StrictSerializer
from kaireon.lib import clock

_OF_FIELD = {wire: name for name, wire in FIELDS.items()}


class Whole(serializers.IntegerField):
    """A JSON integer and nothing that could be taken for one."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            raise serializers.ValidationError("must be a whole number of seconds.")
        return int(super().to_internal_value(data))


class Number(serializers.FloatField):
    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            raise serializers.ValidationError("must be a number.")
        try:
            return float(data)
        except OverflowError as e:
            raise serializers.ValidationError("is too large.") from e


class AlertChangeIn(StrictSerializer):
    """What of a rule can be set; every field by itself."""

    name = serializers.CharField(max_length=rules.LONGEST_NAME, required=False, help_text="Names no customer.")
    metric = serializers.CharField(max_length=64, required=False, help_text="One of GET /alerts/metrics.")
    operator = serializers.ChoiceField(choices=Operator.choices, required=False)
    threshold = Number(required=False, help_text="In the metric's unit.")
    windowSeconds = Whole(
        required=False, allow_null=True, min_value=1, max_value=2**31 - 1, help_text="Of a metric that is counted."
    )
    forSeconds = Whole(
        required=False, min_value=0, max_value=2**31 - 1, help_text="How long the limit is crossed before it fires."
    )
    cooldownSeconds = Whole(
        required=False, min_value=0, max_value=2**31 - 1, help_text="After it ended it does not fire for so long."
    )
    severity = serializers.ChoiceField(choices=Severity.choices, required=False)
    channels = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=rules.MOST_CHANNELS, help_text="Ids of providers."
    )
    alertOnNoData = serializers.BooleanField(required=False, help_text="Whether no data alerts; default true.")
    enabled = serializers.BooleanField(required=False)

    def given(self) -> dict[str, Any]:
        """By the names that services know."""
        return {_OF_FIELD[wire]: value for wire, value in self.validated_data.items()}


class AlertIn(AlertChangeIn):
    NEEDED = ("name", "metric", "operator", "threshold")

    def get_fields(self) -> Any:
        fields = super().get_fields()
        for name in self.NEEDED:
            fields[name].required = True
        return fields


class AlertSilenceIn(StrictSerializer):
    until = serializers.DateTimeField(allow_null=True, help_text="At most 30 days from now; null speaks again.")
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=rules.LONGEST_REASON)


class AlertOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    metric = serializers.CharField()
    operator = serializers.ChoiceField(choices=Operator.choices)
    threshold = serializers.FloatField()
    unit = serializers.ChoiceField(choices=[(unit.value, unit.value) for unit in metrics.Unit])
    condition = serializers.CharField(help_text="The same in words.")
    windowSeconds = serializers.IntegerField(allow_null=True)
    forSeconds = serializers.IntegerField()
    cooldownSeconds = serializers.IntegerField()
    severity = serializers.ChoiceField(choices=Severity.choices)
    channels = serializers.ListField(child=serializers.UUIDField())
    alertOnNoData = serializers.BooleanField()
    enabled = serializers.BooleanField()
    state = serializers.ChoiceField(choices=AlertState.choices)
    since = serializers.DateTimeField(allow_null=True)
    value = serializers.FloatField(allow_null=True)
    evaluatedAt = serializers.DateTimeField(allow_null=True)
    alerting = serializers.BooleanField(help_text="An alert is open: it fires, or has no data and alerts on that.")
    acknowledgedBy = serializers.CharField(allow_null=True)
    acknowledgedAt = serializers.DateTimeField(allow_null=True)
    silencedUntil = serializers.DateTimeField(allow_null=True)
    silenceReason = serializers.CharField(allow_null=True)
    createdAt = serializers.DateTimeField()
    updatedAt = serializers.DateTimeField()


class AlertsOut(PageOut):
    alerts = AlertOut(many=True)


class NotificationOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    provider = serializers.CharField()
    kind = serializers.CharField(source="word", help_text="firing, no_data, resolved or test.")
    state = serializers.ChoiceField(choices=NotificationState.choices)
    error = serializers.CharField(allow_null=True)
    madeAt = serializers.DateTimeField()
    settledAt = serializers.DateTimeField(allow_null=True)


class AlertChangeOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    number = serializers.IntegerField()
    was = serializers.ChoiceField(choices=AlertState.choices)
    became = serializers.ChoiceField(choices=AlertState.choices)
    value = serializers.FloatField(allow_null=True)
    threshold = serializers.FloatField()
    reason = serializers.CharField()
    at = serializers.DateTimeField()
    notifications = NotificationOut(many=True)


class AlertHistoryOut(PageOut):
    alertId = serializers.UUIDField()
    changes = AlertChangeOut(many=True)


class AlertMetricOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField()
    help = serializers.CharField()
    unit = serializers.CharField()
    longestWindowSeconds = serializers.IntegerField(allow_null=True, help_text="null: it is of the moment.")


class AlertMetricsOut(serializers.Serializer[Any]):
    metrics = AlertMetricOut(many=True)


class ProviderChangeIn(StrictSerializer):
    name = serializers.CharField(max_length=providers.LONGEST_NAME, required=False)
    url = serializers.CharField(
        required=False, help_text="Of a webhook, or of the webhook of a Slack or Teams channel. Never shown again."
    )
    secret = serializers.CharField(
        required=False, max_length=256, trim_whitespace=False, help_text="Signs what a webhook gets. Never shown."
    )
    recipients = serializers.ListField(
        child=serializers.CharField(max_length=254), required=False, max_length=providers.MOST_RECIPIENTS
    )
    enabled = serializers.BooleanField(required=False)


class ProviderIn(ProviderChangeIn):
    kind = serializers.ChoiceField(choices=ProviderKind.choices)

    def get_fields(self) -> Any:
        fields = super().get_fields()
        fields["name"].required = True
        return fields


class ProviderOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=ProviderKind.choices)
    host = serializers.CharField(allow_null=True, help_text="Of its address, which is not shown.")
    recipients = serializers.ListField(child=serializers.CharField())
    enabled = serializers.BooleanField()
    last = NotificationOut(allow_null=True, help_text="The newest notification, and whether it arrived.")
    createdAt = serializers.DateTimeField()
    updatedAt = serializers.DateTimeField()


class ProvidersOut(PageOut):
    providers = ProviderOut(many=True)


def shown_rule(rule: AlertRule) -> dict[str, Any]:
    known = metrics.METRICS.get(rule.metric)
    return {
        "id": str(rule.pk),
        **{wire: getattr(rule, name) for name, wire in FIELDS.items()},
        "unit": known.unit if known else metrics.Unit.COUNT,
        "condition": notifications.condition_of(rule),
        "state": rule.state,
        "since": _moment(rule.entered_at),
        "value": rule.value,
        "evaluatedAt": _moment(rule.evaluated_at),
        "alerting": rule.is_raised,
        "acknowledgedBy": rule.acknowledged_name or None,
        "acknowledgedAt": _moment(rule.acknowledged_at),
        "silencedUntil": _moment(rule.silenced_until),
        "silenceReason": rule.silence_reason or None,
        "createdAt": _moment(rule.created_at),
        "updatedAt": _moment(rule.updated_at),
    }


def shown_change(change: AlertChange) -> dict[str, Any]:
    return {
        "id": str(change.pk),
        "number": change.number,
        "was": change.was,
        "became": change.became,
        "value": change.value,
        "threshold": change.threshold,
        "reason": change.reason,
        "at": _moment(change.at),
        "notifications": [shown_notification(one) for one in change.notifications.all()],
    }


def shown_notification(one: AlertNotification) -> dict[str, Any]:
    return {
        "id": str(one.pk),
        "provider": one.provider.name,
        "kind": one.word,
        "state": one.state,
        "error": one.error or None,
        "madeAt": _moment(one.made_at),
        "settledAt": _moment(one.settled_at),
    }


def shown_provider(row: NotificationProvider) -> dict[str, Any]:
    last = row.notifications.select_related("provider").order_by("-made_at", "-pk").first()
    return {
        "id": str(row.pk),
        "name": row.name,
        "kind": row.kind,
        "host": row.host or None,
        "recipients": row.recipients,
        "enabled": row.is_enabled,
        "last": shown_notification(last) if last else None,
        "createdAt": _moment(row.created_at),
        "updatedAt": _moment(row.updated_at),
    }


def shown_metric(metric: metrics.Metric) -> dict[str, Any]:
    return {
        "name": metric.name,
        "title": metric.title,
        "help": metric.help,
        "unit": metric.unit,
        "longestWindowSeconds": int(metric.longest.total_seconds()) if metric.longest else None,
    }


def shown_value(rule: AlertRule) -> str:
    """What was found last, for people."""
    known = metrics.METRICS.get(rule.metric)
    return messages.shown(rule.value, known.unit if known else metrics.Unit.COUNT)


def _moment(at: Any) -> str | None:
    return clock.rfc3339(at) if at is not None else None
