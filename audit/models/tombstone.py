"""What was removed from the log."""

from django.db import models


class Tombstone(models.Model):
    """That a whole prefix of the log was removed, by which policy and whose yes, and where it lies. Signed as `note`.

    Written with the removal, by the function that removes, and never again changed; the columns repeat the note.
    """

    pk = models.CompositePrimaryKey("tenant_id", "last_seq")
    tenant_id = models.TextField()
    first_seq = models.BigIntegerField()
    last_seq = models.BigIntegerField()
    records = models.BigIntegerField()
    # Of the tree of the first `last_seq` records, as the checkpoint of that size has it.
    root_hash = models.CharField(max_length=64)
    # What the first kept record links to.
    last_integrity_hash = models.CharField(max_length=64)
    oldest = models.DateTimeField()
    newest = models.DateTimeField()
    policy = models.JSONField()
    # Who asked and who agreed, by id and name.
    approval = models.JSONField()
    approval_id = models.UUIDField()
    archive_name = models.TextField()
    archive_sha256 = models.CharField(max_length=64)
    pruned_at = models.DateTimeField()
    note = models.TextField()

    class Meta:
        db_table = "audit_tombstone"
        constraints = [
            # One yes removes one prefix.
            models.UniqueConstraint(fields=["tenant_id", "approval_id"], name="audit_tombstone_approval"),
        ]

    def __str__(self) -> str:
        return f"tombstone of records {self.first_seq} to {self.last_seq}"
