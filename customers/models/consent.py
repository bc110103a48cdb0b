"""What customers allowed and forbade. An opt-out outlives the person's erasure, under a key that names nobody."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from customers.models.base import AboutCustomer, customer_key
from kaireon.lib import clock
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel

ANY_CHANNEL = "any"


class ConsentStatus(models.TextChoices):
    GRANTED = "granted", "Granted"
    WITHDRAWN = "withdrawn", "Withdrawn"


class ConsentQuerySet(TenantQuerySet["ConsentRecord"]):
    def evidence(self) -> "ConsentQuerySet":
        """What is left of erased customers."""
        return self.filter(customer=None)

    def keyed(self, keys: list[str]) -> "ConsentQuerySet":
        """What erasure left under one of these keys, or marked so because a hold keeps it; see customers.subjects."""
        return self.filter(Q(subject_key__in=keys) | Q(email_key__in=keys))


class ConsentRecord(TenantModel):
    """One statement: granted or withdrawn, on a channel, for a purpose, at a time.

    Erasure takes `customer` and `source` away and writes the keys; channel, purpose, status and times stay as evidence.
    `withdrawn_at` is set on a withdrawal and on the grants it ended: retention counts from there.
    """

    customer = customer_key(null=True)
    subject_key = models.CharField(max_length=80, blank=True, default="", editable=False)
    email_key = models.CharField(max_length=80, blank=True, default="", editable=False)
    channel = models.CharField(max_length=32)
    purpose = models.CharField(max_length=64)
    status = models.CharField(max_length=16, choices=ConsentStatus.choices)
    source = models.CharField(max_length=128, blank=True, default="", help_text="Where it was given: a form, a call.")
    policy_version = models.CharField(max_length=64, blank=True, default="", help_text="The text they agreed to.")
    recorded_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    objects = TenantManager.from_queryset(ConsentQuerySet)()

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "customer", "channel", "purpose", "recorded_at"], name="consent_once"
            ),
            models.CheckConstraint(
                condition=Q(customer__isnull=False) | ~Q(subject_key=""), name="consent_is_about_somebody"
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "subject_key"], name="consent_by_subject_key"),
            models.Index(fields=["tenant", "email_key"], name="consent_by_email_key"),
            models.Index(fields=["tenant", "withdrawn_at"], name="consent_by_withdrawal"),
            models.Index(fields=["tenant", "recorded_at"], name="consent_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.channel}/{self.purpose}"


class SuppressionQuerySet(TenantQuerySet["Suppression"]):
    def active(self, now: datetime) -> "SuppressionQuerySet":
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now))

    def on_channel(self, channel: str) -> "SuppressionQuerySet":
        return self.filter(channel__in=[channel, ANY_CHANNEL])


class Suppression(AboutCustomer):
    """Do not contact this customer on this channel (`any`: on none) until it expires, or ever."""

    channel = models.CharField(max_length=32, default=ANY_CHANNEL)
    reason = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField(default=clock.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(SuppressionQuerySet)()

    class Meta(AboutCustomer.Meta):
        indexes = [
            models.Index(fields=["tenant", "customer", "channel"], name="suppression_by_customer"),
            models.Index(fields=["tenant", "expires_at"], name="suppression_by_expiry"),
        ]


class TombstoneQuerySet(TenantQuerySet["SuppressionTombstone"]):
    def active(self, now: datetime) -> "TombstoneQuerySet":
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now))

    def on_channel(self, channel: str) -> "TombstoneQuerySet":
        return self.filter(channel__in=[channel, ANY_CHANNEL])

    def keyed(self, keys: list[str]) -> "TombstoneQuerySet":
        return self.filter(subject_key__in=keys)


class SuppressionTombstone(TenantModel):
    """What erasure leaves of a suppression: a keyed hash of the customer's number or address, and the channel."""

    subject_key = models.CharField(max_length=80)
    channel = models.CharField(max_length=32, default=ANY_CHANNEL)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(TombstoneQuerySet)()

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "subject_key", "channel"], name="tombstone_once")]
        indexes = [models.Index(fields=["tenant", "expires_at"], name="tombstone_by_expiry")]

    def __str__(self) -> str:
        return f"suppression tombstone {self.pk}"
