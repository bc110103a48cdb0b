"""How far the import of a file has come."""

from django.db import models

from kaireon.lib import clock
from kaireon.tenancy.models import TenantModel


class ImportRun(TenantModel):
    """An import of one file, known by its contents. The position is committed together with the rows before it."""

    kind = models.CharField(max_length=16, choices=[("customers", "Customers"), ("interactions", "Interactions")])
    format = models.CharField(max_length=8, choices=[("csv", "CSV"), ("ndjson", "NDJSON")])
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of the file.")
    size = models.BigIntegerField(help_text="Bytes.")
    offset = models.BigIntegerField(default=0, help_text="Bytes already imported.")
    line = models.BigIntegerField(default=0)
    created = models.BigIntegerField(default=0)
    updated = models.BigIntegerField(default=0)
    unchanged = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)
    rejects_size = models.BigIntegerField(default=0, help_text="Bytes of the rejects file that belong to `offset`.")
    started_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "kind", "fingerprint"], name="import_run_once")]

    def __str__(self) -> str:
        return f"import of {self.kind} {self.pk}"
