"""What was decided about a class, and from when it counts."""

from datetime import datetime

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from compliance.models.policy import CLOCK, MAX_DAYS, MIN_DAYS, Mode, RetentionPolicy
from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class PolicyVersionQuerySet(TenantQuerySet["PolicyVersion"]):
    def newest(self) -> "PolicyVersionQuerySet":
        """The last decision of each policy, with the one it replaces."""
        return self.select_related("replaces").order_by("policy_id", "-number").distinct("policy_id")


class PolicyVersion(TenantModel):
    """One decision about a policy. Rows are added, never changed: the database refuses it for every role.

    It counts at once, or from `effective_from` when that is later than `created_at`. The newest one speaks alone: one
    that still waits when the next is decided never counts.
    """

    policy = models.ForeignKey(
        RetentionPolicy, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="versions"
    )
    data_class = models.CharField(max_length=32)
    number = models.PositiveIntegerField()
    replaces = models.ForeignKey(
        "self",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        help_text="What counted when this was decided, and counts until it takes effect.",
    )
    retention_days = models.PositiveIntegerField(validators=[MinValueValidator(MIN_DAYS), MaxValueValidator(MAX_DAYS)])
    anchor = models.CharField(max_length=32, default=CLOCK)
    mode = models.CharField(max_length=16, choices=Mode.choices, default=Mode.NORMAL)
    reason = models.CharField(max_length=500, default="", blank=True)
    approval_id = models.UUIDField(null=True, blank=True, help_text="The request that a second person agreed to.")
    decided_by = models.CharField(max_length=64, default="")
    created_at = models.DateTimeField()
    effective_from = models.DateTimeField()

    objects = TenantManager.from_queryset(PolicyVersionQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "version of a policy"
        verbose_name_plural = "versions of policies"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "policy", "number"], name="policy_version_once"),
            models.UniqueConstraint(fields=["tenant", "approval_id"], name="policy_version_by_approval"),
            models.CheckConstraint(
                condition=Q(retention_days__gte=MIN_DAYS, retention_days__lte=MAX_DAYS), name="version_days_in_range"
            ),
            models.CheckConstraint(condition=Q(mode__in=Mode.values), name="version_mode_known"),
            models.CheckConstraint(condition=Q(effective_from__gte=F("created_at")), name="version_not_in_the_past"),
        ]

    def __str__(self) -> str:
        return f"{self.data_class} {self.number}: {self.retention_days} days"

    def waits(self, now: datetime) -> bool:
        """Whether it takes effect later. What was to count at once does, also when the clock was moved back since."""
        return self.effective_from > self.created_at and now < self.effective_from
