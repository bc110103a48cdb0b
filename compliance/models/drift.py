"""Where a tenant differs from what is declared for it."""

from django.db import models
from django.db.models import Q

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class DriftQuerySet(TenantQuerySet["Drift"]):
    def open(self) -> "DriftQuerySet":
        return self.filter(resolved_at=None)


class Drift(TenantModel):
    """One thing that is not as it is declared, from the look that found it until the one that did not."""

    kind = models.CharField(max_length=32)
    name = models.CharField(max_length=200)
    what = models.CharField(
        max_length=16,
        choices=[("changed", "Changed"), ("missing", "Missing"), ("undeclared", "Not declared")],
    )
    fields = models.JSONField("difference", default=dict, help_text="By field: what is declared, and what is there.")
    first_seen_at = models.DateTimeField("found")
    last_seen_at = models.DateTimeField("last seen")
    resolved_at = models.DateTimeField("gone", null=True, blank=True)

    objects = TenantManager.from_queryset(DriftQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "difference from what is declared"
        verbose_name_plural = "differences from what is declared"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "kind", "name"], condition=Q(resolved_at=None), name="drift_open_once"
            )
        ]
        indexes = [models.Index(fields=["tenant", "first_seen_at"], name="drift_by_time")]

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"
