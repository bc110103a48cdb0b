"""What a tenant demands of every request beside what the law does."""

from django.db import models

from kaireon.tenancy.models import TenantModel


class Demanded(models.TextChoices):
    IDENTITY = "identity", "Proof of identity before any work"
    REVIEW = "review", "An officer's look at a package before it is handed out"


class Demand(TenantModel):
    """One thing a tenant demands of its requests. No row: the tenant does not."""

    what = models.CharField(max_length=16, choices=Demanded.choices)
    since = models.DateTimeField()

    class Meta(TenantModel.Meta):
        verbose_name = "demand on requests"
        verbose_name_plural = "demands on requests"
        constraints = [models.UniqueConstraint(fields=["tenant", "what"], name="dsar_demand_once")]

    def __str__(self) -> str:
        return self.what
