"""Who saw a log grow: our witnesses ours, and we that of others."""

from django.db import models


class Cosignature(models.Model):
    """A witness's line under a checkpoint: it saw this log grow to here and never otherwise. Never changed."""

    pk = models.CompositePrimaryKey("tenant_id", "tree_size", "witness", "key_id")
    tenant_id = models.TextField()
    tree_size = models.BigIntegerField()
    # The witness's name, and its key as it was pinned when it signed.
    witness = models.TextField()
    key_id = models.CharField(max_length=8)
    public_key = models.BinaryField()
    line = models.TextField()
    cosigned_at = models.DateTimeField()

    class Meta:
        db_table = "audit_cosignature"

    def __str__(self) -> str:
        return f"{self.witness} on checkpoint {self.tree_size}"


class WitnessedLog(models.Model):
    """Of somebody's log that we are a witness of: the checkpoint that we cosigned last. It only ever grows."""

    origin = models.TextField(primary_key=True)
    tree_size = models.BigIntegerField()
    root_hash = models.CharField(max_length=64)
    note = models.TextField()
    cosigned_at = models.DateTimeField()

    class Meta:
        db_table = "audit_witnessedlog"

    def __str__(self) -> str:
        return f"{self.origin} at {self.tree_size}"
