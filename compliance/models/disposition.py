"""What was disposed of, and on what grounds."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from kaireon.tenancy.managers import TenantManager, TenantQuerySet
from kaireon.tenancy.models import TenantModel


class Method(models.TextChoices):
    DELETED = "deleted", "Deleted by the row"
    DROPPED = "dropped", "Dropped with its month"
    SHREDDED = "shredded", "Identifiers shredded"
    PRUNED = "pruned", "Moved to the archive, as a sealed prefix"


class DispositionQuerySet(TenantQuerySet["Disposition"]):
    def between(self, since: datetime | None, until: datetime | None) -> "DispositionQuerySet":
        """What went, or was going, between two moments; both count."""
        rows = self
        if since is not None:
            rows = rows.filter(last_at__gte=since)
        return rows if until is None else rows.filter(first_at__lte=until)

    def by_time(self) -> "DispositionQuerySet":
        return self.order_by("first_at", "id")


class Disposition(TenantModel):
    """How many rows of an entity one purge disposed of: a fact about data that is no more. It names nobody.

    Counted up in the transaction of each batch, so it is true to the row whatever stops the purge. For the rest it is
    append-only: the database refuses every other change, and no role of ours may delete it.
    """

    run = models.UUIDField(help_text="One purge; that of a plan has the plan's id.")
    plan = models.UUIDField(null=True, blank=True)
    data_class = models.CharField(max_length=32)
    entity = models.CharField(max_length=64, help_text="Wire name, as in the catalogue.")
    method = models.CharField(max_length=16, choices=Method.choices, default=Method.DELETED)
    rows = models.BigIntegerField()
    clock = models.CharField(max_length=64, help_text="The column that the rows aged by.")
    clock_from = models.DateTimeField(help_text="No row that went was older.")
    clock_until = models.DateTimeField(help_text="No row that went was younger.")
    retention_days = models.PositiveIntegerField(null=True, blank=True, help_text="None: they ended by themselves.")
    policy_version = models.PositiveIntegerField(default=0, help_text="0: no policy was needed.")
    policy_class = models.CharField(max_length=32, default="", blank=True, help_text="Whose policy, if another's.")
    law = models.CharField(max_length=500, default="", blank=True, help_text="What kept them longer than the policy.")
    approved_by = models.CharField(max_length=64, default="", blank=True)
    approved_by_name = models.CharField(max_length=200, default="", blank=True)
    done_by = models.CharField(max_length=64, default="", blank=True)
    done_by_name = models.CharField(max_length=200, default="", blank=True)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    objects = TenantManager.from_queryset(DispositionQuerySet)()

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "run", "data_class", "entity", "method", "policy_class", "policy_version"],
                name="disposition_once",
            ),
            models.CheckConstraint(condition=Q(rows__gt=0), name="disposition_of_something"),
        ]
        indexes = [models.Index(fields=["tenant", "first_at"], name="disposition_by_time")]

    def __str__(self) -> str:
        return f"{self.rows} of {self.entity}"
