"""What every row about a customer has in common."""

from uuid import UUID

from django.db import models

from kaireon.tenancy.models import TenantModel


def customer_key(*, null: bool = False) -> "models.ForeignKey[models.Model, models.Model]":
    """A reference to the customer. The database's own is (tenant_id, customer_id), made in the migration."""
    return models.ForeignKey(
        "customers.Customer",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        null=null,
        blank=null,
    )


class AboutCustomer(TenantModel):
    """A row about one customer."""

    customer = customer_key()
    customer_id: UUID

    class Meta(TenantModel.Meta):
        abstract = True

    def __str__(self) -> str:
        # Names and addresses stay out of log lines and page titles.
        return f"{self._meta.verbose_name} {self.pk}"
