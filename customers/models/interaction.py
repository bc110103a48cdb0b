"""What customers did, by the row and in sums. Both tables are partitioned by month."""

from django.db import models

from customers.models.base import AboutCustomer
from kaireon.lib import clock
from kaireon.tenancy.managers import TenantManager, TenantQuerySet


class InteractionKind(models.TextChoices):
    IMPRESSION = "impression", "Impression"
    CLICK = "click", "Click"
    CONVERSION = "conversion", "Conversion"
    DISMISSAL = "dismissal", "Dismissal"
    PURCHASE = "purchase", "Purchase"
    REFUND = "refund", "Refund"
    VISIT = "visit", "Visit"
    MESSAGE = "message", "Message"
    CALL = "call", "Call"
    OTHER = "other", "Other"


class InteractionQuerySet(TenantQuerySet["Interaction"]):
    def newest_first(self) -> "InteractionQuerySet":
        return self.order_by("-occurred_at", "-id")


class Interaction(AboutCustomer):
    """One thing a customer did. `external_id` is the tenant's own number of it: sent twice, it is stored once."""

    kind = models.CharField(max_length=16, choices=InteractionKind.choices)
    channel = models.CharField(max_length=32, blank=True, default="")
    offer = models.CharField(max_length=128, blank=True, default="")
    quantity = models.BigIntegerField(null=True, blank=True)
    amount = models.DecimalField(max_digits=18, decimal_places=4, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True, default="", help_text="ISO 4217.")
    external_id = models.CharField(max_length=128)
    context = models.JSONField(default=dict, blank=True)
    occurred_at = models.DateTimeField()
    created_at = models.DateTimeField(default=clock.now, editable=False)

    objects = TenantManager.from_queryset(InteractionQuerySet)()

    class Meta(AboutCustomer.Meta):
        constraints = [
            # Given as expressions it is an index, which partitions take over. The partition's month must be in it, so
            # ingest looks the number up in all months first.
            models.UniqueConstraint("tenant", "external_id", "occurred_at", name="interaction_once")
        ]
        indexes = [
            models.Index(fields=["tenant", "customer", "occurred_at"], name="interaction_by_customer"),
            models.Index(fields=["tenant", "occurred_at"], name="interaction_by_time"),
        ]


class InteractionSummary(AboutCustomer):
    """A customer's interactions of one kind and channel over a period, in sums."""

    kind = models.CharField(max_length=16, choices=InteractionKind.choices)
    channel = models.CharField(max_length=32, blank=True, default="")
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    interactions = models.BigIntegerField(default=0)
    quantity = models.BigIntegerField(default=0)
    amount = models.DecimalField(max_digits=20, decimal_places=4, default=0)
    currency = models.CharField(max_length=3, blank=True, default="")
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta(AboutCustomer.Meta):
        verbose_name_plural = "interaction summaries"
        indexes = [
            models.Index(fields=["tenant", "customer", "period_end"], name="summary_by_customer"),
            models.Index(fields=["tenant", "period_end"], name="summary_by_period"),
        ]
