"""How far those who follow a log have come."""

from django.db import models


class Cursor(models.Model):
    """Of a log and one of its followers: the last record whose work is done. Setting it back repeats the work.

    `caught_up_at` is when nothing was left to do. After a failure `error` says why, and nothing is tried before
    `due_at`. The log may be that of no tenant.
    """

    pk = models.CompositePrimaryKey("tenant_id", "follower")
    tenant_id = models.TextField()
    follower = models.CharField(max_length=64)
    seq = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()
    moved_at = models.DateTimeField(null=True)
    caught_up_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=64, default="")
    failed_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "audit_cursor"

    def __str__(self) -> str:
        return f"{self.follower} at {self.seq}"
