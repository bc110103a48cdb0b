"""Why things are held: a case, an inquiry, an audit."""

from datetime import date, datetime

from django.db import models
from django.db.models import F, Q

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel

NO_NAMES = "Name no customer: it stands in the audit log in clear."


class MatterQuerySet(TenantQuerySet["Matter"]):
    def open(self) -> "MatterQuerySet":
        return self.filter(closed_at=None)

    def to_review(self, today: date, asked_before: datetime) -> "MatterQuerySet":
        """Open, their day of review come, and not asked about since."""
        return self.open().filter(
            Q(reviewed_at=None) | Q(reviewed_at__lte=asked_before) | Q(reviewed_at__date__lt=F("review_on")),
            review_on__lte=today,
        )

    def newest_first(self) -> "MatterQuerySet":
        return self.order_by("-opened_at", "-id")


class Matter(TenantModel):
    """What holds are placed for. It is closed when nothing is held for it any more."""

    name = models.CharField(max_length=200, help_text=NO_NAMES)
    reference = models.CharField(max_length=100, blank=True, default="", help_text=f"The file number. {NO_NAMES}")
    reason = models.CharField(max_length=500, help_text=f"The duty to keep, and where it comes from. {NO_NAMES}")
    counsel = models.CharField(
        max_length=200, blank=True, default="", help_text="Who answers for it: a firm or a desk."
    )
    review_on = models.DateField(null=True, blank=True, help_text="When somebody is asked whether it is still needed.")
    reviewed_at = models.DateTimeField(null=True, blank=True, help_text="When somebody was last asked.")
    opened_by = models.CharField(max_length=64)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = TenantManager.from_queryset(MatterQuerySet)()

    class Meta(TenantModel.Meta):
        indexes = [
            models.Index(fields=["tenant", "-opened_at"], name="matter_newest"),
            models.Index(fields=["tenant", "review_on"], condition=Q(closed_at=None), name="matter_to_review"),
        ]

    def __str__(self) -> str:
        return self.name
