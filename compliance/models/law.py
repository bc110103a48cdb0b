"""Which laws bind a tenant."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class BindingLawQuerySet(TenantQuerySet["BindingLaw"]):
    def at(self, now: datetime) -> "BindingLawQuerySet":
        return self.filter(Q(until=None) | Q(until__gt=now))


class BindingLaw(TenantModel):
    """A law that the tenant says binds it, until it says otherwise: then it binds to the end of the cooling-off."""

    name = models.CharField(max_length=64, help_text="As in compliance/retention/laws.py.")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True)
    switched_by = models.CharField(max_length=64, default="")

    objects = TenantManager.from_queryset(BindingLawQuerySet)()

    class Meta(TenantModel.Meta):
        verbose_name = "binding law"
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="law_binds_once")]

    def __str__(self) -> str:
        return self.name
