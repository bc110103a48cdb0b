"""What a tenant keeps, for how long, and what it holds."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel

MIN_DAYS = 1
MAX_DAYS = 36500
# From which of a row's moments its days are counted: its own clock, as the catalogue names it.
CLOCK = "clock"


class Mode(models.TextChoices):
    """Who may shorten. A mode is tightened by anybody who may set a policy."""

    NORMAL = "normal", "Normal"
    GOVERNANCE = "governance", "Governance"  # with a reason and a second person
    COMPLIANCE = "compliance", "Compliance"  # nobody; it is never left


class RetentionPolicyQuerySet(TenantQuerySet["RetentionPolicy"]):
    def held(self) -> "RetentionPolicyQuerySet":
        return self.filter(legal_hold=True)

    def by_class(self) -> "RetentionPolicyQuerySet":
        return self.order_by("data_class")


class RetentionPolicy(TenantModel):
    """How long a tenant keeps one data class, and whether all of that class is on legal hold.

    What counts at a moment is what its versions say: ask `retention.in_force`. `retention_days` and `mode` repeat it
    for whoever looks at the table; the database refuses to shorten them unless a version says so. It moves the
    tenant's hold epoch whenever `legal_hold` changes, whoever changes it.
    """

    data_class = models.CharField(max_length=32)
    retention_days = models.PositiveIntegerField(
        validators=[MinValueValidator(MIN_DAYS), MaxValueValidator(MAX_DAYS)],
        help_text=f"Days from each row's own clock, {MIN_DAYS} to {MAX_DAYS}.",
    )
    mode = models.CharField(max_length=16, choices=Mode.choices, default=Mode.NORMAL)
    legal_hold = models.BooleanField(default=False, help_text="Nothing of this class is deleted while it is set.")
    hold_reason = models.CharField(max_length=500, default="", blank=True)
    held_since = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)
    updated_by = models.CharField(max_length=64, default="", help_text="Id of the member, key or job that acted last.")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = TenantManager.from_queryset(RetentionPolicyQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "retention policy"
        verbose_name_plural = "retention policies"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "data_class"], name="policy_once_per_class"),
            models.CheckConstraint(
                condition=Q(retention_days__gte=MIN_DAYS, retention_days__lte=MAX_DAYS), name="policy_days_in_range"
            ),
            models.CheckConstraint(condition=Q(mode__in=Mode.values), name="policy_mode_known"),
            models.CheckConstraint(
                condition=Q(legal_hold=True, held_since__isnull=False) | Q(legal_hold=False, held_since=None),
                name="policy_hold_has_its_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.data_class}: {self.retention_days} days{', held' if self.legal_hold else ''}"
