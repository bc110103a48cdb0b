"""What is watched for a tenant, each change of where a rule stands, and who was told of it."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from compliance.alerting.states import Seen, Standing, State
from kaireon.tenancy.fields import ExactFloat
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class Operator(models.TextChoices):
    GT = "gt", ">"
    GTE = "gte", "≥"
    LT = "lt", "<"
    LTE = "lte", "≤"
    EQ = "eq", "="
    NE = "ne", "≠"


class Severity(models.TextChoices):
    INFO = "info", "Info"
    WARNING = "warning", "Warning"
    CRITICAL = "critical", "Critical"


class AlertState(models.TextChoices):
    OK = State.OK, "OK"
    PENDING = State.PENDING, "Pending"
    FIRING = State.FIRING, "Firing"
    RESOLVED = State.RESOLVED, "Resolved"
    NO_DATA = State.NO_DATA, "No data"


class ProviderKind(models.TextChoices):
    WEBHOOK = "webhook", "Webhook"
    SLACK = "slack", "Slack"
    TEAMS = "teams", "Microsoft Teams"
    EMAIL = "email", "E-mail"


class ProviderQuerySet(TenantQuerySet["NotificationProvider"]):
    def present(self) -> "ProviderQuerySet":
        return self.filter(removed_at=None)


class NotificationProvider(TenantModel):
    """A way to tell people. Its address or secret is sealed with the destination it has in the outbox."""

    name = models.CharField(max_length=64)
    kind = models.CharField(max_length=16, choices=ProviderKind.choices)
    destination_ref = models.UUIDField(help_text="The outbox's destination.")
    host = models.CharField(max_length=255, default="", blank=True, help_text="Of its address, which is not shown.")
    recipients = models.JSONField(default=list, blank=True, help_text="Of e-mail: addresses of our own people.")
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(ProviderQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "notification provider"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], condition=Q(removed_at=None), name="provider_name_once"),
            models.CheckConstraint(condition=Q(kind__in=ProviderKind.values), name="provider_kind_known"),
        ]

    def __str__(self) -> str:
        return self.name


class AlertRuleQuerySet(TenantQuerySet["AlertRule"]):
    def present(self) -> "AlertRuleQuerySet":
        return self.filter(removed_at=None)

    def watched(self) -> "AlertRuleQuerySet":
        """Those that are evaluated."""
        return self.present().filter(is_enabled=True)

    def alerting(self) -> "AlertRuleQuerySet":
        """With an alert that is open now."""
        return self.watched().filter(is_raised=True)


class AlertRule(TenantModel):
    """What is watched, and where it stands. The standing moves with every evaluation and is no change of the rule:
    the log does not capture it, and has each change of state from `AlertChange`.
    """

    name = models.CharField(max_length=100, help_text="Name no customer: it stands in the audit log and in messages.")
    metric = models.CharField(max_length=64)
    operator = models.CharField(max_length=3, choices=Operator.choices)
    threshold = ExactFloat()
    window_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="The figure is counted over so long.")
    lasting_seconds = models.PositiveIntegerField(default=0, help_text="How long the limit is crossed before it fires.")
    cooldown_seconds = models.PositiveIntegerField(default=0, help_text="It does not fire again for so long.")
    severity = models.CharField(max_length=16, choices=Severity.choices, default=Severity.WARNING)
    channels = models.JSONField(default=list, blank=True, help_text="Ids of notification providers.")
    alerts_without_data = models.BooleanField(default=True)
    is_enabled = models.BooleanField(default=True)
    silenced_until = models.DateTimeField(null=True, blank=True)
    silence_reason = models.CharField(max_length=200, default="", blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    state = models.CharField(max_length=16, choices=AlertState.choices, default=AlertState.OK)
    entered_at = models.DateTimeField(null=True, blank=True, help_text="Since when it is in this state.")
    evaluated_at = models.DateTimeField(null=True, blank=True)
    value = ExactFloat(null=True, blank=True, help_text="What was found last.")
    seen = models.CharField(max_length=8, default="", blank=True)
    crossed_seconds = ExactFloat(null=True, blank=True)
    cooling_seconds = ExactFloat(default=0)
    is_raised = models.BooleanField(default=False)
    told = models.CharField(max_length=16, default="", blank=True, help_text="What was said last of an open alert.")
    changes = models.PositiveIntegerField(default=0, help_text="How often the state changed.")
    acknowledged_by = models.CharField(max_length=64, default="", blank=True)
    acknowledged_name = models.CharField(max_length=200, default="", blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(AlertRuleQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "alert rule"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], condition=Q(removed_at=None), name="alert_name_once"),
            models.CheckConstraint(condition=Q(operator__in=Operator.values), name="alert_operator_known"),
            models.CheckConstraint(condition=Q(severity__in=Severity.values), name="alert_severity_known"),
            models.CheckConstraint(condition=Q(state__in=AlertState.values), name="alert_state_known"),
            # Neither NaN, which is larger than all, nor infinite.
            models.CheckConstraint(condition=Q(threshold__gte=-1e12, threshold__lte=1e12), name="alert_threshold_sane"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def standing(self) -> Standing:
        return Standing(
            state=State(self.state),
            seen=Seen(self.seen) if self.seen else None,
            crossed=self.crossed_seconds,
            cooling=self.cooling_seconds,
            is_raised=self.is_raised,
        )

    @standing.setter
    def standing(self, now: Standing) -> None:
        self.state, self.seen = now.state, now.seen or ""
        self.crossed_seconds, self.cooling_seconds, self.is_raised = now.crossed, now.cooling, now.is_raised

    def is_silenced(self, now: datetime) -> bool:
        return self.silenced_until is not None and now < self.silenced_until


class AlertChange(TenantModel):
    """That a rule went from one state to another: written once, in the transaction that moved it, and never changed."""

    rule = models.ForeignKey(AlertRule, on_delete=models.DO_NOTHING, db_constraint=False, related_name="history")
    number = models.PositiveIntegerField(help_text="The rule's first change is 1.")
    was = models.CharField(max_length=16, choices=AlertState.choices)
    became = models.CharField(max_length=16, choices=AlertState.choices)
    value = ExactFloat(null=True, blank=True)
    threshold = ExactFloat()
    reason = models.CharField(max_length=32, help_text="evaluated, switched_off, removed or metric_failed.")
    at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        verbose_name = "change of an alert"
        constraints = [models.UniqueConstraint(fields=["tenant", "rule", "number"], name="alert_change_once")]
        indexes = [models.Index(fields=["tenant", "-at"], name="alert_changes_by_time")]

    def __str__(self) -> str:
        return f"{self.was} → {self.became}"


class NotificationState(models.TextChoices):
    WAITING = "waiting", "On its way"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Failed"
    OFF = "off", "Provider is off"


class AlertNotification(TenantModel):
    """One message to one provider, and whether it arrived. `change` is what it tells of; a test tells of none."""

    provider = models.ForeignKey(
        NotificationProvider, on_delete=models.DO_NOTHING, db_constraint=False, related_name="notifications"
    )
    change = models.ForeignKey(
        AlertChange, on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="notifications"
    )
    word = models.CharField(max_length=16, help_text="firing, no_data, resolved or test.")
    message_ref = models.UUIDField(null=True, blank=True)
    state = models.CharField(max_length=16, choices=NotificationState.choices, default=NotificationState.WAITING)
    error = models.CharField(max_length=64, default="", blank=True)
    made_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta(TenantModel.Meta):
        verbose_name = "notification"
        constraints = [
            models.CheckConstraint(condition=Q(state__in=NotificationState.values), name="notification_state_known")
        ]
        indexes = [
            models.Index(fields=["tenant", "provider", "-made_at"], name="notifications_of_provider"),
            models.Index(fields=["tenant", "change"], name="notifications_of_change"),
            models.Index(fields=["tenant", "message_ref"], name="notification_by_message"),
        ]

    def __str__(self) -> str:
        return f"{self.word} {self.pk}"
