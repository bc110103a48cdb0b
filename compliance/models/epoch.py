"""The row on which holds and deletions meet."""

from django.db import models

from kaireon.tenancy.models import TenantModel


class HoldEpoch(TenantModel):
    """The row on which holds and deletions of a tenant meet: placing or releasing a hold updates it, a deletion
    takes it FOR SHARE. Made with the tenant, moved by triggers only.

    Exempt from audit capture: a counter that says nothing its cause, the policy's record, does not say.
    """

    epoch = models.BigIntegerField(default=0)

    class Meta(TenantModel.Meta):
        verbose_name = "hold epoch"
        constraints = [models.UniqueConstraint(fields=["tenant"], name="hold_epoch_once")]

    def __str__(self) -> str:
        return f"epoch {self.epoch}"
