"""That a database was restored from before what had been published, and what was known of it when it was served."""

from django.db import models


class Restore(models.Model):
    """That a log goes on from an older head than was published: what was lost, by a signed note. Never changed.

    `number` counts the restores of a log, also those that were lost by a later one. Checkpoints made after it are
    published under names of their own.
    """

    pk = models.CompositePrimaryKey("tenant_id", "number")
    tenant_id = models.TextField()
    number = models.IntegerField()
    # Records that the log had when it went on.
    kept_size = models.BigIntegerField()
    # Of the newest checkpoint that it had.
    kept_checkpoint = models.BigIntegerField()
    # The newest checkpoint that was lost: its object, what it commits to, and its signed text.
    lost_name = models.TextField()
    lost_size = models.BigIntegerField()
    lost_root = models.CharField(max_length=64)
    lost_note = models.TextField()
    # Signed by the log's key.
    note = models.TextField()
    acknowledged_at = models.DateTimeField()

    class Meta:
        db_table = "audit_restore"

    def __str__(self) -> str:
        return f"restore {self.number}"


class Incarnation(models.Model):
    """Which server and tables were compared with what had been published, and which logs were older. One row.

    A dump takes it along, and it fits none but the database that it was written in.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    fingerprint = models.TextField()
    older = models.JSONField(default=list)
    compared_at = models.DateTimeField()

    class Meta:
        db_table = "audit_incarnation"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="audit_incarnation_one")]

    def __str__(self) -> str:
        return "incarnation of the database"
