"""What was decided about customers: traces (partitioned by month), what earned the credit, who saw which variant."""

from django.db import models

from customers.models.base import AboutCustomer
from kaireon.lib import clock


class DecisionTrace(AboutCustomer):
    """Why a customer was shown, or refused, what they were shown."""

    decision = models.CharField(max_length=64)
    channel = models.CharField(max_length=32, blank=True, default="")
    outcome = models.CharField(max_length=128, blank=True, default="")
    score = models.DecimalField(max_digits=12, decimal_places=8, null=True, blank=True)
    model_version = models.CharField(max_length=64, blank=True, default="")
    inputs = models.JSONField(default=dict, blank=True)
    reasons = models.JSONField(default=list, blank=True)
    decided_at = models.DateTimeField()
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta(AboutCustomer.Meta):
        indexes = [
            models.Index(fields=["tenant", "customer", "decided_at"], name="trace_by_customer"),
            models.Index(fields=["tenant", "decided_at"], name="trace_by_time"),
        ]


class AttributionResult(AboutCustomer):
    """The share of a conversion that a channel is credited with."""

    method = models.CharField(max_length=32, help_text="Such as last_touch or linear.")
    channel = models.CharField(max_length=32)
    conversion = models.CharField(max_length=128, help_text="The conversion's external id.")
    credit = models.DecimalField(max_digits=9, decimal_places=8, help_text="0 to 1.")
    amount = models.DecimalField(max_digits=18, decimal_places=4, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True, default="")
    recorded_at = models.DateTimeField(default=clock.now)

    class Meta(AboutCustomer.Meta):
        indexes = [
            models.Index(fields=["tenant", "customer", "recorded_at"], name="attribution_by_customer"),
            models.Index(fields=["tenant", "recorded_at"], name="attribution_by_time"),
        ]


class VariantAssignment(AboutCustomer):
    """The arm of an experiment that a customer is in."""

    experiment = models.CharField(max_length=64)
    variant = models.CharField(max_length=64)
    recorded_at = models.DateTimeField(default=clock.now)

    class Meta(AboutCustomer.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "customer", "experiment"], name="variant_once")]
        indexes = [models.Index(fields=["tenant", "recorded_at"], name="variant_by_time")]
