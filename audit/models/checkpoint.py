"""The tree over a log, what was signed of it, and where that went."""

from django.db import models


class Tile(models.Model):
    """Up to 256 hashes of a tenant's tree side by side, see audit.tree.tiles. It grows at its end alone."""

    pk = models.CompositePrimaryKey("tenant_id", "level", "index")
    tenant_id = models.TextField()
    level = models.SmallIntegerField()
    index = models.BigIntegerField()
    hashes = models.BinaryField()

    class Meta:
        db_table = "audit_tile"

    def __str__(self) -> str:
        return f"tile {self.index} of level {self.level}"


class Checkpoint(models.Model):
    """What the log committed to: the root of its first `tree_size` records, signed. Never changed, never deleted."""

    pk = models.CompositePrimaryKey("tenant_id", "tree_size")
    tenant_id = models.TextField()
    tree_size = models.BigIntegerField()
    root_hash = models.CharField(max_length=64)
    key_version = models.IntegerField()
    note = models.TextField()
    signed_at = models.DateTimeField()

    class Meta:
        db_table = "audit_checkpoint"

    def __str__(self) -> str:
        return f"checkpoint of {self.tree_size} records"


class Channel(models.TextChoices):
    STORAGE = "storage", "Object in storage"
    WEBHOOK = "webhook", "The operator's webhook"
    DESTINATION = "destination", "The tenant's destination"


class Publication(models.Model):
    """That a checkpoint left the database by this channel, and when. Of an object, under which name; else, its id."""

    pk = models.CompositePrimaryKey("tenant_id", "tree_size", "channel")
    tenant_id = models.TextField()
    tree_size = models.BigIntegerField()
    channel = models.CharField(max_length=16, choices=Channel.choices)
    object_name = models.TextField()
    published_at = models.DateTimeField()

    class Meta:
        db_table = "audit_publication"

    def __str__(self) -> str:
        return f"publication of checkpoint {self.tree_size}"
